package cli_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/bookctl/bookctl/internal/moto"
)

// TestTwoRegionsOfAnAccountAreApart deploys stacks of one name in two regions, which
// have IAM in common, and destroys one: the other still replaces its tasks.
func TestTwoRegionsOfAnAccountAreApart(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	here, there := newShell(t), newShell(t)
	here.must("local", "start", "--region", "us-east-1")
	there.must("local", "start", "--region", "eu-central-1")
	shared := &sharedIAM{}
	for _, s := range []*shell{here, there} {
		cfg := s.config()
		s.env = append(s.env, "AWS_ENDPOINT_URL="+shared.join(t, *cfg.BaseEndpoint, cfg.Region), "AWS_REGION="+cfg.Region, "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local")
	}
	deploy := func(s *shell) string {
		out := strings.TrimSpace(s.must("up", "--port", strconv.Itoa(int(openPort(t)))))
		return out[strings.LastIndex(out, "\n")+1:]
	}
	deploy(here)
	address := deploy(there)
	roles := func() (names []string) {
		out := done[*iam.ListRolesOutput](t)(iam.NewFromConfig(here.config()).ListRoles(t.Context(), &iam.ListRolesInput{}))
		for _, r := range out.Roles {
			if strings.HasPrefix(*r.RoleName, "book-") {
				names = append(names, *r.RoleName)
			}
		}
		return names
	}
	if all := roles(); len(all) != 4 {
		t.Errorf("two stacks have the roles %v, want two each", all)
	}

	here.must("destroy", "--yes", "--purge-snapshots")
	if left := roles(); len(left) != 2 || !strings.HasPrefix(left[0], "book-eu-central-1-") || !strings.HasPrefix(left[1], "book-eu-central-1-") {
		t.Errorf("the other stack has the roles %v", left)
	}
	containers, cluster := ecs.NewFromConfig(there.config()), aws.String("book-cluster")
	running := func() []string {
		return done[*ecs.ListTasksOutput](t)(containers.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: cluster})).TaskArns
	}
	before := running()
	if len(before) != 1 {
		t.Fatalf("the other stack has the tasks %v", before)
	}
	done[*ecs.StopTaskOutput](t)(containers.StopTask(t.Context(), &ecs.StopTaskInput{Cluster: cluster, Task: &before[0]}))
	until(t, "another task runs", func() bool {
		now := running()
		if len(now) != 1 || now[0] == before[0] {
			return false
		}
		tasks := done[*ecs.DescribeTasksOutput](t)(containers.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Cluster: cluster, Tasks: now})).Tasks
		return len(tasks) == 1 && aws.ToString(tasks[0].LastStatus) == "RUNNING"
	})
	until(t, "it serves", func() bool {
		code, _ := call(t, http.MethodGet, address+"/books", "")
		return code == http.StatusOK
	})
	if r := there.run("status"); r.code != 0 || !strings.Contains(r.out, ": healthy") {
		t.Errorf("status of the other stack: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	there.must("destroy", "--yes", "--purge-snapshots")
	if left := roles(); len(left) != 0 {
		t.Errorf("both stacks are gone, and these roles are left: %v", left)
	}
}

// sharedIAM makes the IAM of several clouds one, as it is in all regions of an
// account: the first answers for all, and each change is made in every one.
type sharedIAM struct {
	mu     sync.Mutex
	clouds []regionalCloud
}

type regionalCloud struct{ endpoint, region string }

// iamScope is the region and service in the scope of a signature, which AWS has as
// us-east-1 for IAM, and a cloud of another region as its own.
var iamScope = regexp.MustCompile(`/[a-z0-9-]+/iam/aws4_request`)

// join puts a proxy in front of a cloud and returns its URL.
func (a *sharedIAM) join(t *testing.T, endpoint, region string) string {
	t.Helper()
	a.mu.Lock()
	a.clouds = append(a.clouds, regionalCloud{endpoint, region})
	a.mu.Unlock()
	to, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	others := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, reads, err := moto.Call(r) // a proxy must have all of a body before the answer begins
		switch {
		case err != nil:
		case iamScope.MatchString(r.Header.Get("Authorization")):
			err = a.answer(w, r, reads)
		default:
			others.ServeHTTP(w, r)
		}
		if err != nil {
			t.Error(err)
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func (a *sharedIAM) answer(w http.ResponseWriter, r *http.Request, reads bool) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	a.mu.Lock() // changes are made in one order everywhere
	defer a.mu.Unlock()
	for i, cloud := range a.clouds {
		req, err := http.NewRequestWithContext(r.Context(), r.Method, cloud.endpoint+r.URL.RequestURI(), bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header = r.Header.Clone()
		req.Header.Set("Authorization", iamScope.ReplaceAllString(r.Header.Get("Authorization"), "/"+cloud.region+"/iam/aws4_request"))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			return err
		}
		if i == 0 {
			w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
			w.WriteHeader(resp.StatusCode)
			if _, err := w.Write(text); err != nil {
				return err
			}
		}
		if reads || resp.StatusCode >= http.StatusMultipleChoices {
			return nil
		}
	}
	return nil
}
