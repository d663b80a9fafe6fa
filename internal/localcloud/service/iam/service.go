// Package iam is Identity and Access Management: roles and policies, and the one user.
package iam

import (
	"time"

	"github.com/bookctl/bookctl/internal/localcloud/access"
	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// Service is the service outside of transactions.
type Service struct {
	*kernel.Kernel
	store *kernel.Store[state]
}

// New creates the service, with its part of the state and its tags.
func New(k *kernel.Kernel) *Service {
	s := &Service{Kernel: k, store: kernel.Saved[state](k, "iam")}
	return s
}

// tx is the service within a transaction.
type tx struct {
	*kernel.Tx
	*Service
}

func (s *Service) in(t *kernel.Tx) tx { return tx{t, s} }

func (a tx) state() *state { return a.store.In(a.Tx) }

// Name is a role's name, if there is a role with that ARN.
func (s *Service) Name(t *kernel.Tx, arn string) (string, bool) {
	r, ok := s.in(t).byARN(arn)
	return r.Name, ok
}

// RoleTags are a role's tags, if there is a role with that ARN.
func (s *Service) RoleTags(t *kernel.Tx, arn string) (map[string]string, bool) {
	r, ok := s.in(t).byARN(arn)
	return r.Tags, ok
}

// Boundary is the ARN of a role's permissions boundary, "" for none.
func (s *Service) Boundary(t *kernel.Tx, arn string) string {
	r, _ := s.in(t).byARN(arn)
	return r.Boundary
}

// Usable reports whether other services can assume the role yet, which they can't
// for some seconds after its creation
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency).
func (s *Service) Usable(t *kernel.Tx, arn string) bool {
	return s.knownFor(t, arn, kernel.Seconds(t.Faults().RoleSeconds))
}

// Passable reports whether other services take the role from a caller yet. They may do so
// before they can assume it: RegisterTaskDefinition is accepted, and RunTask is refused.
// https://github.com/aws-samples/aws-modern-application-workshop/issues/149
func (s *Service) Passable(t *kernel.Tx, arn string) bool {
	return s.knownFor(t, arn, kernel.Seconds(t.Faults().RoleSeconds)/2)
}

func (s *Service) knownFor(t *kernel.Tx, arn string, fault time.Duration) bool {
	r, ok := s.in(t).byARN(arn)
	return ok && time.Since(r.Created) >= max(t.Scaled(t.Latencies().RoleUsable), fault)
}

// Trusts reports whether the role lets the service assume it, with these keys in the
// request's context.
func (s *Service) Trusts(t *kernel.Tx, arn, service string, context map[string][]string) bool {
	r, _ := s.in(t).byARN(arn)
	trust, err := access.Parse([]byte(r.Trust))
	return err == nil && access.Trusts(trust, service, context)
}

// Admits reports whether the role's trust policy lets a caller of these names assume it.
func (s *Service) Admits(t *kernel.Tx, arn string, names []string, context map[string][]string) bool {
	r, _ := s.in(t).byARN(arn)
	trust, err := access.Parse([]byte(r.Trust))
	return err == nil && access.Admits(trust, names, context)
}

// Longest is for how many seconds a session of the role may last, if there is one.
func (s *Service) Longest(t *kernel.Tx, arn string) (seconds int32, ok bool) {
	r, ok := s.in(t).byARN(arn)
	return r.MaxSession, ok
}

// Principal is a session of that name under the role, whose id begins with that of the
// role. Under one that does not exist it may do nothing.
func (s *Service) Principal(t *kernel.Tx, arn, session string) kernel.Principal {
	r, _ := s.in(t).byARN(arn)
	policies, boundary := s.policies(t, arn)
	p := kernel.Principal{
		ARN: s.ARN("sts", "assumed-role/"+r.Name+"/"+session), ID: r.ID + ":" + session,
		Session: true, Limits: [][]access.Policy{policies},
	}
	p.Names = []string{arn, p.ARN}
	if boundary != nil {
		p.Limits = append(p.Limits, boundary)
	}
	return p
}

// policies are those of the role, and of its boundary, nil without one.
func (s *Service) policies(t *kernel.Tx, arn string) (policies, boundary []access.Policy) {
	a := s.in(t)
	role, _ := a.byARN(arn)
	for _, document := range role.Policies {
		policies = append(policies, parsed(document)...)
	}
	for _, arn := range role.Attached {
		policies = append(policies, parsed(a.managedDocument(arn))...)
	}
	if role.Boundary != "" {
		boundary = append([]access.Policy{}, parsed(a.managedDocument(role.Boundary))...)
	}
	return policies, boundary
}

// Allows evaluates the role's policies: its boundary must allow what they allow. A
// role that does not exist may do nothing.
func (s *Service) Allows(t *kernel.Tx, arn, action, resource string) (ok bool, why string) {
	policies, boundary := s.policies(t, arn)
	r := access.Request{Action: action, Resource: resource}
	if access.Decide(policies, r) != access.Allowed {
		return false, "no identity-based policy"
	}
	if boundary != nil && access.Decide(boundary, r) != access.Allowed {
		return false, "no permissions boundary"
	}
	return true, ""
}

// parsed is a policy that IAM has checked already, nothing for none.
func parsed(document string) []access.Policy {
	p, err := access.Parse([]byte(document))
	if err != nil {
		return nil
	}
	return []access.Policy{p}
}

// LinkedRoleARN is the ARN of the service-linked role of a service, such as
// "ecs.amazonaws.com", whether the account has it or not.
func (s *Service) LinkedRoleARN(service string) string {
	return s.ARN("iam", "role/aws-service-role/"+service+"/"+serviceLinkedRoles[service])
}

// HasLinkedRole reports whether the account has the service-linked role of a service.
func (s *Service) HasLinkedRole(t *kernel.Tx, service string) bool {
	_, ok := s.in(t).state().Roles[serviceLinkedRoles[service]]
	return ok
}

// LinkedRoleUsable reports whether the account has the role of that service, and the
// service knows of it yet.
func (s *Service) LinkedRoleUsable(t *kernel.Tx, service string) bool {
	r, ok := s.in(t).state().Roles[serviceLinkedRoles[service]]
	return ok && s.Usable(t, r.ARN)
}

// EnsureLinkedRole creates the service-linked role of a service if it is missing.
func (s *Service) EnsureLinkedRole(t *kernel.Tx, service string) {
	if !s.HasLinkedRole(t, service) {
		s.in(t).makeServiceLinkedRole(service, "")
	}
}
