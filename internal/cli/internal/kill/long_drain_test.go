package kill_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/localcloud/memory"
	"github.com/bookctl/bookctl/internal/provision"
)

// TestTasksMayTakeAsLongAsTheirRequests restarts and pauses a stack whose image says that a request
// takes up to an hour, and whose tasks take 40 minutes to stop.
func TestTasksMayTakeAsLongAsTheirRequests(t *testing.T) {
	t.Parallel()
	for _, deploy := range []string{"rolling", "canary:50%/1m"} {
		t.Run(deploy, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := &account{image: noImage, retry: func() aws.Retryer { return provision.NewRetryer(10 * time.Second) }}
				cfg := localcloud.Config{StateDir: t.TempDir(), Runtimes: memory.Runtimes, Latencies: localcloud.TypicalLatencies()}
				a.open(t, cfg, 8080)
				// The same cloud goes on with tasks that take longer to stop.
				if err := a.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				cfg.Latencies.TaskStop = 40 * time.Minute
				var err error
				if a.Cloud, err = localcloud.Open(t.Context(), cfg); err != nil {
					t.Fatal(err)
				}
				a.by = memory.Transport{To: a.Cloud}
				a.spec.Drain, a.spec.Deploy = 3600, deploy
				if err := a.up(t.Context(), &wire{}); err != nil {
					t.Fatal(err)
				}
				c := provision.NewClients(a.config(&wire{}))
				have, err := provision.ReadDeployed(t.Context(), c, a.spec.Stack)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := provision.Restart(t.Context(), c, a.spec.Stack, have.Settings, nil); err != nil {
					t.Error(err)
				}
				pause := provision.Pause{
					Clients: c, Stack: a.spec.Stack, Settings: have.Settings,
					Guard: func(context.Context) error { return nil }, Progress: func(string) {},
				}
				if err := pause.Run(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
