package localcloud

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// registerTaggers tells the kernel how each service lists and tags its resources.
func (c *Cloud) registerTaggers() {
	register := func(service string, list func(tx) []kernel.Tagged, add func(tx, string, map[string]string) error, remove func(tx, string, []string) error) {
		c.Tags(service, kernel.Tagger{
			List:   func(t *kernel.Tx) []kernel.Tagged { return list(tx{t, c}) },
			Add:    func(t *kernel.Tx, arn string, tags map[string]string) error { return add(tx{t, c}, arn, tags) },
			Remove: func(t *kernel.Tx, arn string, keys []string) error { return remove(tx{t, c}, arn, keys) },
		})
	}
	register("ecs", tx.taggedECS, func(c tx, arn string, tags map[string]string) error {
		_, err := ecsAPI{c}.TagResource(&ecs.TagResourceInput{ResourceArn: &arn, Tags: kernel.TagList(tags, func(k, v *string) ecstypes.Tag { return ecstypes.Tag{Key: k, Value: v} })})
		return err
	}, func(c tx, arn string, keys []string) error {
		_, err := ecsAPI{c}.UntagResource(&ecs.UntagResourceInput{ResourceArn: &arn, TagKeys: keys})
		return err
	})
	register("elasticloadbalancing", tx.taggedELB, func(c tx, arn string, tags map[string]string) error {
		_, err := elbAPI{c}.AddTags(&elb.AddTagsInput{ResourceArns: []string{arn}, Tags: kernel.TagList(tags, func(k, v *string) elbtypes.Tag { return elbtypes.Tag{Key: k, Value: v} })})
		return err
	}, func(c tx, arn string, keys []string) error {
		_, err := elbAPI{c}.RemoveTags(&elb.RemoveTagsInput{ResourceArns: []string{arn}, TagKeys: keys})
		return err
	})
}

// resourceID is what follows the type of a resource in an ARN.
func resourceID(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	_, id, _ := strings.Cut(parts[len(parts)-1], "/")
	return id
}

func (c tx) taggedELB() []kernel.Tagged {
	var all []kernel.Tagged
	for arn, b := range c.elb().LoadBalancers {
		all = append(all, kernel.Tagged{ARN: arn, Tags: b.Tags})
	}
	for arn, g := range c.elb().TargetGroups {
		all = append(all, kernel.Tagged{ARN: arn, Tags: g.Tags})
	}
	for arn, l := range c.elb().Listeners {
		all = append(all, kernel.Tagged{ARN: arn, Tags: l.Tags})
	}
	for arn, r := range c.elb().Rules {
		all = append(all, kernel.Tagged{ARN: arn, Tags: r.Tags})
	}
	return all
}

// taggedECS has the deregistered task definitions too, as AWS's list has, and
// neither clusters and services that are gone nor stopped tasks.
func (c tx) taggedECS() []kernel.Tagged {
	var all []kernel.Tagged
	s := c.ecs()
	for _, cluster := range s.Clusters {
		if cluster.Deleted.IsZero() {
			all = append(all, kernel.Tagged{ARN: c.ARN("ecs", "cluster/"+cluster.Name), Tags: cluster.Tags})
		}
	}
	for _, service := range s.Services {
		if service.Gone.IsZero() {
			all = append(all, kernel.Tagged{ARN: c.ARN("ecs", "service/"+service.key()), Tags: service.Tags})
		}
	}
	for _, definition := range s.Definitions {
		all = append(all, kernel.Tagged{ARN: aws.ToString(definition.TaskDefinitionArn), Tags: definition.Tags})
	}
	for _, task := range s.Tasks {
		if aws.ToString(task.LastStatus) != "STOPPED" {
			all = append(all, kernel.Tagged{ARN: aws.ToString(task.TaskArn), Tags: task.TagMap})
		}
	}
	return all
}
