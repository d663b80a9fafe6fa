package cli_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	tagapi "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	tagtypes "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi/types"
)

// TestEverythingHasTheUsersTags gives a stack tags at its making, and later others; what
// happens to them by hand is repaired, and what others put there stays.
func TestEverythingHasTheUsersTags(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, ctx := newShell(t), t.Context()
	h := s.byHand(t, nil)
	tagged := func() map[string]map[string]string {
		t.Helper()
		out := map[string]map[string]string{}
		pages := tagapi.NewGetResourcesPaginator(tagapi.NewFromConfig(h.Config), &tagapi.GetResourcesInput{
			TagFilters: []tagtypes.TagFilter{{Key: aws.String("bookctl:stack"), Values: []string{"book"}}},
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			h.must(err)
			for _, r := range page.ResourceTagMappingList {
				tags := map[string]string{}
				for _, tag := range r.Tags {
					tags[*tag.Key] = *tag.Value
				}
				out[*r.ResourceARN] = tags
			}
		}
		// Those that the tagging API does not list.
		roles, err := iam.NewFromConfig(h.Config).ListRoles(ctx, &iam.ListRolesInput{})
		h.must(err)
		for _, role := range roles.Roles {
			if !strings.HasPrefix(*role.RoleName, "book-") {
				continue
			}
			of, err := iam.NewFromConfig(h.Config).ListRoleTags(ctx, &iam.ListRoleTagsInput{RoleName: role.RoleName})
			h.must(err)
			out[*role.Arn] = map[string]string{}
			for _, tag := range of.Tags {
				out[*role.Arn][*tag.Key] = *tag.Value
			}
		}
		client := ecs.NewFromConfig(h.Config)
		tasks, err := client.ListTasks(ctx, &ecs.ListTasksInput{Cluster: aws.String("book-cluster")})
		h.must(err)
		if len(tasks.TaskArns) > 0 {
			all, err := client.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: aws.String("book-cluster"), Tasks: tasks.TaskArns, Include: []ecstypes.TaskField{ecstypes.TaskFieldTags}})
			h.must(err)
			for _, task := range all.Tasks {
				out[*task.TaskArn] = map[string]string{}
				for _, tag := range task.Tags {
					out[*task.TaskArn][*tag.Key] = *tag.Value
				}
			}
		}
		return out
	}
	// What has the tags, and what must not; where is in the ARNs that are left out.
	everywhere := func(when string, least int, want map[string]string, never []string, but ...string) {
		t.Helper()
		all := tagged()
		if len(all) < least {
			t.Errorf("%s there are %d things with tags", when, len(all))
		}
		for arn, tags := range all {
			if slices.ContainsFunc(but, func(part string) bool { return strings.Contains(arn, part) }) {
				continue
			}
			for key, value := range want {
				if have, there := tags[key]; !there || have != value {
					t.Errorf("%s %s has %v, not %s=%s", when, arn, tags, key, value)
				}
			}
			for _, key := range never {
				if value, there := tags[key]; there {
					t.Errorf("%s %s still has %s=%s", when, arn, key, value)
				}
			}
		}
	}

	// What has the tags of when it was made.
	later := []string{":task/", ":network-interface/", ":snapshot:", ":parameter/"}

	s.run("up", "--local", "--tag", "aws:team=x").says(t, 64, `tag "aws:team"`, "--tag")
	s.run("up", "--local", "--tag", "team").says(t, 64, "--tag takes KEY=VALUE")
	s.up("--min", "1", "--max", "2", "--tag", "team=payments", "--tag", "Cost Center=42")
	everywhere("after the first up", 25, map[string]string{"team": "payments", "Cost Center": "42"}, nil)
	if r := s.run("up", "--local"); r.code != 0 || !strings.Contains(r.err, "0 changed") {
		t.Errorf("another up: %d\n%s%s", r.code, r.out, r.err)
	}

	// By hand: one is gone, one is another, and one is somebody's own.
	network := ec2.NewFromConfig(h.Config)
	vpcs, err := network.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: []ec2types.Filter{{Name: aws.String("tag:bookctl:stack"), Values: []string{"book"}}}})
	h.must(err)
	vpc := vpcs.Vpcs[0].VpcId
	h.must(ok(network.DeleteTags(ctx, &ec2.DeleteTagsInput{Resources: []string{*vpc}, Tags: []ec2types.Tag{{Key: aws.String("team")}}})))
	h.must(ok(network.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{*vpc}, Tags: []ec2types.Tag{{Key: aws.String("scanner"), Value: aws.String("theirs")}}})))
	service := "arn:aws:ecs:us-east-1:000000000000:service/book-cluster/book-service"
	h.must(ok(ecs.NewFromConfig(h.Config).TagResource(ctx, &ecs.TagResourceInput{ResourceArn: &service, Tags: []ecstypes.Tag{{Key: aws.String("team"), Value: aws.String("other")}}})))
	h.must(ok(ecs.NewFromConfig(h.Config).UntagResource(ctx, &ecs.UntagResourceInput{ResourceArn: &service, TagKeys: []string{"bookctl:tags"}})))
	r := s.run("plan", "--local")
	for _, want := range []string{"tag team: (none) → payments", "tag team: other → payments", "0 blocked"} {
		if r.code != 2 || !strings.Contains(r.out, want) {
			t.Errorf("plan does not say %q: %d\n%s%s", want, r.code, r.out, r.err)
		}
	}
	s.up()
	everywhere("after the repair", 25, map[string]string{"team": "payments", "Cost Center": "42"}, nil)

	// Others are given, and cut off half way.
	h.faults(map[string]any{"deny": []string{"rds:RemoveTagsFromResource"}})
	s.run("up", "--local", "--untag", "team", "--tag", "owner=ada", "--tag", "Cost Center=43").says(t, 4, "rds:RemoveTagsFromResource")
	h.faults(map[string]any{})
	r = s.run("up", "--local", "--untag", "team", "--tag", "owner=ada", "--tag", "Cost Center=43")
	r.says(t, 0)
	everywhere("after a change", 25, map[string]string{"owner": "ada", "Cost Center": "43"}, []string{"team"}, later...)
	s.run("up", "--local").says(t, 0, "0 changed")
	if tags := tagged()["arn:aws:ec2:us-east-1:000000000000:vpc/"+*vpc]; tags["scanner"] != "theirs" {
		t.Errorf("the VPC has %v, and somebody's own tag is gone", tags)
	}

	s.run("up", "--local", "--untag", "owner", "--untag", "Cost Center").says(t, 0)
	everywhere("without tags", 25, nil, []string{"owner", "Cost Center", "bookctl:tags"}, later...)
	s.run("up", "--local").says(t, 0, "0 changed")

	// The final snapshot has those of the database.
	s.up("--tag", "team=payments")
	until(t, "the first backup is over", func() bool {
		return strings.Contains(strings.Join(h.inventory(), "\n"), "database book-database available")
	})
	s.run("destroy", "--local", "--yes").says(t, 0, " 0 left")
	snapshots, err := rds.NewFromConfig(h.Config).DescribeDBSnapshots(ctx, &rds.DescribeDBSnapshotsInput{SnapshotType: aws.String("manual")})
	h.must(err)
	if len(snapshots.DBSnapshots) != 1 {
		t.Fatalf("there are %d snapshots", len(snapshots.DBSnapshots))
	}
	of := map[string]string{}
	for _, tag := range snapshots.DBSnapshots[0].TagList {
		of[*tag.Key] = *tag.Value
	}
	if of["team"] != "payments" {
		t.Errorf("the final snapshot has %v", slices.Sorted(maps.Keys(of)))
	}
}

// TestAnOrganizationThatWantsATagIsSatisfied runs under a policy that denies whatever is
// made without a tag, as AWS's examples of service control policies do.
func TestAnOrganizationThatWantsATagIsSatisfied(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	file := filepath.Join(s.dir, "policy.json")
	if err := os.WriteFile(file, []byte(`{"Version": "2012-10-17", "Statement": [
		{"Effect": "Allow", "Action": "*", "Resource": "*"},
		{"Effect": "Deny",
		 "Action": ["ec2:CreateVpc", "ec2:CreateSubnet", "ec2:CreateInternetGateway", "ec2:CreateRouteTable", "ec2:CreateSecurityGroup", "rds:CreateDBInstance",
			"rds:CreateDBSubnetGroup", "rds:CreateDBParameterGroup", "ecs:CreateCluster", "ecs:CreateService", "ecs:RegisterTaskDefinition", "elasticloadbalancing:CreateLoadBalancer",
			"elasticloadbalancing:CreateTargetGroup", "secretsmanager:CreateSecret", "logs:CreateLogGroup", "ecr:CreateRepository", "iam:CreateRole"],
		 "Resource": ["arn:aws:ec2:*:*:subnet/*", "arn:aws:ec2:*:*:internet-gateway/*", "arn:aws:ec2:*:*:route-table/*", "arn:aws:ec2:*:*:security-group/*",
			"arn:aws:rds:*:*:db:*", "arn:aws:ecs:*:*:cluster/*", "arn:aws:ecs:*:*:service/*", "arn:aws:ecs:*:*:task-definition/*", "arn:aws:elasticloadbalancing:*:*:loadbalancer/*",
			"arn:aws:elasticloadbalancing:*:*:targetgroup/*", "arn:aws:secretsmanager:*:*:secret:*", "arn:aws:logs:*:*:log-group:*", "arn:aws:ecr:*:*:repository/*", "arn:aws:iam::*:role/book-*"],
		 "Condition": {"Null": {"aws:RequestTag/team": "true"}}}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s.must("local", "start", "--policy", file)
	up := append([]string{"up", "--local"}, imageless()...)
	s.run(up...).says(t, 4, "with an explicit deny")
	if r := s.run(append(up, "--tag", "team=payments")...); r.code != 0 {
		t.Errorf("with the tag: exit code %d\n%s%s", r.code, r.out, r.err)
	}
}
