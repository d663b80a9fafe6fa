package provision

import (
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

// missingECR is missing for answers of ECR.
func missingECR(answer any) string {
	switch a := answer.(type) {
	case *ecr.CreateRepositoryOutput:
		return require(a.Repository != nil && has(a.Repository.RepositoryArn), "repository.repositoryArn")
	case *ecr.DescribeRepositoriesOutput:
		return requireEach("Repositories", a.Repositories, func(x ecrtypes.Repository) bool { return has(x.RepositoryArn) && has(x.RepositoryUri) }, "repositoryArn")
	case *ecr.DescribeImagesOutput:
		return requireList("imageDetails", a.ImageDetails)
	case *ecr.ListTagsForResourceOutput:
		return requireList("tags", a.Tags)
	}
	return ""
}
