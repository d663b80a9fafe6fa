package provision_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	acm "github.com/aws/aws-sdk-go-v2/service/acm/types"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	cloudwatch "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	logs "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	ec2 "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	ecr "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	ecs "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	iam "github.com/aws/aws-sdk-go-v2/service/iam/types"
	rds "github.com/aws/aws-sdk-go-v2/service/rds/types"
	route53 "github.com/aws/aws-sdk-go-v2/service/route53/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

var (
	driftSection = regexp.MustCompile("(?m)^## [^:\n]+: `([a-z0-9]+\\.[A-Za-z]+)` in `([a-z_]+\\.go)`$")
	driftRow     = regexp.MustCompile("^\\| (`[^|]+`) \\| ([^|]+) \\|$")
	quotedField  = regexp.MustCompile("`([A-Za-z0-9]+)`")
)

// TestEachFieldOfAnAnswerIsComparedOrNotForAReason holds docs/drift.md against the
// types in which AWS answers: a field that AWS adds has to be thought about.
func TestEachFieldOfAnAnswerIsComparedOrNotForAReason(t *testing.T) {
	t.Parallel()
	answers := map[string]reflect.Type{}
	for _, of := range []struct {
		service string
		answers []any
	}{
		{"elasticloadbalancingv2", []any{elb.TargetGroup{}, elb.LoadBalancer{}, elb.Listener{}}},
		{"ec2", []any{ec2.Vpc{}, ec2.Subnet{}, ec2.RouteTable{}, ec2.Route{}, ec2.InternetGateway{}, ec2.NetworkAcl{}, ec2.SecurityGroup{}}},
		{"ecs", []any{ecs.Service{}, ecs.DeploymentConfiguration{}, ecs.Cluster{}, ecs.TaskDefinition{}}},
		{"ecr", []any{ecr.Repository{}}},
		{"iam", []any{iam.Role{}}},
		{"acm", []any{acm.CertificateDetail{}}},
		{"route53", []any{route53.ResourceRecordSet{}}},
		{"applicationautoscaling", []any{scaling.ScalableTarget{}, scaling.ScalingPolicy{}}},
		{"secretsmanager", []any{secretsmanager.DescribeSecretOutput{}}},
		{"cloudwatch", []any{cloudwatch.MetricAlarm{}}},
		{"eventbridge", []any{eventbridge.DescribeRuleOutput{}}},
		{"cloudwatchlogs", []any{logs.LogGroup{}}},
		{"rds", []any{rds.DBInstance{}}},
	} {
		for _, a := range of.answers {
			answers[of.service+"."+reflect.TypeOf(a).Name()] = reflect.TypeOf(a)
		}
	}
	text, err := os.ReadFile("../../docs/drift.md")
	if err != nil {
		t.Fatal(err)
	}
	heads := driftSection.FindAllStringSubmatchIndex(string(text), -1)
	for i, at := range heads {
		end := len(text)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		name, file := string(text[at[2]:at[3]]), string(text[at[4]:at[5]])
		answer, ok := answers[name]
		if !ok {
			t.Errorf("docs/drift.md has a section of %s, of which this test knows no type", name)
			continue
		}
		delete(answers, name)
		source := sourceOf(t, file)
		said := map[string]bool{}
		for line := range strings.Lines(string(text[at[1]:end])) {
			row := driftRow.FindStringSubmatch(strings.TrimSpace(line))
			if row == nil {
				continue
			}
			for _, m := range quotedField.FindAllStringSubmatch(row[1], -1) {
				field := m[1]
				if _, ok := answer.FieldByName(field); !ok || said[field] {
					t.Errorf("%s: %s is no field of it (remove it from docs/drift.md), or is there twice", name, field)
				}
				said[field] = true
				if reads := strings.Contains(source, "."+field); (row[2] == "compared" || row[2] == "state") && !reads {
					t.Errorf("%s: %s is said to be %s, and %s does not read it", name, field, row[2], file)
				}
			}
		}
		for i := range answer.NumField() {
			if f := answer.Field(i); f.IsExported() && !said[f.Name] {
				t.Errorf("%s: docs/drift.md does not say whether %s is compared", name, f.Name)
			}
		}
	}
	for name := range answers {
		t.Errorf("docs/drift.md has no section of %s", name)
	}
}

// sourceOf is the source of a resource: its file, and those that begin with the file's name.
func sourceOf(t *testing.T, file string) string {
	t.Helper()
	more, err := filepath.Glob(strings.TrimSuffix(file, ".go") + "_*.go")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range append(more, file) {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		text, err := os.ReadFile(filepath.Clean(f))
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
