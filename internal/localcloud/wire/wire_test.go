package wire_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	"github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/pricing"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	route53types "github.com/aws/aws-sdk-go-v2/service/route53/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bookctl/bookctl/internal/localcloud/wire"
	"github.com/bookctl/bookctl/internal/requestbody"
)

// clients makes the SDK's client of every service in the table.
var clients = map[string]func(aws.Config) any{
	"acm":                      func(c aws.Config) any { return acm.NewFromConfig(c) },
	"application-autoscaling":  func(c aws.Config) any { return applicationautoscaling.NewFromConfig(c) },
	"cloudwatch":               func(c aws.Config) any { return cloudwatch.NewFromConfig(c) },
	"ec2":                      func(c aws.Config) any { return ec2.NewFromConfig(c) },
	"ecr":                      func(c aws.Config) any { return ecr.NewFromConfig(c) },
	"ecs":                      func(c aws.Config) any { return ecs.NewFromConfig(c) },
	"elbv2":                    func(c aws.Config) any { return elasticloadbalancingv2.NewFromConfig(c) },
	"events":                   func(c aws.Config) any { return eventbridge.NewFromConfig(c) },
	"iam":                      func(c aws.Config) any { return iam.NewFromConfig(c) },
	"logs":                     func(c aws.Config) any { return cloudwatchlogs.NewFromConfig(c) },
	"pricing":                  func(c aws.Config) any { return pricing.NewFromConfig(c) },
	"rds":                      func(c aws.Config) any { return rds.NewFromConfig(c) },
	"resourcegroupstaggingapi": func(c aws.Config) any { return resourcegroupstaggingapi.NewFromConfig(c) },
	"route53":                  func(c aws.Config) any { return route53.NewFromConfig(c) },
	"secretsmanager":           func(c aws.Config) any { return secretsmanager.NewFromConfig(c) },
	"sns":                      func(c aws.Config) any { return sns.NewFromConfig(c) },
	"ssm":                      func(c aws.Config) any { return ssm.NewFromConfig(c) },
	"sts":                      func(c aws.Config) any { return sts.NewFromConfig(c) },
}

// doer is the other end of the wire.
type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

func config(d doer) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String("http://127.0.0.1:1"), HTTPClient: d,
		Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "key", SecretAccessKey: "secret"}, nil
		}),
		APIOptions: []func(*middleware.Stack) error{requestbody.Readable},
	}
}

func load(t testing.TB, service string) *wire.Model {
	t.Helper()
	m, err := wire.Load(service)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var same = cmp.Options{
	cmp.Exporter(func(reflect.Type) bool { return true }),
	cmpopts.EquateEmpty(),
	cmpopts.IgnoreTypes(middleware.Metadata{}),
}

// TestWhatTheSDKSendsAndReadsIsWhatTheCodecReadsAndSends sends every operation
// of the table with random input through the SDK's own client, and answers with
// random output.
func TestWhatTheSDKSendsAndReadsIsWhatTheCodecReadsAndSends(t *testing.T) {
	t.Parallel()
	for service, client := range clients {
		t.Run(service, func(t *testing.T) {
			t.Parallel()
			m := load(t, service)
			left := map[string]bool{} // what the SDK has and the table has not
			for _, name := range slices.Sorted(maps.Keys(m.Operations)) {
				for seed := range 4 {
					roundTrip(t, m, client, name, seed, left)
				}
			}
			if len(left) > 0 {
				t.Logf("newer in the SDK than in the table: %v", slices.Sorted(maps.Keys(left)))
			}
		})
	}
}

func roundTrip(t *testing.T, m *wire.Model, client func(aws.Config) any, name string, seed int, left map[string]bool) {
	t.Helper()
	var received, sent any
	var failed error
	c := client(config(func(r *http.Request) (*http.Response, error) {
		var body []byte
		if r.Body != nil {
			body, _ = io.ReadAll(r.Body)
		}
		asked, err := m.OperationName(r, body)
		if err == nil && asked != name {
			err = fmt.Errorf("the request was read as one of %s", asked)
		}
		if err == nil {
			err = m.Decode(name, r, body, received)
		}
		w := httptest.NewRecorder()
		if err != nil {
			failed = fmt.Errorf("%w\n%s", err, body)
			return nil, failed
		}
		answer, err := m.Encode(name, sent, "request-1", w.Header())
		if err != nil {
			failed = err
			return nil, err
		}
		_, _ = w.Write(answer)
		return w.Result(), nil
	}))
	method := reflect.ValueOf(c).MethodByName(name)
	if !method.IsValid() {
		t.Errorf("the SDK has no operation %s", name)
		return
	}
	h := fnv.New64()
	_, _ = io.WriteString(h, m.Service+name)
	f := filler{m: m, rand: rand.New(rand.NewPCG(h.Sum64(), uint64(seed))), left: left}
	input := reflect.New(method.Type().In(1).Elem())
	f.fill(wire.Member{Of: m.Operations[name].Input}, input.Elem(), name, 0)
	output := reflect.New(method.Type().Out(0).Elem())
	f.fill(wire.Member{Of: m.Operations[name].Output}, output.Elem(), name, 0)
	if host := input.Elem().FieldByName("EndpointId"); host.IsValid() {
		host.SetZero() // it is a part of the address
	}
	received, sent = reflect.New(input.Type().Elem()).Interface(), output.Interface()
	results := method.Call([]reflect.Value{reflect.ValueOf(context.Background()), input})
	err, _ := results[1].Interface().(error)
	if failed != nil {
		err = failed
	}
	if err != nil {
		t.Errorf("%s, seed %d: %v", name, seed, err)
		return
	}
	if diff := cmp.Diff(input.Interface(), received, same); diff != "" {
		t.Errorf("%s, seed %d: the input changed on the wire (-sent +received):\n%s", name, seed, diff)
	}
	if diff := cmp.Diff(sent, results[0].Interface(), same); diff != "" {
		t.Errorf("%s, seed %d: the output changed on the wire (-sent +received):\n%s", name, seed, diff)
	}
}

// filler makes random values for the members that the table knows.
type filler struct {
	m    *wire.Model
	rand *rand.Rand
	left map[string]bool
}

const runes = "abcXYZ019 <>&\"'\n+%/=.:é世\U0001F600"

func (f filler) text(from string) string {
	all := []rune(from)
	b := make([]rune, 1+f.rand.IntN(12))
	for i := range b {
		b[i] = all[f.rand.IntN(len(all))]
	}
	return string(b)
}

func (f filler) fill(member wire.Member, v reflect.Value, path string, depth int) {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	s := f.m.Shapes[member.Of]
	switch {
	case s == nil && member.Of != "":
		f.scalar(member, v)
	case s == nil || s.Type == "structure":
		f.structure(member.Of, s, v, path, depth)
	case s.Type == "list":
		list := reflect.MakeSlice(v.Type(), 1+f.rand.IntN(3), 4)
		for i := range list.Len() {
			f.fill(*s.Element, list.Index(i), path, depth+1)
		}
		v.Set(list)
	case s.Type == "map":
		entries := reflect.MakeMap(v.Type())
		for range 1 + f.rand.IntN(3) {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			f.fill(*s.Key, key, path, depth+1)
			f.fill(*s.Value, value, path, depth+1)
			entries.SetMapIndex(key, value)
		}
		v.Set(entries)
	}
}

func (f filler) structure(of string, s *wire.Shape, v reflect.Value, path string, depth int) {
	var optional []func()
	some := false
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() || field.Name == "ResultMetadata" {
			continue
		}
		name, known := field.Name, false
		if s != nil {
			for n := range s.Members {
				if strings.EqualFold(n, field.Name) {
					name, known = n, true
				}
			}
		}
		if !known || field.Type.Kind() == reflect.Interface {
			f.left[of+"."+name] = true
			continue
		}
		fill := func() { f.fill(s.Members[name], v.Field(i), path+"."+name, depth+1) }
		// The SDK makes up tokens that are not given.
		if slices.Contains(s.Required, name) || strings.Contains(name, "Token") {
			fill()
			some = true
			continue
		}
		if f.m.Shapes[s.Members[name].Of] == nil || depth < 5 {
			optional = append(optional, fill)
		}
	}
	for _, fill := range optional {
		if f.rand.IntN(4) > 0 {
			fill()
			some = true
		}
	}
	if !some && len(optional) > 0 {
		optional[f.rand.IntN(len(optional))]() // a query can't say 'an empty structure'
	}
}

func (f filler) scalar(member wire.Member, v reflect.Value) {
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		// Eighths of a second: the SDK reads JSON's as a float, and cuts it off.
		v.Set(reflect.ValueOf(time.UnixMilli(f.rand.Int64N(32e9) * 125).UTC()))
	case v.Kind() == reflect.String:
		if values := v.MethodByName("Values"); values.IsValid() {
			all := values.Call(nil)[0]
			v.SetString(all.Index(f.rand.IntN(all.Len())).String())
			return
		}
		if member.At != "" {
			v.SetString(f.text("abcXYZ019"))
			return
		}
		v.SetString(f.text(runes))
	case v.Kind() == reflect.Bool:
		v.SetBool(f.rand.IntN(2) == 0)
	case v.CanInt():
		v.SetInt(f.rand.Int64N(1 << 31))
	case v.CanFloat():
		v.SetFloat(float64(f.rand.IntN(1<<20)) / 8)
	default:
		v.SetBytes([]byte(f.text(runes)))
	}
}

// TestErrorsArriveAsTheSDKsOwn covers each protocol, with errors that the SDK
// has a type for.
func TestErrorsArriveAsTheSDKsOwn(t *testing.T) {
	t.Parallel()
	cases := []struct {
		service, code string
		call          func(aws.Config) error
		typed         any // what errors.As must find; nil for any
	}{
		{"ec2", "InvalidVpcID.NotFound", func(c aws.Config) error {
			_, err := ec2.NewFromConfig(c).DescribeVpcs(t.Context(), &ec2.DescribeVpcsInput{})
			return err
		}, nil},
		{"iam", "NoSuchEntity", func(c aws.Config) error {
			_, err := iam.NewFromConfig(c).GetRole(t.Context(), &iam.GetRoleInput{RoleName: aws.String("x")})
			return err
		}, new(*iamtypes.NoSuchEntityException)},
		{"rds", "DBInstanceNotFound", func(c aws.Config) error {
			_, err := rds.NewFromConfig(c).DescribeDBInstances(t.Context(), &rds.DescribeDBInstancesInput{})
			return err
		}, new(*rdstypes.DBInstanceNotFoundFault)},
		{"ecs", "ClusterNotFoundException", func(c aws.Config) error {
			_, err := ecs.NewFromConfig(c).DescribeServices(t.Context(), &ecs.DescribeServicesInput{Services: []string{"x"}})
			return err
		}, new(*ecstypes.ClusterNotFoundException)},
		{"route53", "NoSuchHostedZone", func(c aws.Config) error {
			_, err := route53.NewFromConfig(c).GetHostedZone(t.Context(), &route53.GetHostedZoneInput{Id: aws.String("Z1")})
			return err
		}, new(*route53types.NoSuchHostedZone)},
	}
	for _, tc := range cases {
		t.Run(tc.service, func(t *testing.T) {
			t.Parallel()
			m := load(t, tc.service)
			const message = `it's <not> there & "won't" be`
			err := tc.call(config(func(*http.Request) (*http.Response, error) {
				w := httptest.NewRecorder()
				body := m.EncodeError(tc.code, message, http.StatusBadRequest, "request-1", w.Header())
				w.WriteHeader(http.StatusBadRequest)
				_, _ = w.Write(body)
				return w.Result(), nil
			}))
			var api smithy.APIError
			if !errors.As(err, &api) || api.ErrorMessage() != message {
				t.Fatalf("the error is %v", err)
			}
			if tc.typed == nil && api.ErrorCode() != tc.code {
				t.Errorf("the code is %s", api.ErrorCode())
			}
			if tc.typed != nil && !errors.As(err, tc.typed) {
				t.Errorf("%v is not a %T", err, tc.typed)
			}
		})
	}
}

// TestWhatTheTableDoesNotKnowIsRefusedByName holds the rule of package wire.
func TestWhatTheTableDoesNotKnowIsRefusedByName(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, service, operation, body string
		input                          any
		code, names                    string
	}{
		{"unknown parameter", "ec2", "CreateVpc", "Action=CreateVpc&CidrBlok=10.0.0.0%2F16", new(ec2.CreateVpcInput), "UnknownParameter", "CidrBlok"},
		{"unknown nested", "ec2", "CreateVpc", "Action=CreateVpc&TagSpecification.1.Tag.1.Kay=x", new(ec2.CreateVpcInput), "UnknownParameter", "TagSpecification.1.Tag.1.Kay"},
		{"not an index", "ec2", "DescribeVpcs", "Action=DescribeVpcs&VpcId.first=x", new(ec2.DescribeVpcsInput), "UnknownParameter", "VpcId.first"},
		{"missing", "ec2", "CreateSubnet", "Action=CreateSubnet", new(ec2.CreateSubnetInput), "MissingParameter", "VpcId"},
		{"not a number", "ec2", "DescribeVpcs", "Action=DescribeVpcs&MaxResults=many", new(ec2.DescribeVpcsInput), "InvalidParameterValue", "MaxResults"},
		{"not of the enumeration", "ec2", "CreateVpc", "Action=CreateVpc&InstanceTenancy=shared", new(ec2.CreateVpcInput), "InvalidParameterValue", "InstanceTenancy"},
		{"twice", "iam", "GetRole", "Action=GetRole&RoleName=a&RoleName=b", new(iam.GetRoleInput), "ValidationError", "RoleName"},
		{"missing", "iam", "GetRole", "Action=GetRole", new(iam.GetRoleInput), "ValidationError", "RoleName"},
		{"unknown", "rds", "DescribeDBInstances", "Action=DescribeDBInstances&Name=x", new(rds.DescribeDBInstancesInput), "ValidationError", "Name"},
		{"unknown", "ecs", "ListTasks", `{"klaster":"x"}`, new(ecs.ListTasksInput), "ValidationException", "klaster"},
		{"wrong type", "ecs", "ListTasks", `{"cluster":7}`, new(ecs.ListTasksInput), "SerializationException", "cluster"},
		{"out of range", "ecs", "ListTasks", `{"maxResults":99999999999}`, new(ecs.ListTasksInput), "ValidationException", "maxResults"},
		{"not JSON", "ecs", "ListTasks", `{"cluster"`, new(ecs.ListTasksInput), "SerializationException", "not JSON"},
		{"missing", "secretsmanager", "CreateSecret", `{}`, new(secretsmanager.CreateSecretInput), "ValidationException", "Name"},
	}
	for _, tc := range cases {
		t.Run(tc.service+" "+tc.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodPost, "/", nil)
			err := load(t, tc.service).Decode(tc.operation, r, []byte(tc.body), tc.input)
			var bad *wire.Error
			if !errors.As(err, &bad) {
				t.Fatalf("the error is %v", err)
			}
			if bad.Code != tc.code || !strings.Contains(bad.Message, tc.names) {
				t.Errorf("%v; want code %s that names %q", bad, tc.code, tc.names)
			}
		})
	}
}

// TestTheTableIsOfTheListedOperations fails when the list was changed and the
// tables were not generated anew.
func TestTheTableIsOfTheListedOperations(t *testing.T) {
	t.Parallel()
	list, err := os.ReadFile("operations.txt")
	if err != nil {
		t.Fatal(err)
	}
	var listed, generated []string
	services := map[string]bool{}
	for line := range strings.Lines(string(list)) {
		if words := strings.Fields(line); len(words) == 2 && words[0] != "#" {
			listed = append(listed, strings.Join(words, " "))
			services[words[0]] = true
		}
	}
	for service := range services {
		if clients[service] == nil {
			t.Errorf("clients, above, has no line for %s", service)
		}
		for name := range load(t, service).Operations {
			generated = append(generated, service+" "+name)
		}
	}
	slices.Sort(listed)
	slices.Sort(generated)
	if diff := cmp.Diff(listed, generated); diff != "" {
		t.Errorf("run go generate ./internal/localcloud/wire (-listed +generated):\n%s", diff)
	}
}

// TestTheEnumerationsAreThoseOfTheSDK compares what requests are checked against with the
// SDK, whose types have the values that AWS takes.
func TestTheEnumerationsAreThoseOfTheSDK(t *testing.T) {
	t.Parallel()
	for service, client := range clients {
		t.Run(service, func(t *testing.T) {
			t.Parallel()
			m := load(t, service)
			seen := map[string]bool{}
			var compare func(path string, member wire.Member, typ reflect.Type)
			compare = func(path string, member wire.Member, typ reflect.Type) {
				if typ.Kind() == reflect.Pointer {
					typ = typ.Elem()
				}
				s := m.Shapes[member.Of]
				if s == nil {
					var want []string
					if values, ok := typ.MethodByName("Values"); ok {
						for _, v := range values.Func.Call([]reflect.Value{reflect.Zero(typ)})[0].Seq2() {
							want = append(want, v.String())
						}
					}
					have := slices.Clone(m.Enums[member.Enum])
					slices.Sort(have)
					slices.Sort(want)
					if diff := cmp.Diff(want, have); diff != "" {
						t.Errorf("%s, enumeration %q (-SDK +table):\n%s", path, member.Enum, diff)
					}
					return
				}
				if seen[member.Of] || typ.Kind() == reflect.Interface { // a union
					return
				}
				seen[member.Of] = true
				switch s.Type {
				case "structure":
					for name, part := range s.Members {
						if f, ok := typ.FieldByNameFunc(func(s string) bool { return strings.EqualFold(s, name) }); ok {
							compare(member.Of+"."+name, part, f.Type)
						}
					}
				case "list":
					compare(member.Of, *s.Element, typ.Elem())
				case "map":
					compare(member.Of, *s.Key, typ.Key())
					compare(member.Of, *s.Value, typ.Elem())
				}
			}
			for name, o := range m.Operations {
				call, ok := reflect.TypeOf(client(aws.Config{})).MethodByName(name)
				if !ok {
					t.Fatalf("the SDK has no %s", name)
				}
				compare(name, wire.Member{Of: o.Input}, call.Type.In(2))
			}
		})
	}
}
