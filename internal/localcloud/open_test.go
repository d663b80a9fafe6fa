package localcloud_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/requestbody"
)

// stateDir is a place for a cloud that the users of its databases and containers
// can get through to, so that it has all of its files there.
func stateDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

// openCloud is a cloud of its own for the test.
func openCloud(t *testing.T, cfg localcloud.Config) *localcloud.Cloud {
	t.Helper()
	if cfg.StateDir == "" {
		cfg.StateDir = stateDir(t)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Cache = filepath.Join(cache, "bookctl", "postgres")
	c, err := localcloud.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return c
}

// endpoint is a cloud, of this process or of another.
type endpoint interface{ Endpoint() string }

// clientConfig points an SDK client at the cloud.
func clientConfig(c endpoint) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(c.Endpoint()), APIOptions: []func(*middleware.Stack) error{requestbody.Readable},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "key", SecretAccessKey: "secret"}, nil
		}),
	}
}

const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}`

func TestACloudKeepsItsStateAndItsPortOverARestart(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	first, err := localcloud.Open(t.Context(), localcloud.Config{StateDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	_, err = iam.NewFromConfig(clientConfig(first)).CreateRole(t.Context(), &iam.CreateRoleInput{
		RoleName: aws.String("kept"), AssumeRolePolicyDocument: aws.String(trust),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := openCloud(t, localcloud.Config{StateDir: dir})
	if second.Endpoint() != first.Endpoint() {
		t.Errorf("the endpoint was %s and is %s", first.Endpoint(), second.Endpoint())
	}
	out, err := iam.NewFromConfig(clientConfig(second)).GetRole(t.Context(), &iam.GetRoleInput{RoleName: aws.String("kept")})
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToString(out.Role.Arn) != "arn:aws:iam::000000000000:role/kept" {
		t.Errorf("the role came back as %s", aws.ToString(out.Role.Arn))
	}
}

func TestAStateDirectoryHasOneCloud(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	openCloud(t, localcloud.Config{StateDir: dir})
	if c, err := localcloud.Open(t.Context(), localcloud.Config{StateDir: dir}); !errors.Is(err, localcloud.ErrInUse) {
		t.Errorf("a second cloud opened: %v, %v", c, err)
	}
	if err := localcloud.Purge(dir); !errors.Is(err, localcloud.ErrInUse) {
		t.Errorf("a cloud was purged while it ran: %v", err)
	}
}

func TestAPortInUseIsReported(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, err = localcloud.Open(t.Context(), localcloud.Config{StateDir: stateDir(t), Port: l.Addr().(*net.TCPAddr).Port})
	if err == nil || !strings.Contains(err.Error(), "is in use by another program") {
		t.Errorf("the error is %v", err)
	}
}

// TestPurgeLeavesNothing also where other users can't enter the state directory,
// as a test's own, or where somebody has removed it before.
func TestPurgeLeavesNothing(t *testing.T) {
	t.Parallel()
	for name, removed := range map[string]bool{"a state directory": false, "one that is gone": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "state")
			c, err := localcloud.Open(t.Context(), localcloud.Config{StateDir: dir})
			if err != nil {
				t.Fatal(err)
			}
			bundle := c.TrustBundle()
			if err := c.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			purged := dir
			if removed {
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
				purged = filepath.Join(t.TempDir(), "another")
			}
			if err := localcloud.Purge(purged); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{dir, bundle} {
				if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s is still there: %v", path, err)
				}
			}
		})
	}
}

func TestTheCallerIsTheLocalUser(t *testing.T) {
	t.Parallel()
	out, err := sts.NewFromConfig(clientConfig(openCloud(t, localcloud.Config{}))).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToString(out.Account) != "000000000000" || aws.ToString(out.Arn) != "arn:aws:iam::000000000000:user/local" {
		t.Errorf("the caller is %s of %s", aws.ToString(out.Arn), aws.ToString(out.Account))
	}
}
