// Package logs is CloudWatch Logs. The events are in a file per stream.
package logs

import (
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// Service is the service outside of transactions.
type Service struct {
	*kernel.Kernel
	store *kernel.Store[state]
}

// New creates the service, with its part of the state and its tags.
func New(k *kernel.Kernel) *Service {
	s := &Service{Kernel: k, store: kernel.Saved[state](k, "logs")}
	kernel.RegisterTagger(k, "logs", s.in, kernel.TaggerMethods[tx]{List: tx.listTagged, Add: tx.tagByARN, Remove: tx.untagByARN})
	return s
}

// tx is the service within a transaction.
type tx struct {
	*kernel.Tx
	*Service
}

func (s *Service) in(t *kernel.Tx) tx { return tx{t, s} }

func (a tx) state() *state { return a.store.In(a.Tx) }

// HasGroup reports whether there is a group of that name.
func (s *Service) HasGroup(t *kernel.Tx, name string) bool {
	return s.in(t).state().Groups[name] != nil
}

// EnsureGroup creates a group that is missing.
func (s *Service) EnsureGroup(t *kernel.Tx, name string) { s.in(t).ensureGroup(name) }

// EnsureStream creates a stream that is missing, of a group that is there.
func (s *Service) EnsureStream(t *kernel.Tx, group, stream string) {
	a := s.in(t)
	if g := a.state().Groups[group]; g.Streams[stream] == nil {
		a.addStream(g, stream)
	}
}

// Append adds an event of that time, in milliseconds since 1970, to a stream, which
// is made with its group if they are missing.
func (s *Service) Append(t *kernel.Tx, group, stream string, at int64, message string) error {
	a := s.in(t)
	a.ensureGroup(group)
	s.EnsureStream(t, group, stream)
	g := a.state().Groups[group]
	return a.appendEvent(g, g.Streams[stream], stream, at, message)
}

// Line adds a line of now to a stream, in a transaction of its own. A line for a group or a
// stream that is gone is dropped: the driver of Fargate makes its stream only when it starts.
// https://github.com/moby/moby/pull/53371
func (s *Service) Line(group, stream, line string) {
	s.View(func(t *kernel.Tx) {
		a := s.in(t)
		g := a.state().Groups[group]
		if g == nil || g.Streams[stream] == nil {
			return
		}
		if err := a.appendEvent(g, g.Streams[stream], stream, a.Now().UnixMilli(), line); err != nil {
			a.Log().Error("a line of a task was lost", "error", err)
		}
	})
}

func (a tx) ensureGroup(name string) {
	if a.state().Groups[name] != nil {
		return
	}
	if a.state().Groups == nil {
		a.state().Groups = map[string]*group{}
	}
	a.state().Groups[name] = &group{Name: name, Created: a.Now().UnixMilli(), Tags: map[string]string{}, Streams: map[string]*stream{}}
}

// listTagged are the resources that the tagging API lists.
func (a tx) listTagged() []kernel.Tagged {
	var all []kernel.Tagged
	for _, g := range a.state().Groups {
		all = append(all, kernel.Tagged{ARN: a.ARN("logs", "log-group:"+g.Name), Tags: g.Tags})
	}
	return all
}

// tagByARN and untagByARN are what the tagging API does to one of them.
func (a tx) tagByARN(arn string, tags map[string]string) error {
	_, err := a.TagResource(&cloudwatchlogs.TagResourceInput{ResourceArn: &arn, Tags: tags})
	return err
}

func (a tx) untagByARN(arn string, keys []string) error {
	_, err := a.UntagResource(&cloudwatchlogs.UntagResourceInput{ResourceArn: &arn, TagKeys: keys})
	return err
}
