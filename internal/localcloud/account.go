package localcloud

import (
	"github.com/bookctl/bookctl/internal/localcloud/iamcheck"
	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// accountState is the current state of the account, for package iamcheck.
type accountState struct {
	tx *kernel.Tx
	c  *Cloud
}

var _ iamcheck.Account = accountState{}

func (w accountState) ARN(service, resource string) string { return w.tx.ARN(service, resource) }

func (w accountState) Tags(arn string) map[string]string {
	if tags, ok := w.c.roles.RoleTags(w.tx, arn); ok {
		return tags
	}
	if tags, ok := w.c.scaling.TargetTags(w.tx, arn); ok {
		return tags
	}
	return w.tx.TagsOf(arn)
}

func (w accountState) Boundary(arn string) string {
	return w.c.roles.Boundary(w.tx, arn)
}

func (w accountState) LinkedRole(service string) (string, bool) {
	return w.c.roles.LinkedRoleARN(service), !w.c.roles.HasLinkedRole(w.tx, service)
}

func (w accountState) Secret(name string) string { return w.c.secretValues.SecretARN(w.tx, name) }

func (w accountState) Target(resource string) string {
	return w.c.scaling.TargetARN(w.tx, resource)
}

func (w accountState) Backups(database string) string {
	return w.c.databases.BackupARN(w.tx, database)
}

func (w accountState) Association(id string) []string {
	return w.c.network.AssociationEnds(w.tx, id)
}

func (w accountState) Roles(definition string) []string {
	return w.c.tasks.RolesOf(w.tx, definition)
}
