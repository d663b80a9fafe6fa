package provision

import (
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// missingECS is missing for answers of ECS.
func missingECS(answer any) string {
	switch a := answer.(type) {
	case *ecs.CreateClusterOutput:
		return require(a.Cluster != nil && has(a.Cluster.ClusterArn), "cluster.clusterArn")
	case *ecs.DescribeClustersOutput:
		// What is not there is among the failures:
		// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeClusters.html
		return require(len(a.Clusters)+len(a.Failures) > 0 && all(a.Clusters, func(x ecstypes.Cluster) bool { return has(x.ClusterArn) }), "clusters")
	case *ecs.CreateServiceOutput:
		return require(a.Service != nil && has(a.Service.ServiceArn), "service.serviceArn")
	case *ecs.DescribeServicesOutput:
		return require(len(a.Services)+len(a.Failures) > 0 && all(a.Services, func(x ecstypes.Service) bool { return has(x.ServiceArn) }), "services")
	case *ecs.ListServiceDeploymentsOutput:
		return require(a.ServiceDeployments != nil && all(a.ServiceDeployments, func(x ecstypes.ServiceDeploymentBrief) bool { return has(x.ServiceDeploymentArn) && x.CreatedAt != nil }), "serviceDeployments")
	case *ecs.DescribeServiceDeploymentsOutput:
		return require(len(a.ServiceDeployments)+len(a.Failures) > 0 && all(a.ServiceDeployments, func(x ecstypes.ServiceDeployment) bool { return has(x.ServiceDeploymentArn) && x.Status != "" }), "serviceDeployments")
	case *ecs.DescribeServiceRevisionsOutput:
		return require(len(a.ServiceRevisions)+len(a.Failures) > 0 && all(a.ServiceRevisions, func(x ecstypes.ServiceRevision) bool { return has(x.ServiceRevisionArn) && has(x.TaskDefinition) }), "serviceRevisions")
	case *ecs.RegisterTaskDefinitionOutput:
		return require(a.TaskDefinition != nil && has(a.TaskDefinition.TaskDefinitionArn), "taskDefinition.taskDefinitionArn")
	case *ecs.DescribeTaskDefinitionOutput:
		if a.TaskDefinition == nil || !has(a.TaskDefinition.TaskDefinitionArn) {
			return "taskDefinition.taskDefinitionArn"
		}
		return require(len(a.TaskDefinition.ContainerDefinitions) > 0 && all(a.TaskDefinition.ContainerDefinitions, func(c ecstypes.ContainerDefinition) bool {
			return has(c.Name) && has(c.Image)
		}), "taskDefinition.containerDefinitions")
	case *ecs.DescribeTasksOutput:
		return require(len(a.Tasks)+len(a.Failures) > 0, "tasks")
	case *ecs.ListTaskDefinitionsOutput:
		return requireList("taskDefinitionArns", a.TaskDefinitionArns)
	case *ecs.ListServicesOutput:
		return requireList("serviceArns", a.ServiceArns)
	case *ecs.ListTasksOutput:
		return requireList("taskArns", a.TaskArns)
	}
	return ""
}
