package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/awsaccount"
	"github.com/bookctl/bookctl/internal/requestbody"
)

// inventory lists the account service by service.
func (s *shell) inventory() []string {
	s.t.Helper()
	out, err := awsaccount.Inventory(s.t.Context(), s.config())
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// config is that of an SDK which is pointed at this shell's local cloud.
func (s *shell) config() aws.Config {
	s.t.Helper()
	var info struct{ Endpoint, Region string }
	decode(s.t, s.must("local", "status", "--output", "json"), &info)
	return aws.Config{
		Region: info.Region, BaseEndpoint: &info.Endpoint, Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		APIOptions: []func(*middleware.Stack) error{requestbody.Readable},
	}
}

// aws runs the AWS CLI against the local cloud.
func (s *shell) aws(args ...string) string {
	s.t.Helper()
	return strings.TrimSpace(s.must(append([]string{"local", "aws", "--output", "json"}, args...)...))
}

func needAWS(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("aws"); err != nil {
		t.Fatal("the AWS CLI is not installed; run .ci/setup")
	}
}

// TestTheMainJob is the product in one go: up, use, look, break, change, and
// back to nothing.
func TestTheMainJob(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	needAWS(t)
	t.Parallel()
	program := raced(t) // before the shell, which needs it to clean up
	s := newShell(t)
	s.program = program
	s.must("local", "start")
	before := s.inventory()

	url := s.up()

	t.Run("a book goes in and comes out through the load balancer", func(t *testing.T) {
		if code, body := call(t, "POST", url+"/books", `{"name":"Dune","author":"Frank Herbert"}`); code != http.StatusCreated {
			t.Fatalf("POST: %d %s", code, body)
		}
		code, body := call(t, "GET", url+"/books/Dune", "")
		if code != http.StatusOK || !strings.Contains(body, "Frank Herbert") {
			t.Fatalf("GET: %d %s", code, body)
		}
	})

	known := s.secret(t)
	t.Run("psql sees the row with the secret's password", func(t *testing.T) {
		if got := s.psql(t, known, "select author from books where name = 'Dune'"); got != "Frank Herbert" {
			t.Errorf("psql: %q", got)
		}
	})

	t.Run("the AWS CLI sees it all", func(t *testing.T) {
		for query, want := range map[string]string{
			"ec2 describe-vpcs --filters Name=tag:bookctl:stack,Values=book --query Vpcs[].CidrBlock": "10.0.0.0/16",
			"rds describe-db-instances --query DBInstances[].DBInstanceStatus":                        "available",
			"ecs list-tasks --cluster book-cluster --query taskArns":                                  "task/",
			"logs filter-log-events --log-group-name /bookctl/book --query events[].message":          "msg",
		} {
			if got := s.aws(strings.Fields(query)...); !strings.Contains(got, want) {
				t.Errorf("aws %s: %q is not in %s", query, want, got)
			}
		}
		var groups []string
		decode(t, s.aws("elbv2", "describe-target-groups", "--query", "TargetGroups[].TargetGroupArn"), &groups)
		if got := s.aws("elbv2", "describe-target-health", "--target-group-arn", groups[0]); !strings.Contains(got, `"healthy"`) {
			t.Errorf("target health: %s", got)
		}
	})

	t.Run("the AWS SDK for JavaScript sees it too", func(t *testing.T) {
		modules, err := filepath.Abs("../../.tools/sdk/node_modules")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(modules); err != nil {
			t.Fatal("the AWS SDK for JavaScript is not installed: .ci/setup does it")
		}
		cfg := s.config()
		cmd := exec.CommandContext(t.Context(), "node", "testdata/sdk/look.mjs", modules)
		cmd.Env = append(slices.Clone(s.env), "AWS_ENDPOINT_URL="+*cfg.BaseEndpoint, "AWS_REGION="+cfg.Region, "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local")
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, &errs)
		}
		const want = `{"vpcs":["10.0.0.0/16"],"groups":4,"running":1,"began":true,"tasks":1,"targets":["healthy"],"database":true,"secret":"book/database","error":["NoSuchEntityException",404]}`
		if got := strings.TrimSpace(string(out)); got != want {
			t.Errorf("the SDK finds\n%s, want\n%s", got, want)
		}
	})

	t.Run("a killed task is replaced and the URL goes on", func(t *testing.T) {
		killed := s.tasks(t)
		for pid := range killed {
			kill(t, pid)
		}
		until(t, "another task answers", func() bool {
			now := s.tasks(t)
			for pid := range killed {
				delete(now, pid)
			}
			if len(now) == 0 {
				return false
			}
			resp, err := http.Get(url + "/books/Dune")
			if err != nil {
				return false
			}
			_ = resp.Body.Close()
			return resp.StatusCode == http.StatusOK
		})
	})

	t.Run("a second up changes nothing", func(t *testing.T) {
		r := s.run("up", "--local")
		if r.code != 0 || !strings.Contains(r.err, "0 changed") {
			t.Errorf("exit code %d: %s", r.code, r.err)
		}
		if got := strings.TrimSpace(r.out); got != url {
			t.Errorf("stdout is %q and not the URL %s", got, url)
		}
	})

	t.Run("count is set, and then kept", func(t *testing.T) {
		s.t = t
		s.up("--count", "2")
		if now := s.tasks(t); len(now) != 2 {
			t.Errorf("up --count 2 left the tasks %v", now)
		}
		s.up()
		if now := s.tasks(t); len(now) != 2 {
			t.Errorf("a plain up left the tasks %v", now)
		}
	})

	t.Run("a new release rolls without a failed request", func(t *testing.T) {
		s.t = t
		old := s.tasks(t)
		load := startLoad(t, url+"/books/Dune", 4, 15*time.Millisecond)
		s.up("--source", changedSource(t))
		load.unharmed(t)
		now := s.tasks(t)
		for pid := range old {
			if _, still := now[pid]; still {
				t.Errorf("task process %d of the old release still runs", pid)
			}
		}
		if len(now) != 2 {
			t.Errorf("%d tasks run the new release", len(now))
		}
	})
	s.t = t

	t.Run("the password is nowhere", func(t *testing.T) { s.searchFor(t, known.Password, 10) })

	r := s.run("destroy", "--local", "--purge-snapshots", "--yes")
	if r.code != 0 {
		t.Fatalf("destroy: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	if diff := cmp.Diff(before, s.inventory()); diff != "" {
		t.Errorf("after destroy the account differs (-before +after):\n%s", diff)
	}
	if left := s.programs(t); len(left) > 0 {
		t.Errorf("after destroy there still run: %v", left)
	}
	s.must("local", "stop")
	for _, kind := range []string{"postgres", "images", "tasks/*", "logs/*", "registry/blobs/sha256/*"} {
		left, err := filepath.Glob(filepath.Join(s.dir, ".local/state/bookctl/local", kind))
		if err != nil || len(left) > 0 {
			t.Errorf("after destroy and stop there are still %v, %v", left, err)
		}
	}
}

// TestDestroyKeepsOneSnapshotAndNamesIt is the default: the data survives.
func TestDestroyKeepsOneSnapshotAndNamesIt(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	url := s.up()
	if code, body := call(t, "POST", url+"/books", `{"name":"Emma","author":"Jane Austen"}`); code != http.StatusCreated {
		t.Fatalf("POST: %d %s", code, body)
	}
	r := s.run("destroy", "--local", "--yes")
	if r.code != 0 {
		t.Fatalf("destroy: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	out, err := rds.NewFromConfig(s.config()).DescribeDBSnapshots(t.Context(), &rds.DescribeDBSnapshotsInput{})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.DBSnapshots) != 1 || *out.DBSnapshots[0].Status != "available" {
		t.Fatalf("snapshots: %+v", out.DBSnapshots)
	}
	if id := *out.DBSnapshots[0].DBSnapshotIdentifier; !strings.Contains(r.err, id) {
		t.Errorf("the output does not name snapshot %s:\n%s", id, r.err)
	}
	s.must("local", "stop") // and come back with an account that is empty but for that
	if r := s.run("up", "--local", "--restore", "none-such"); r.code == 0 {
		t.Error("a snapshot that is not there was restored")
	}
	url = s.up("--restore", "latest")
	if code, body := call(t, "GET", url+"/books/Emma", ""); code != http.StatusOK || !strings.Contains(body, "Jane Austen") {
		t.Errorf("after the restore: %d %s", code, body)
	}
	if out := s.must("logs", "--local", "--since", "1m"); !strings.Contains(out, "the database is ready") || strings.Contains(out, "rejects DB_PASSWORD") {
		t.Errorf("a task began before the restored database had its password:\n%s", out)
	}
	if r := s.run("up", "--local", "--restore", "latest"); r.code != 0 || !strings.Contains(r.err, " before, and keeps its present data: --restore does not change it") {
		t.Errorf("a repeated restore: exit code %d\n%s", r.code, r.err)
	}
	s.must("destroy", "--local", "--yes")
	if r := s.run("up", "--local"); r.code != 0 || !strings.Contains(r.err, "note: the database starts empty, and the stack has kept data (2, ") {
		t.Errorf("an empty database alongside snapshots: exit code %d\n%s", r.code, r.err)
	}

	// What AWS Backup has taken stays, and stands in no other's way.
	client, backup := rds.NewFromConfig(s.config()), aws.String("awsbackup:job-1")
	until(t, "AWS Backup takes a snapshot", func() bool {
		_, err := client.CreateDBSnapshot(t.Context(), &rds.CreateDBSnapshotInput{DBInstanceIdentifier: aws.String("book-database"), DBSnapshotIdentifier: backup})
		return err == nil
	})
	if err := rds.NewDBSnapshotAvailableWaiter(client, func(o *rds.DBSnapshotAvailableWaiterOptions) { o.MinDelay = 100 * time.Millisecond }).
		Wait(t.Context(), &rds.DescribeDBSnapshotsInput{DBSnapshotIdentifier: backup}, time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := client.DeleteDBSnapshot(t.Context(), &rds.DeleteDBSnapshotInput{DBSnapshotIdentifier: backup}); err == nil {
		t.Error("RDS deletes a snapshot of AWS Backup")
	}
	s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 0, " 0 left", "Kept, with your data", "awsbackup:job-1 (AWS Backup, ", "aws backup delete-recovery-point …' deletes")
	if out, err = client.DescribeDBSnapshots(t.Context(), &rds.DescribeDBSnapshotsInput{}); err != nil || len(out.DBSnapshots) != 1 || *out.DBSnapshots[0].DBSnapshotIdentifier != *backup {
		t.Errorf("after the purge there are %+v, %v", out.DBSnapshots, err)
	}
}

// secret is the JSON in the stack's secret.
type secret struct {
	Engine, Host, DBName, Username, Password string
	Port                                     int
}

func (s *shell) secret(t *testing.T) secret {
	t.Helper()
	out, err := secretsmanager.NewFromConfig(s.config()).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("book/database")})
	if err != nil {
		t.Fatal(err)
	}
	var c secret
	decode(t, *out.SecretString, &c)
	if c.Engine != "postgres" || c.Host == "" || c.Port == 0 || c.DBName == "" || c.Username == "" || len(c.Password) < 20 {
		c.Password = strings.Repeat("*", len(c.Password))
		t.Fatalf("the secret holds %+v", c)
	}
	return c
}

// psql asks the real database with the real client, as an outsider would.
func (s *shell) psql(t *testing.T, c secret, query string) string {
	t.Helper()
	var info struct{ TrustBundle string }
	decode(t, s.must("local", "status", "--output", "json"), &info)
	cmd := exec.Command("psql", "-tAc", query)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "PGHOST=" + c.Host, fmt.Sprintf("PGPORT=%d", c.Port), "PGDATABASE=" + c.DBName, "PGUSER=" + c.Username,
		"PGPASSWORD=" + c.Password, "PGSSLMODE=verify-full", "PGSSLROOTCERT=" + info.TrustBundle,
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("psql: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// programs are the databases and tasks that run for this shell's cloud: the
// descendants of its process.
func (s *shell) programs(t *testing.T) map[int]string {
	t.Helper()
	var info struct{ PID int }
	decode(t, s.must("local", "status", "--output", "json"), &info)
	all := processes(t)
	out := map[int]string{}
	for pid, p := range all {
		for up := p; up.parent != 0; up = all[up.parent] {
			if up.parent == info.PID {
				out[pid] = p.line
				break
			}
		}
	}
	return out
}

// tasks are the bookapi processes of this shell's cloud, but for the short ones
// of health checks.
func (s *shell) tasks(t *testing.T) map[int]string {
	t.Helper()
	out := s.programs(t)
	for pid, line := range out {
		if !strings.Contains(line, "/bookapi") || strings.Contains(line, "-healthcheck") {
			delete(out, pid)
		}
	}
	return out
}

// searchFor looks for a secret in all that a run leaves behind: files of the
// home, of which there are a number at least, output, and the arguments of every
// process.
func (s *shell) searchFor(t *testing.T, secret string, files int) {
	t.Helper()
	searched := 0
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil //nolint:nilerr // a file that went away holds nothing
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil //nolint:nilerr // likewise
		}
		searched++
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("the password is in %s", path)
		}
		return nil
	})
	if err != nil || searched < files {
		t.Errorf("only %d files were searched: %v", searched, err)
	}
	for pid, p := range processes(t) {
		if strings.Contains(p.line, secret) {
			t.Errorf("the password is in the arguments of process %d", pid)
		}
	}
	for _, args := range [][]string{{"up", "--local", "--verbose"}, {"status", "--local", "--verbose"}, {"local", "logs"}} {
		if r := s.run(args...); strings.Contains(r.out+r.err, secret) {
			t.Errorf("the password is in the output of bookctl %s", strings.Join(args, " "))
		}
	}
}

// load is a constant stream of requests: some hundred a second, which leaves the
// processor to what is tested.
type load struct {
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	requests atomic.Int64
	mu       sync.Mutex
	failures []string
}

func startLoad(t *testing.T, url string, clients int, pause time.Duration) *load {
	t.Helper()
	return startLoadBy(t, url, clients, pause, func() *http.Client { return &http.Client{Transport: &http.Transport{}} })
}

// startLoadBy is startLoad by clients of the caller's own.
func startLoadBy(t *testing.T, url string, clients int, pause time.Duration, made func() *http.Client) *load {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	l := &load{cancel: cancel}
	for range clients {
		client := made()
		client.Timeout = 20 * time.Second
		l.wg.Go(func() {
			for ctx.Err() == nil {
				resp, err := client.Get(url)
				if err == nil {
					_ = resp.Body.Close()
				}
				l.requests.Add(1)
				switch {
				case err != nil:
					l.fail(err.Error())
				case resp.StatusCode != http.StatusOK:
					l.fail(resp.Status)
				}
				time.Sleep(pause)
			}
		})
	}
	return l
}

func (l *load) fail(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = append(l.failures, what)
}

// unharmed stops the load, and fails the test unless it was one and no request
// failed.
func (l *load) unharmed(t *testing.T) {
	t.Helper()
	l.cancel()
	l.wg.Wait()
	if n := l.requests.Load(); n < 100 || len(l.failures) > 0 {
		t.Errorf("%d requests, %d failed: %v", n, len(l.failures), l.failures[:min(5, len(l.failures))])
	}
}

// changedSource is a copy of this module in which bookapi says something else.
func changedSource(t testing.TB) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, part := range []string{"go.mod", "go.sum", "cmd/bookapi", "internal/api", "internal/requestbody"} {
		from := filepath.Join(root, part)
		info, err := os.Stat(from)
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, part)
		if info.IsDir() {
			err = os.CopyFS(to, os.DirFS(from))
		} else {
			var text []byte
			if text, err = os.ReadFile(from); err == nil {
				err = os.WriteFile(to, text, 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	note := []byte("package main\n\n// Changed keeps this program from being the same as the one before.\nvar Changed = \"changed\"\n\nfunc init() { println(Changed) }\n")
	if err := os.WriteFile(filepath.Join(dir, "cmd/bookapi/changed.go"), note, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}
