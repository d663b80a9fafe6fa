package localcloud

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	tagapi "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi/types"
)

type taggingAPI struct{ *Cloud }

func (c *Cloud) taggingService() service {
	a := taggingAPI{c}
	return service{
		model: "resourcegroupstaggingapi", signing: "tagging", protocol: protocolJSON,
		operations: operations(
			op("GetResources", a.GetResources),
			op("GetTagKeys", a.GetTagKeys),
			op("GetTagValues", a.GetTagValues),
			op("TagResources", a.TagResources),
			op("UntagResources", a.UntagResources),
		),
	}
}

// taggedThing is what the tagging API knows of a resource.
type taggedThing struct {
	ARN  string
	Tags map[string]string
}

// kind is how a filter calls the type of the thing: "rds:db", "ec2:vpc".
func (t taggedThing) kind() string {
	parts := strings.SplitN(t.ARN, ":", 6)
	if len(parts) < 6 {
		return ""
	}
	resource, _, _ := strings.Cut(strings.ReplaceAll(parts[5], ":", "/"), "/")
	return parts[2] + ":" + resource
}

// tagged are the things with tags, by ARN, as the faults let the tagging API see
// them.
func (c *Cloud) tagged() []taggedThing {
	f := c.Faults()
	all := c.taggedNow()
	if f.TagGhosts {
		for arn, tags := range c.ghosts {
			if _, alive := all[arn]; !alive {
				all[arn] = tags
			}
		}
	}
	var list []taggedThing
	for i, arn := range slices.Sorted(maps.Keys(all)) {
		if f.TagGaps && i%2 == 1 {
			continue
		}
		list = append(list, taggedThing{ARN: arn, Tags: all[arn]})
	}
	return list
}

// taggedNow are the things of every service that have tags. Roles are none of
// them: the tagging API does not list them
// (https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/supported-services.html).
func (c *Cloud) taggedNow() map[string]map[string]string {
	all := map[string]map[string]string{}
	for _, t := range slices.Concat(c.taggedThings()...) {
		if len(t.Tags) > 0 {
			all[t.ARN] = maps.Clone(t.Tags)
		}
	}
	return all
}

// rememberTagged keeps what may become a ghost; it runs after every write.
func (c *Cloud) rememberTagged() {
	if !c.Faults().TagGhosts {
		return
	}
	if c.ghosts == nil {
		c.ghosts = map[string]map[string]string{}
	}
	maps.Copy(c.ghosts, c.taggedNow())
}

func (a taggingAPI) GetResources(_ context.Context, in *tagapi.GetResourcesInput) (*tagapi.GetResourcesOutput, error) {
	if a.Faults().TagCrash {
		return nil, &apiError{status: 500, code: "InternalServiceException", message: "The request processing failed because of an unknown error, exception, or failure."}
	}
	if len(in.ResourceARNList) > 0 && (len(in.TagFilters) > 0 || len(in.ResourceTypeFilters) > 0) {
		return nil, fail("InvalidParameterException", "ResourceARNList cannot be combined with filters")
	}
	var found []types.ResourceTagMapping
	for _, t := range a.tagged() {
		if !wanted(in, t) {
			continue
		}
		m := types.ResourceTagMapping{ResourceARN: aws.String(t.ARN)}
		for _, key := range slices.Sorted(maps.Keys(t.Tags)) {
			m.Tags = append(m.Tags, types.Tag{Key: aws.String(key), Value: aws.String(t.Tags[key])})
		}
		found = append(found, m)
	}
	start, size := 0, 50
	if token := aws.ToString(in.PaginationToken); token != "" {
		n, err := strconv.Atoi(token)
		if err != nil || n < 0 || n > len(found) {
			return nil, fail("PaginationTokenExpiredException", "The pagination token is not valid")
		}
		start = n
	}
	if in.ResourcesPerPage != nil {
		if size = int(*in.ResourcesPerPage); size < 1 || size > 100 {
			return nil, fail("InvalidParameterException", "ResourcesPerPage must be between 1 and 100")
		}
	}
	out := &tagapi.GetResourcesOutput{PaginationToken: aws.String("")}
	if end := start + size; end < len(found) {
		out.ResourceTagMappingList, out.PaginationToken = found[start:end], aws.String(strconv.Itoa(end))
	} else {
		out.ResourceTagMappingList = found[start:]
	}
	return out, nil
}

// wanted says whether the thing passes all filters: of each tag filter the key,
// with one of its values if it has any.
func wanted(in *tagapi.GetResourcesInput, t taggedThing) bool {
	if len(in.ResourceARNList) > 0 && !slices.Contains(in.ResourceARNList, t.ARN) {
		return false
	}
	if len(in.ResourceTypeFilters) > 0 && !slices.ContainsFunc(in.ResourceTypeFilters, func(kind string) bool {
		return t.kind() == kind || strings.HasPrefix(t.kind(), kind+":")
	}) {
		return false
	}
	for _, f := range in.TagFilters {
		value, ok := t.Tags[aws.ToString(f.Key)]
		if !ok || len(f.Values) > 0 && !slices.Contains(f.Values, value) {
			return false
		}
	}
	return true
}

func (a taggingAPI) GetTagKeys(context.Context, *tagapi.GetTagKeysInput) (*tagapi.GetTagKeysOutput, error) {
	keys := map[string]bool{}
	for _, t := range a.tagged() {
		for key := range t.Tags {
			keys[key] = true
		}
	}
	return &tagapi.GetTagKeysOutput{TagKeys: slices.Sorted(maps.Keys(keys)), PaginationToken: aws.String("")}, nil
}

func (a taggingAPI) GetTagValues(_ context.Context, in *tagapi.GetTagValuesInput) (*tagapi.GetTagValuesOutput, error) {
	values := map[string]bool{}
	for _, t := range a.tagged() {
		if value, ok := t.Tags[aws.ToString(in.Key)]; ok {
			values[value] = true
		}
	}
	return &tagapi.GetTagValuesOutput{TagValues: slices.Sorted(maps.Keys(values)), PaginationToken: aws.String("")}, nil
}

// taggedThings are the resources of the services that the tagging API covers, a
// list per service.
func (c *Cloud) taggedThings() [][]taggedThing {
	return [][]taggedThing{
		c.taggedACM(), c.taggedEC2(), c.taggedECR(), c.taggedECS(), c.taggedELB(),
		c.taggedLogs(), c.taggedRDS(), c.taggedRoute53(), c.taggedSecrets(), c.taggedSSM(),
	}
}

func (c *Cloud) taggedEC2() []taggedThing {
	var all []taggedThing
	add := func(kind string, t *ec2Thing) {
		all = append(all, taggedThing{c.arn("ec2", kind+"/"+t.ID), t.Tags})
	}
	s := &c.state.EC2
	for _, t := range s.VPCs {
		add("vpc", t.thing())
	}
	for _, t := range s.Subnets {
		add("subnet", t.thing())
	}
	for _, t := range s.Gateways {
		add("internet-gateway", t.thing())
	}
	for _, t := range s.Tables {
		add("route-table", t.thing())
	}
	for _, t := range s.ACLs {
		add("network-acl", t.thing())
	}
	for _, t := range s.DHCPOptions {
		add("dhcp-options", t.thing())
	}
	for _, t := range s.Interfaces {
		add("network-interface", t.thing())
	}
	for _, t := range s.Groups {
		add("security-group", t.thing())
		for _, rule := range t.Rules {
			add("security-group-rule", rule.thing())
		}
	}
	return all
}

func (c *Cloud) taggedECR() []taggedThing {
	var all []taggedThing
	for _, r := range c.state.ECR.Repositories {
		all = append(all, taggedThing{c.arn("ecr", "repository/"+r.Name), r.Tags})
	}
	return all
}

func (c *Cloud) taggedLogs() []taggedThing {
	var all []taggedThing
	for _, g := range c.state.Logs.Groups {
		all = append(all, taggedThing{c.arn("logs", "log-group:"+g.Name), g.Tags})
	}
	return all
}

func (c *Cloud) taggedSecrets() []taggedThing {
	var all []taggedThing
	for _, s := range c.state.Secrets.Secrets {
		all = append(all, taggedThing{s.ARN, s.Tags})
	}
	return all
}

func (c *Cloud) taggedSSM() []taggedThing {
	var all []taggedThing
	for _, p := range c.state.SSM.Parameters {
		all = append(all, taggedThing{ssmAPI{c}.parameterARN(p.Name), p.Tags})
	}
	return all
}

func (c *Cloud) taggedELB() []taggedThing {
	var all []taggedThing
	for arn, b := range c.state.ELB.LoadBalancers {
		all = append(all, taggedThing{arn, b.Tags})
	}
	for arn, g := range c.state.ELB.TargetGroups {
		all = append(all, taggedThing{arn, g.Tags})
	}
	for arn, l := range c.state.ELB.Listeners {
		all = append(all, taggedThing{arn, l.Tags})
	}
	for arn, r := range c.state.ELB.Rules {
		all = append(all, taggedThing{arn, r.Tags})
	}
	return all
}

func (c *Cloud) taggedRDS() []taggedThing {
	var all []taggedThing
	add := func(resource string, tags map[string]string) {
		all = append(all, taggedThing{c.arn("rds", resource), tags})
	}
	s := &c.state.RDS
	for _, db := range s.Instances {
		add("db:"+db.ID, db.Tags)
	}
	for _, snapshot := range s.Snapshots {
		add("snapshot:"+snapshot.ID, snapshot.Tags)
	}
	for _, g := range s.SubnetGroups {
		add(g.key(), g.Tags)
	}
	for _, g := range s.ParameterGroups {
		add(g.key(), g.Tags)
	}
	return all
}

// taggedECS has the deregistered task definitions too, as AWS's list has, and
// neither clusters and services that are gone nor stopped tasks.
func (c *Cloud) taggedECS() []taggedThing {
	var all []taggedThing
	s := &c.state.ECS
	for _, cluster := range s.Clusters {
		if cluster.Deleted.IsZero() {
			all = append(all, taggedThing{c.arn("ecs", "cluster/"+cluster.Name), cluster.Tags})
		}
	}
	for _, service := range s.Services {
		if service.Gone.IsZero() {
			all = append(all, taggedThing{c.arn("ecs", "service/"+service.key()), service.Tags})
		}
	}
	for _, definition := range s.Definitions {
		all = append(all, taggedThing{aws.ToString(definition.TaskDefinitionArn), definition.Tags})
	}
	for _, task := range s.Tasks {
		if aws.ToString(task.LastStatus) != "STOPPED" {
			all = append(all, taggedThing{aws.ToString(task.TaskArn), task.TagMap})
		}
	}
	return all
}
