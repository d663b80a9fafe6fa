package provision_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/requestbody"
)

// FuzzReadDeployed reads a stack whose tags and values somebody has changed to
// anything. A number that is none falls back to the live one, and whatever
// passes Check can be made a stack of.
func FuzzReadDeployed(f *testing.F) {
	f.Add("2", "1", "4", "true", "8080", "db.t4g.micro", "20", "17.4", "false", "example.com", "256", "image@sha256:00", "us-east-1a")
	f.Add("0", "-1", "99999999999", "TRUE", "x", "", "-20", "17", "1", "a..b", "", "", "")
	f.Add("١", "1e3", "+4", "yes", "0x1F", "db..", "20.0", ".", "", "É.example", "1 vCPU", "@", "é")
	f.Fuzz(func(t *testing.T, count, lowest, highest, yes, port, class, storage, version, no, domain, cpu, image, zone string) {
		c := provision.NewClients(aws.Config{
			Region: "us-east-1", BaseEndpoint: aws.String("http://stack.invalid"), Retryer: func() aws.Retryer { return aws.NopRetryer{} },
			Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
			HTTPClient: account(func(action string) any {
				lb := map[string]string{"bookctl:port": port, "bookctl:domain": domain, "bookctl:certificate": version, "bookctl:https-port": count}
				db := map[string]string{
					"bookctl:db-class": class, "bookctl:db-storage": storage, "bookctl:db-max-storage": highest, "bookctl:db-version": version,
					"bookctl:db-insights": no, "bookctl:backup-days": lowest, "bookctl:protect": yes, "bookctl:db-multi-az": no,
				}
				switch action {
				case "DescribeServices":
					tags := map[string]string{"bookctl:count": count, "bookctl:min": lowest, "bookctl:max": highest, "bookctl:exec": yes}
					return object{"services": []object{{"serviceName": "book-service", "status": "ACTIVE", "desiredCount": 3, "tags": pairs(tags)}}}
				case "DescribeTaskDefinition":
					return object{"tags": pairs(nil), "taskDefinition": object{
						"taskDefinitionArn": "arn:aws:ecs:us-east-1:000000000000:task-definition/book-app:1", "status": "ACTIVE", "cpu": cpu, "memory": storage,
						"containerDefinitions": []object{{"name": "app", "image": image}}, "runtimePlatform": object{"cpuArchitecture": class},
					}}
				case "DescribeDBInstances":
					return fmt.Sprintf(`<DBInstances><DBInstance><DBInstanceIdentifier>book-database</DBInstanceIdentifier><AllocatedStorage>25</AllocatedStorage>
						<EngineVersion>%s</EngineVersion><TagList>%s</TagList></DBInstance></DBInstances>`, text(version), members("Tag", db))
				case "DescribeLoadBalancers":
					return `<LoadBalancers><member><LoadBalancerName>book-lb</LoadBalancerName><LoadBalancerArn>lb</LoadBalancerArn></member></LoadBalancers>`
				case "DescribeListeners":
					return `<Listeners><member><Port>4242</Port></member></Listeners>`
				case "DescribeTags":
					return `<TagDescriptions><member><ResourceArn>lb</ResourceArn><Tags>` + members("member", lb) + `</Tags></member></TagDescriptions>`
				case "DescribeSubnets":
					return `<subnetSet><item><availabilityZone>` + text(zone) + `</availabilityZone><tagSet>` +
						`<item><key>bookctl:resource</key><value>subnet-public-a</value></item></tagSet></item></subnetSet>`
				}
				return ""
			}),
			APIOptions: []func(*middleware.Stack) error{requestbody.Readable},
		})
		have, err := provision.ReadDeployed(t.Context(), c, "book")
		if err != nil {
			t.Fatal(err)
		}
		number := func(what, tag string, live, got int32) {
			want := live
			if n, err := strconv.ParseInt(tag, 10, 32); err == nil {
				want = int32(n)
			}
			if got != want {
				t.Errorf("%s %q of a live %d is read as %d", what, tag, live, got)
			}
		}
		number("storage", sent(storage), 25, have.DBStorage)
		number("highest", sent(highest), 0, have.Max)
		if have.Count < 1 {
			t.Errorf("count %q is read as %d", count, have.Count)
		}
		if have.Check() != nil {
			return
		}
		spec := provision.Spec{Stack: "book", Settings: have.Settings, Running: have.Running, Zones: [2]string{"a", "b"}, Deployed: &have}
		if _, err := provision.NewStack(c, spec); err != nil {
			t.Errorf("settings that passed the check make no stack: %v", err)
		}
	})
}

type object = map[string]any

// account answers calls by their action: JSON for an object, and what is in an
// XML response otherwise.
type account func(action string) any

func (a account) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if action == "" {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, err
		}
		action = form.Get("Action")
	}
	answer, ok := a(action).(object)
	if ok {
		if body, err = json.Marshal(answer); err != nil {
			return nil, err
		}
	} else {
		body = fmt.Appendf(nil, "<%[1]sResponse><%[1]sResult>%[2]s</%[1]sResult></%[1]sResponse>", action, a(action))
		if action == "DescribeSubnets" { // EC2 wraps it once
			body = fmt.Appendf(nil, "<%[1]sResponse>%[2]s</%[1]sResponse>", action, a(action))
		}
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
}

// pairs are tags of the stack as ECS has them.
func pairs(tags map[string]string) []object {
	out := []object{{"key": provision.TagStack, "value": "book"}}
	for k, v := range tags {
		out = append(out, object{"key": k, "value": v})
	}
	return out
}

// members are tags of the stack as RDS and the load balancers have them.
func members(name string, tags map[string]string) string {
	out := fmt.Sprintf("<%[1]s><Key>%[2]s</Key><Value>book</Value></%[1]s>", name, provision.TagStack)
	for k, v := range tags {
		out += fmt.Sprintf("<%[1]s><Key>%[2]s</Key><Value>%[3]s</Value></%[1]s>", name, k, text(v))
	}
	return out
}

func text(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a builder takes everything
	return b.String()
}

// sent is what of a text arrives: XML has no words for some.
func sent(s string) string {
	var out string
	if xml.Unmarshal([]byte("<a>"+text(s)+"</a>"), &out) != nil {
		return s
	}
	return out
}
