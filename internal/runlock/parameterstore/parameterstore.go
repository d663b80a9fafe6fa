// Package parameterstore keeps the records of a run lock in AWS Systems Manager
// Parameter Store, as standard parameters, which cost nothing. PutParameter
// without Overwrite creates a name or fails:
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
package parameterstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/runlock"
)

// Store is the lock of one stack. It implements runlock.Store.
type Store struct {
	client  *ssm.Client
	names   naming.Names
	version string
	given   map[string]string
}

var _ runlock.Store = Store{}

// New returns the store of a stack's lock. Version is the version of bookctl, for
// the tags; it may be "" for a store that is only read.
func New(client *ssm.Client, stack, version string) Store {
	return Store{client: client, names: naming.Names{Stack: stack}, version: version}
}

// Tagged is the store with further tags for what it makes.
func (s Store) Tagged(tags map[string]string) Store {
	s.given = tags
	return s
}

func (s Store) path(name string) *string { return aws.String(s.names.Lock() + "/" + name) }

func (s Store) name(path *string) string {
	return strings.TrimPrefix(aws.ToString(path), s.names.Lock()+"/")
}

// Create implements runlock.Store. The tier is free; without one, the account's default would
// decide, which may cost:
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
func (s Store) Create(ctx context.Context, name, value string) error {
	_, err := s.client.PutParameter(ctx, &ssm.PutParameterInput{
		Name: s.path(name), Type: types.ParameterTypeString, Value: &value,
		Description: aws.String("Lock of bookctl stack " + s.names.Stack), Tags: s.tags(), Tier: types.ParameterTierStandard,
	})
	return classified(err)
}

// Overwrite implements runlock.Store. A call that overwrites a parameter can't set
// tags; the parameter keeps its tags. One that is an advanced parameter stays one: AWS does
// not change it back.
func (s Store) Overwrite(ctx context.Context, name, value string) error {
	in := &ssm.PutParameterInput{
		Name: s.path(name), Type: types.ParameterTypeString, Value: &value, Overwrite: aws.Bool(true), Tier: types.ParameterTierStandard,
	}
	_, err := s.client.PutParameter(ctx, in)
	if e, ok := errors.AsType[smithy.APIError](err); ok && strings.Contains(e.ErrorMessage(), "uses the advanced-parameter tier") {
		in.Tier = ""
		_, err = s.client.PutParameter(ctx, in)
	}
	return classified(err)
}

// Get implements runlock.Store. The time is the Date header of the response.
func (s Store) Get(ctx context.Context, names ...string) (map[string]runlock.Record, time.Time, error) {
	var paths []string
	for _, n := range names {
		paths = append(paths, *s.path(n))
	}
	out, err := s.client.GetParameters(ctx, &ssm.GetParametersInput{Names: paths})
	if err != nil {
		return nil, time.Time{}, err
	}
	found := map[string]runlock.Record{}
	for _, p := range out.Parameters {
		found[s.name(p.Name)] = runlock.Record{Value: aws.ToString(p.Value), Modified: aws.ToTime(p.LastModifiedDate)}
	}
	now, _ := awsmiddleware.GetServerTime(out.ResultMetadata) // zero if it is not known
	return found, now, nil
}

// List implements runlock.Store.
func (s Store) List(ctx context.Context) ([]string, error) {
	var names []string
	pages := ssm.NewGetParametersByPathPaginator(s.client, &ssm.GetParametersByPathInput{Path: aws.String(s.names.Lock())})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, p := range page.Parameters {
			names = append(names, s.name(p.Name))
		}
	}
	return names, nil
}

// Delete implements runlock.Store. A call accepts at most ten names.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DeleteParameters.html
func (s Store) Delete(ctx context.Context, names ...string) error {
	for some := range slices.Chunk(names, 10) {
		var paths []string
		for _, n := range some {
			paths = append(paths, *s.path(n))
		}
		if _, err := s.client.DeleteParameters(ctx, &ssm.DeleteParametersInput{Names: paths}); err != nil {
			return err
		}
	}
	return nil
}

// Unreadable implements runlock.Store.
func (s Store) Unreadable() error {
	path := s.names.Lock() + "/"
	return hint.With(fmt.Errorf("parameter below %s is not a lock of bookctl", path), "look at it with %s, and remove it", hint.AWS("ssm", "get-parameters-by-path", "--path", path))
}

func (s Store) tags() []types.Tag {
	tags := s.names.Tags("lock", s.version)
	for k, v := range s.given {
		if _, own := tags[k]; !own {
			tags[k] = v
		}
	}
	var out []types.Tag
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, types.Tag{Key: aws.String(k), Value: aws.String(tags[k])})
	}
	return out
}

// classified marks the errors that runlock.Store defines, and keeps AWS's text.
func classified(err error) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return err
	}
	switch api.ErrorCode() {
	case "ParameterAlreadyExists":
		return marked{err, runlock.ErrExists}
	case "TooManyUpdates": // also for 30 s after the name was deleted
		return marked{err, runlock.ErrBusy}
	}
	return err
}

// marked is an error that also wraps its kind.
type marked struct {
	error
	kind error
}

func (m marked) Unwrap() []error { return []error{m.error, m.kind} }
