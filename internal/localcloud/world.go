package localcloud

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/bookctl/bookctl/internal/localcloud/judge"
)

// world is how the account stands, for the policies.
type world struct{ c tx }

var _ judge.World = world{}

func (w world) ARN(service, resource string) string { return w.c.ARN(service, resource) }

func (w world) Tags(arn string) map[string]string {
	if tags, ok := w.c.roles.RoleTags(w.c.Tx, arn); ok {
		return tags
	}
	if tags, ok := w.c.scaling.TargetTags(w.c.Tx, arn); ok {
		return tags
	}
	return w.c.TagsOf(arn)
}

func (w world) Boundary(arn string) string {
	return w.c.roles.Boundary(w.c.Tx, arn)
}

func (w world) Lacks(service string) (string, bool) {
	return w.c.roles.LinkedRoleARN(service), !w.c.roles.HasLinkedRole(w.c.Tx, service)
}

func (w world) Secret(name string) string { return w.c.secretValues.SecretARN(w.c.Tx, name) }

func (w world) Target(resource string) string {
	return w.c.scaling.TargetARN(w.c.Tx, resource)
}

func (w world) Backups(database string) string {
	return w.c.databases.BackupARN(w.c.Tx, database)
}

func (w world) Association(id string) []string {
	return w.c.network.AssociationEnds(w.c.Tx, id)
}

func (w world) Roles(definition string) []string {
	d, err := (ecsAPI{w.c}).usable(&definition)
	if definition == "" || err != nil {
		return nil
	}
	return slices.DeleteFunc([]string{aws.ToString(d.ExecutionRoleArn), aws.ToString(d.TaskRoleArn)}, func(arn string) bool { return arn == "" })
}
