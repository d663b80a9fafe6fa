// Package sts is the Security Token Service: who the caller is, and credentials for a while.
package sts

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// Roles are the account's, by their ARNs.
type Roles interface {
	Longest(t *kernel.Tx, arn string) (seconds int32, ok bool)
	Usable(t *kernel.Tx, arn string) bool
	Admits(t *kernel.Tx, arn string, names []string, context map[string][]string) bool
	Principal(t *kernel.Tx, arn, session string) kernel.Principal
}

// Service is the service outside of transactions.
type Service struct {
	*kernel.Kernel
	store *kernel.Store[state]
	roles Roles
}

// state is the part of the account that is kept.
type state struct {
	// Sessions are those of roles, by their access keys.
	Sessions map[string]session `json:"sessions,omitempty"`
}

// session is a caller that assumed a role.
type session struct {
	Role, Name string // the role's ARN, and the session's name
	ID         string // begins with the role's, which another role of that name has not
	Policy     string `json:",omitempty"` // what limits the session alone
	Ends       time.Time
}

// New creates the service, with its part of the state.
func New(k *kernel.Kernel, roles Roles) *Service {
	return &Service{Kernel: k, store: kernel.Saved[state](k, "sts"), roles: roles}
}

// tx is the service within a transaction.
type tx struct {
	*kernel.Tx
	*Service
}

func (s *Service) in(t *kernel.Tx) tx { return tx{t, s} }

func (a tx) state() *state { return a.store.In(a.Tx) }

// API is the service's operations.
func (s *Service) API() kernel.Service {
	return kernel.Service{
		Model: "sts", Signing: "sts", Protocol: kernel.Query,
		Operations: kernel.Operations(s.in,
			kernel.Op("AssumeRole", tx.AssumeRole),
			kernel.Op("GetCallerIdentity", tx.GetCallerIdentity),
			kernel.Op("GetSessionToken", tx.GetSessionToken),
		),
	}
}

// GetCallerIdentity answers with the session of a role, or the local cloud's one user.
func (a tx) GetCallerIdentity(*sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
	who := a.Caller()
	return &sts.GetCallerIdentityOutput{Account: aws.String(a.Account()), Arn: &who.ARN, UserId: &who.ID}, nil
}
