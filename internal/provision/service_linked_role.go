package provision

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// linkedRoleAccess is the client and the identity of the service-linked roles.
type linkedRoleAccess struct {
	identity
	iam *iam.Client
}

// linkedPath is the folder of all service-linked roles. A role's name is for
// its service to choose; its path is always this and the service's principal.
const linkedPath = "/aws-service-role/"

// all are those of the account.
func (r linkedRoleAccess) all(ctx context.Context) ([]types.Role, error) {
	return r.observed().linkedRoles.readShared(ctx, func(ctx context.Context) ([]types.Role, error) {
		var out []types.Role
		pages := iam.NewListRolesPaginator(r.iam, &iam.ListRolesInput{PathPrefix: aws.String(linkedPath), MaxItems: aws.Int32(1000)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, fmt.Errorf("list the service-linked roles: %w", err)
			}
			out = append(out, page.Roles...)
		}
		return out, nil
	})
}

// ServiceLinkedRole is the role by which an AWS service acts in the account. A
// new account has none, and the first use of the service through the API then
// fails. It belongs to the account and not to the stack: it is made when it is
// missing, it has no tags, and it is never deleted.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/using-service-linked-roles.html
type ServiceLinkedRole struct {
	graph.Node
	linkedRoleAccess
	service string // the principal that it is linked to
	wanted  bool   // the stack uses the service
	inUse   bool   // something of the stack lives by it
}

func newServiceLinkedRole(r linkedRoleAccess, name, service string, wanted, inUse bool) *ServiceLinkedRole {
	return &ServiceLinkedRole{
		Node: graph.Named("service-linked-role-"+name, 2*time.Minute), linkedRoleAccess: r, service: service, wanted: wanted, inUse: inUse,
	}
}

// Find looks the role up by its path. It counts as ours, since there is one for
// all. One that is in use need not be asked for: it can't be deleted.
func (r *ServiceLinkedRole) Find(ctx context.Context) (graph.State, error) {
	if !r.wanted {
		return graph.State{Phase: graph.Absent, Unwanted: true}, nil
	}
	if r.inUse {
		return graph.State{Phase: graph.Ready, Owner: r.stack, Note: "in use"}, nil
	}
	all, err := r.all(ctx)
	if err != nil {
		return graph.State{}, err
	}
	for _, role := range all {
		if aws.ToString(role.Path) == linkedPath+r.service+"/" {
			return graph.State{Phase: graph.Ready, ID: aws.ToString(role.Arn), Owner: r.stack}, nil
		}
	}
	return absent, nil
}

// Create creates the role, or finds that somebody was faster.
func (r *ServiceLinkedRole) Create(ctx context.Context) (string, error) {
	out, err := r.iam.CreateServiceLinkedRole(ctx, &iam.CreateServiceLinkedRoleInput{AWSServiceName: &r.service})
	if err != nil && strings.Contains(err.Error(), "has been taken") {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("create the service-linked role of %s: %w", r.service, err)
	}
	return aws.ToString(out.Role.Arn), nil
}
