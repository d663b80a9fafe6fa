package cli_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/bookctl/bookctl/internal/localcloud"
)

// shape is a part of AWS's model of an API, as botocore has it.
type shape struct {
	Type       string
	Required   []string
	Members    map[string]shapeRef
	Member     shapeRef
	Key, Value shapeRef
	Min, Max   *float64
	Pattern    string
	Enum       []string
}

type shapeRef struct{ Shape string }

type apiModel struct {
	Operations map[string]struct{ Input shapeRef }
	Shapes     map[string]shape
}

// modelNames are what botocore calls services that IAM calls otherwise.
var modelNames = map[string]string{"elasticloadbalancing": "elbv2", "tag": "resourcegroupstaggingapi"}

// modelDir finds the API models that come with the AWS CLI, or with anything else
// that has botocore.
func modelDir(t *testing.T) string {
	t.Helper()
	var places []string
	for _, module := range []string{"botocore", "awscli.botocore"} {
		if out, err := exec.CommandContext(t.Context(), "python3", "-c", "import "+module+" as b; print(b.__path__[0])").Output(); err == nil {
			places = append(places, strings.TrimSpace(string(out)))
		}
	}
	for _, pattern := range []string{"/usr/lib/python3/dist-packages/*/botocore", "/usr/lib/python3/dist-packages/botocore", "/usr/local/aws-cli/v2/current/dist/*/botocore", "/opt/homebrew/Cellar/awscli/*/libexec/lib/python3*/site-packages/*/botocore"} {
		found, _ := filepath.Glob(pattern) // the patterns are well-formed
		places = append(places, found...)
	}
	for _, p := range places {
		if _, err := os.Stat(filepath.Join(p, "data", "ec2")); err == nil {
			return filepath.Join(p, "data")
		}
	}
	t.Fatal("the API models of AWS are not here; .ci/setup installs the AWS CLI, which has them")
	return ""
}

// readModel reads the newest model of a service.
func readModel(t *testing.T, dir, service string) apiModel {
	t.Helper()
	if name, ok := modelNames[service]; ok {
		service = name
	}
	files, err := filepath.Glob(filepath.Join(dir, service, "*", "service-2.json*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there is no model of %s: %v", service, err)
	}
	file, err := os.Open(slices.Max(files))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }() // it was only read
	var in io.Reader = file
	if strings.HasSuffix(file.Name(), ".gz") {
		if in, err = gzip.NewReader(file); err != nil {
			t.Fatal(err)
		}
	}
	var m apiModel
	if err := json.NewDecoder(in).Decode(&m); err != nil {
		t.Fatal(err)
	}
	return m
}

// fitModels holds each request of whole runs against AWS's model of it, and
// against the rules that the models lack, each of which has to be met.
func fitModels(t *testing.T, asked []localcloud.AuthorizedCall) {
	t.Helper()
	c := checkModels(t, asked)
	for _, wrong := range c.wrong {
		t.Error(wrong)
	}
	for i, r := range unmodelled {
		if !c.met[i] {
			t.Errorf("no request has what %v is about", r.at)
		}
	}
	t.Logf("%d values were checked; patterns that were not: %v", c.checks, slices.Sorted(maps.Keys(c.odd)))
	if c.checks < 3000 {
		t.Errorf("only %d values were checked", c.checks)
	}
}

func checkModels(t *testing.T, asked []localcloud.AuthorizedCall) *modelCheck {
	t.Helper()
	dir := modelDir(t)
	c := &modelCheck{met: map[int]bool{}, odd: map[string]bool{}}
	models := map[string]apiModel{}
	for _, a := range asked {
		if a.Input == nil {
			continue // the registry's protocol
		}
		service, operation, _ := strings.Cut(a.Action, ":")
		if _, ok := models[service]; !ok {
			models[service] = readModel(t, dir, service)
		}
		c.model = models[service]
		o, ok := c.model.Operations[operation]
		if !ok {
			t.Fatalf("the model has no %s", a.Action)
		}
		c.fit(o.Input.Shape, operation, reflect.ValueOf(a.Input))
	}
	return c
}

// TestTheModelsRefuse has requests that AWS refuses: a required member that is
// missing, a length, a pattern, a value that is none of the known, a number
// without its range, and a name that only documents rule out.
func TestTheModelsRefuse(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		action string
		input  any
		says   string
	}{
		{"iam:CreateRole", &iam.CreateRoleInput{RoleName: aws.String("a")}, "CreateRole.AssumeRolePolicyDocument: is required and missing"},
		{"iam:GetRole", &iam.GetRoleInput{RoleName: aws.String("a b")}, `GetRole.RoleName: "a b" does not fit [\w+=,.@-]+`},
		{"iam:GetRole", &iam.GetRoleInput{RoleName: aws.String(strings.Repeat("a", 65))}, "GetRole.RoleName: 65 characters, outside 1 to 64"},
		{"ssm:GetParameters", &ssm.GetParametersInput{Names: make([]string, 11)}, "GetParameters.Names: 11 items, outside 1 to 10"},
		{"ssm:PutParameter", &ssm.PutParameterInput{Name: aws.String("a"), Value: aws.String("b"), Type: "Text"}, `PutParameter.Type: "Text" is not of [String StringList SecureString]`},
		{"ssm:GetParametersByPath", &ssm.GetParametersByPathInput{Path: aws.String("/a"), MaxResults: aws.Int32(11)}, "GetParametersByPath.MaxResults: 11 as a number, outside 1 to 10"},
		{"rds:DeleteDBInstance", &rds.DeleteDBInstanceInput{DBInstanceIdentifier: aws.String("book-")}, `"book-" is against https://docs.aws.amazon.com/`},
	} {
		c := checkModels(t, []localcloud.AuthorizedCall{{Call: localcloud.Call{Action: tc.action}, Input: tc.input}})
		if !slices.ContainsFunc(c.wrong, func(w string) bool { return strings.Contains(w, tc.says) }) {
			t.Errorf("%s: %q, want %q", tc.action, c.wrong, tc.says)
		}
	}
}

// modelCheck holds requests against models.
type modelCheck struct {
	model  apiModel
	checks int
	wrong  []string        // each once
	met    map[int]bool    // the unmodelled rules that something was held against
	odd    map[string]bool // patterns that Go's expressions can't have
}

func (c *modelCheck) fail(path, format string, args ...any) {
	wrong := path + ": " + fmt.Sprintf(format, args...)
	if !slices.Contains(c.wrong, wrong) {
		c.wrong = append(c.wrong, wrong)
	}
}

// present unwraps what is given; false is for what is not.
func present(v reflect.Value) (reflect.Value, bool) {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return v, false
		}
		v = v.Elem()
		if k := v.Kind(); k != reflect.Pointer && k != reflect.Interface {
			return v, true
		}
	}
	// Without a pointer, the SDK sends nothing for a zero.
	return v, !v.IsZero()
}

func (c *modelCheck) fit(name, path string, v reflect.Value) {
	v, given := present(v)
	if !given {
		return
	}
	c.checks++
	s := c.model.Shapes[name]
	switch s.Type {
	case "structure":
		c.structure(s, path, v)
	case "list":
		c.within(s, path, "items", float64(v.Len()))
		for i := range v.Len() {
			c.fit(s.Member.Shape, path+"[]", v.Index(i))
		}
	case "map":
		c.within(s, path, "entries", float64(v.Len()))
		for e := v.MapRange(); e.Next(); {
			c.fit(s.Key.Shape, path+"{}", e.Key())
			c.fit(s.Value.Shape, path+"."+e.Key().String(), e.Value())
		}
	case "string":
		c.text(s, path, v.String())
	case "integer", "long", "float", "double":
		if v.CanInt() {
			c.within(s, path, "as a number", float64(v.Int()))
		} else {
			c.within(s, path, "as a number", v.Float())
		}
	case "blob":
		c.within(s, path, "bytes", float64(v.Len()))
	}
}

func (c *modelCheck) structure(s shape, path string, v reflect.Value) {
	for name, ref := range s.Members {
		f := v.FieldByNameFunc(func(field string) bool { return strings.EqualFold(field, name) })
		if !f.IsValid() {
			if slices.Contains(s.Required, name) {
				c.fail(path, "the SDK has no %s, which is required", name)
			}
			continue
		}
		inner := path + "." + name
		if _, given := present(f); !given && slices.Contains(s.Required, name) {
			// An empty list is given, and so is a zero that has no pointer.
			if k := f.Kind(); k == reflect.Pointer || k == reflect.String || (k == reflect.Slice || k == reflect.Map) && f.IsNil() {
				c.fail(inner, "is required and missing")
			}
		}
		c.fit(ref.Shape, inner, f)
		for i, r := range unmodelled {
			if r.at.MatchString(inner) {
				if value, given := present(f); given {
					c.met[i] = true
					c.notDeployed(r, inner, value)
				}
			}
		}
	}
}

func (c *modelCheck) within(s shape, path, what string, n float64) {
	if s.Min != nil && n < *s.Min || s.Max != nil && n > *s.Max {
		c.fail(path, "%v %s, outside %s to %s", n, what, bound(s.Min), bound(s.Max))
	}
}

func bound(n *float64) string {
	if n == nil {
		return "any"
	}
	return fmt.Sprint(*n)
}

func (c *modelCheck) text(s shape, path, value string) {
	c.within(s, path, "characters", float64(utf8.RuneCountInString(value)))
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, value) {
		c.fail(path, "%q is not of %v", value, s.Enum)
	}
	if s.Pattern == "" {
		return
	}
	// As Java writes characters by their numbers.
	pattern := regexp.MustCompile(`\\u([0-9A-Fa-f]{4})`).ReplaceAllString(s.Pattern, `\x{$1}`)
	whole, err := regexp.Compile(`^(?s:` + pattern + `)$`)
	if err != nil {
		c.odd[s.Pattern] = true
		return
	}
	if !whole.MatchString(value) {
		c.fail(path, "%q does not fit %s", value, s.Pattern)
	}
}

// unmodelledRule is a rule that AWS's documents have and its models lack.
type unmodelledRule struct {
	at   *regexp.Regexp // operation and members
	fits *regexp.Regexp // the whole value
	not  *regexp.Regexp // nothing of it; nil for no such rule
	page string
}

var unmodelled = []unmodelledRule{
	rdsName(`DBInstanceIdentifier`, 63), rdsName(`(Final|Target)?DBSnapshotIdentifier`, 255), rdsName(`DBParameterGroupName`, 255),
	{
		at: regexp.MustCompile(`^(CreateDBSubnetGroup|CreateDBInstance|RestoreDBInstanceFromDBSnapshot)\.DBSubnetGroupName$`), fits: regexp.MustCompile(`^[A-Za-z0-9._ -]{1,255}$`), not: regexp.MustCompile(`^(?i)default$`),
		page: "https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBSubnetGroup.html",
	},
	{
		at: regexp.MustCompile(`^CreateDBInstance\.MasterUsername$`), fits: regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]{0,62}$`),
		page: "https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html",
	},
	{
		at: regexp.MustCompile(`DBInstance\.MasterUserPassword$`), fits: regexp.MustCompile(`^[!-~]{8,128}$`), not: regexp.MustCompile(`[/"@]`),
		page: "https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html",
	},
	{
		at: regexp.MustCompile(`DBInstance\.BackupRetentionPeriod$`), fits: regexp.MustCompile(`^([0-9]|[12][0-9]|3[0-5])$`),
		page: "https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html",
	},
	{
		at: regexp.MustCompile(`^Create(LoadBalancer|TargetGroup)\.Name$`), fits: regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?$`), not: regexp.MustCompile(`^internal-`),
		page: "https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html",
	},
	{
		at: regexp.MustCompile(`^CreateSecurityGroup\.(GroupName|Description)$`), fits: regexp.MustCompile(`^[A-Za-z0-9 ._:/()#,@\[\]+=&;{}!$*-]{1,255}$`), not: regexp.MustCompile(`^sg-`),
		page: "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html",
	},
	{
		at: regexp.MustCompile(`SecurityGroup(In|E)gress\.IpPermissions\[\]\..*\.Description$`), fits: regexp.MustCompile(`^[A-Za-z0-9 ._:/()#,@\[\]+=&;{}!$*-]{0,255}$`),
		page: "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html",
	},
	{
		at: regexp.MustCompile(`^Create(Vpc|Subnet)\.CidrBlock$`), fits: regexp.MustCompile(`^[0-9.]+/(1[6-9]|2[0-8])$`),
		page: "https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html",
	},
	{
		at: regexp.MustCompile(`(?i)Tags?(Specifications)?\[\](\.Tags\[\])?\.Key$`), fits: regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+@-]{1,128}$`), not: regexp.MustCompile(`^(?i)aws:`),
		page: "https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html",
	},
	{
		at: regexp.MustCompile(`(?i)Tags?(Specifications)?\[\](\.Tags\[\])?\.Value$`), fits: regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+@-]{0,256}$`),
		page: "https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html",
	},
	{
		at: regexp.MustCompile(`^(CreateCluster\.clusterName|CreateService\.serviceName|RegisterTaskDefinition\.family|RegisterTaskDefinition\.containerDefinitions\[\]\.name)$`), fits: regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`),
		page: "https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateService.html",
	},
	{
		at: regexp.MustCompile(`^RegisterTaskDefinition\.cpu$`), fits: regexp.MustCompile(`^(256|512|1024|2048|4096|8192|16384)$`),
		page: "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html",
	},
}

// rdsName is the rule of most names of RDS.
func rdsName(member string, longest int) unmodelledRule {
	return unmodelledRule{
		at:   regexp.MustCompile(`^(Create|Copy|Delete|Restore)[A-Za-z]*\.` + member + `$`),
		fits: regexp.MustCompile(fmt.Sprintf(`^[A-Za-z][A-Za-z0-9-]{0,%d}$`, longest-1)),
		not:  regexp.MustCompile(`--|-$`),
		page: "https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html",
	}
}

func (c *modelCheck) notDeployed(r unmodelledRule, path string, v reflect.Value) {
	value := fmt.Sprint(v.Interface())
	if !r.fits.MatchString(value) || r.not != nil && r.not.MatchString(value) {
		c.fail(path, "%q is against %s", value, r.page)
	}
}
