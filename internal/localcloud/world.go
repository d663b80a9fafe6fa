package localcloud

import (
	"github.com/bookctl/bookctl/internal/localcloud/judge"
	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// world is how the account stands, for the policies.
type world struct {
	tx *kernel.Tx
	c  *Cloud
}

var _ judge.World = world{}

func (w world) ARN(service, resource string) string { return w.tx.ARN(service, resource) }

func (w world) Tags(arn string) map[string]string {
	if tags, ok := w.c.roles.RoleTags(w.tx, arn); ok {
		return tags
	}
	if tags, ok := w.c.scaling.TargetTags(w.tx, arn); ok {
		return tags
	}
	return w.tx.TagsOf(arn)
}

func (w world) Boundary(arn string) string {
	return w.c.roles.Boundary(w.tx, arn)
}

func (w world) Lacks(service string) (string, bool) {
	return w.c.roles.LinkedRoleARN(service), !w.c.roles.HasLinkedRole(w.tx, service)
}

func (w world) Secret(name string) string { return w.c.secretValues.SecretARN(w.tx, name) }

func (w world) Target(resource string) string {
	return w.c.scaling.TargetARN(w.tx, resource)
}

func (w world) Backups(database string) string {
	return w.c.databases.BackupARN(w.tx, database)
}

func (w world) Association(id string) []string {
	return w.c.network.AssociationEnds(w.tx, id)
}

func (w world) Roles(definition string) []string {
	return w.c.tasks.RolesOf(w.tx, definition)
}
