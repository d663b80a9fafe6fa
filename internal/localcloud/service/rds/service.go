// Package rds is RDS: databases, each with a PostgreSQL server behind it.
package rds

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/rds"

	"github.com/bookctl/bookctl/internal/localcloud/authority"
	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/localcloud/network"
	"github.com/bookctl/bookctl/internal/localcloud/postgres"
)

// Engine is PostgreSQL: servers and snapshots of them, by name.
type Engine interface {
	// Versions are those of PostgreSQL that there are, one of each major version, such
	// as "17.6". The first is that of new servers.
	Versions() []string
	// Upgrades reports whether a server of one version can be moved to another.
	Upgrades(from, to string) bool
	// Parameters are those that a server of a version has.
	Parameters(version string) ([]postgres.Parameter, error)
	// Prepare creates the files that new servers begin with, once.
	Prepare(ctx context.Context) error
	// Server is the server of that name, whether it exists yet or not.
	Server(name string) (Server, error)
	HasSnapshot(name string) bool
	CopySnapshot(ctx context.Context, from, to string) error
	DeleteSnapshot(name string) error
}

// Server is one PostgreSQL server.
type Server interface {
	Exists() bool
	Running() bool
	// Done is closed when the running server has ended.
	Done() <-chan struct{}
	LogFile() string

	// Create and Restore create its files, empty with a version or from a snapshot.
	Create(ctx context.Context, version string) error
	Restore(ctx context.Context, snapshot string) error
	Snapshot(ctx context.Context, name string) error
	Delete(ctx context.Context) error

	// Start runs it, on any free port if the settings name none.
	Start(ctx context.Context, settings postgres.Settings) (port int, err error)
	Restart(ctx context.Context, settings postgres.Settings) error
	Reload(settings postgres.Settings) error
	Stop(ctx context.Context) error
	// Upgrade upgrades the stopped server to another version. With a
	// *postgres.IncompatibleError this is impossible; after any error it still has the old
	// version.
	Upgrade(ctx context.Context, version string, settings postgres.Settings) error

	EnsureMaster(ctx context.Context, master postgres.Master) error
	SetPassword(ctx context.Context, user string, password postgres.Verifier) error
}

// Authority issues the servers' certificates.
type Authority interface {
	Issue(names ...string) (authority.Certificate, error)
}

// Network is EC2's.
type Network interface {
	Zones() []string
	Subnet(t *kernel.Tx, id string) (network.Subnet, bool)
	DefaultSubnets(t *kernel.Tx) []network.Subnet
	// GroupVPC is the VPC of a security group, if there is such a group.
	GroupVPC(t *kernel.Tx, id string) (string, bool)
	Attach(t *kernel.Tx, spec network.Spec) (network.Interface, error)
	Interface(t *kernel.Tx, id string) (network.Interface, bool)
	Change(t *kernel.Tx, id string, groups []string, public bool)
	Release(t *kernel.Tx, id string)
}

// Roles are IAM's.
type Roles interface {
	// LinkedRoleUsable reports whether the account has the service-linked role of a
	// service, and the service knows of it yet.
	LinkedRoleUsable(t *kernel.Tx, service string) bool
}

// Logs are CloudWatch's.
type Logs interface {
	// Append adds an event of that time, in milliseconds since 1970, to a stream,
	// which is made with its group if they are missing.
	Append(t *kernel.Tx, group, stream string, at int64, message string) error
}

// Needs are what RDS needs of others.
type Needs struct {
	Engine    Engine
	Authority Authority
	Network   Network
	Roles     Roles
	Logs      Logs
}

// Service is the service outside of transactions.
type Service struct {
	*kernel.Kernel
	needs   Needs
	unsaved *kernel.Store[running]
	store   *kernel.Store[state]
}

// New creates the service, with its part of the state and its tags.
func New(k *kernel.Kernel, needs Needs) *Service {
	s := &Service{Kernel: k, needs: needs, unsaved: kernel.Unsaved[running](k), store: kernel.Saved[state](k, "rds")}
	kernel.RegisterTagger(k, "rds", s.in, kernel.TaggerMethods[tx]{List: tx.listTagged, Add: tx.tagByARN, Remove: tx.untagByARN})
	return s
}

// tx is the service within a transaction.
type tx struct {
	*kernel.Tx
	*Service
}

func (s *Service) in(t *kernel.Tx) tx { return tx{t, s} }

func (a tx) state() *state { return a.store.In(a.Tx) }

func (a tx) running() *running { return a.unsaved.In(a.Tx) }

func (s *Service) update(f func(tx)) { s.Update(func(t *kernel.Tx) { f(s.in(t)) }) }

func (s *Service) view(f func(tx)) { s.View(func(t *kernel.Tx) { f(s.in(t)) }) }

// Start starts the servers that ran before a restart, continues unfinished work, and begins
// to export logs. The engine stops the servers when the cloud stops.
func (s *Service) Start() {
	s.restore()
	s.Go(s.runExports)
}

// BackupARN is the ARN of the automated backups of the instance with that resource
// id, or that are of that ARN; "" for none.
func (s *Service) BackupARN(t *kernel.Tx, database string) string {
	a := s.in(t)
	for _, db := range slices.Concat(a.state().Instances, a.state().Retained) {
		if arn := a.backupARN(db); db.Resource == database || arn == database {
			return arn
		}
	}
	return ""
}

// listTagged are the resources that the tagging API lists.
func (a tx) listTagged() []kernel.Tagged {
	var all []kernel.Tagged
	add := func(resource string, tags map[string]string) {
		all = append(all, kernel.Tagged{ARN: a.ARN("rds", resource), Tags: tags})
	}
	s := a.state()
	for _, db := range s.Instances {
		add("db:"+db.ID, db.Tags)
	}
	for _, snapshot := range s.Snapshots {
		add("snapshot:"+snapshot.ID, snapshot.Tags)
	}
	for _, g := range s.SubnetGroups {
		add(g.key(), g.Tags)
	}
	for _, g := range s.ParameterGroups {
		add(g.key(), g.Tags)
	}
	return all
}

// tagByARN and untagByARN are what the tagging API does to one of them.
func (a tx) tagByARN(arn string, tags map[string]string) error {
	_, err := a.AddTagsToResource(&rds.AddTagsToResourceInput{
		ResourceName: &arn, Tags: kernel.TagList(tags, newTag),
	})
	return err
}

func (a tx) untagByARN(arn string, keys []string) error {
	_, err := a.RemoveTagsFromResource(&rds.RemoveTagsFromResourceInput{ResourceName: &arn, TagKeys: keys})
	return err
}
