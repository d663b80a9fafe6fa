package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// elbAccess is the client and the identity of a stack's load-balancing resources.
type elbAccess struct {
	identity
	elb *elb.Client
}

// elbObservation is what was read of the load balancer of a stack, its listeners and the first target group,
// as far as they are there, with the tags of all of them.
type elbObservation struct {
	balancer  *types.LoadBalancer
	listeners []types.Listener
	targets   *types.TargetGroup
	tags      map[string]map[string]string // by ARN
}

// balancerTags are the tags of the load balancer.
func (b elbObservation) balancerTags() map[string]string {
	if b.balancer == nil {
		return nil
	}
	return b.tags[aws.ToString(b.balancer.LoadBalancerArn)]
}

// targetTags are the tags of the target group.
func (b elbObservation) targetTags() map[string]string {
	if b.targets == nil {
		return nil
	}
	return b.tags[aws.ToString(b.targets.TargetGroupArn)]
}

// all reads the load balancing of the stack, with one call for all tags.
func (b elbAccess) all(ctx context.Context) (elbObservation, error) {
	return b.observed().loadBalancing.readOnce(ctx, b.lookupAll)
}

func (b elbAccess) lookupAll(ctx context.Context) (elbObservation, error) {
	var (
		found elbObservation
		both  graph.Group
	)
	both.Go(func() (err error) {
		found.balancer, err = (&LoadBalancer{elbAccess: b}).lookup(ctx)
		if found.balancer != nil {
			found.listeners, err = b.listenersOf(ctx, aws.ToString(found.balancer.LoadBalancerArn))
		}
		return err
	})
	both.Go(func() (err error) {
		found.targets, err = (&TargetGroup{elbAccess: b, name: b.names().TargetGroup()}).lookup(ctx)
		return err
	})
	if err := both.Wait(); err != nil {
		return elbObservation{}, err
	}
	arns := found.arns()
	if arns == nil {
		return found, nil
	}
	var err error
	if found.tags, err = b.tagsOf(ctx, arns...); !goneSince(err) {
		return found, err
	}
	return b.withoutGone(ctx, found)
}

func (b elbObservation) arns() []string {
	var arns []string
	if b.balancer != nil {
		arns = append(arns, aws.ToString(b.balancer.LoadBalancerArn))
	}
	if b.targets != nil {
		arns = append(arns, aws.ToString(b.targets.TargetGroupArn))
	}
	for _, l := range b.listeners {
		arns = append(arns, aws.ToString(l.ListenerArn))
	}
	return arns
}

// withoutGone is what of load balancing is still there, where something has gone since it
// was listed: each resource is then asked for its tags by itself.
func (b elbAccess) withoutGone(ctx context.Context, found elbObservation) (elbObservation, error) {
	tags := map[string]map[string]string{}
	for _, arn := range found.arns() {
		one, err := b.tagsOf(ctx, arn)
		if goneSince(err) {
			continue
		}
		if err != nil {
			return elbObservation{}, err
		}
		tags[arn] = one[arn]
	}
	gone := func(arn *string) bool {
		_, there := tags[aws.ToString(arn)]
		return !there
	}
	if found.balancer != nil && gone(found.balancer.LoadBalancerArn) {
		found.balancer = nil
	}
	if found.targets != nil && gone(found.targets.TargetGroupArn) {
		found.targets = nil
	}
	found.listeners = slices.DeleteFunc(found.listeners, func(l types.Listener) bool { return gone(l.ListenerArn) })
	found.tags = tags
	return found, nil
}

// goneSince says of the error of a call that names several resources of load balancing that
// one of them is gone.
func goneSince(err error) bool {
	return IsCode(err, "LoadBalancerNotFound", "TargetGroupNotFound", "ListenerNotFound")
}

// listenersOf are all listeners of a load balancer; none where that is gone.
func (b elbAccess) listenersOf(ctx context.Context, balancer string) ([]types.Listener, error) {
	var all []types.Listener
	pages := elb.NewDescribeListenersPaginator(b.elb, &elb.DescribeListenersInput{LoadBalancerArn: &balancer})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if goneSince(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("describe the listeners of %s: %w", b.names().LoadBalancer(), err)
		}
		all = append(all, page.Listeners...)
	}
	return all, nil
}

// mostDescribed is of how many resources one call describes the tags.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html
const mostDescribed = 20

// tagsOf are the tags of resources of load balancing, by their ARNs.
func (b elbAccess) tagsOf(ctx context.Context, arns ...string) (map[string]map[string]string, error) {
	if tags, ok := b.allHinted(arns); ok {
		return tags, nil
	}
	tags := map[string]map[string]string{}
	for some := range slices.Chunk(arns, mostDescribed) {
		out, err := b.elb.DescribeTags(ctx, &elb.DescribeTagsInput{ResourceArns: some})
		if err != nil {
			return nil, fmt.Errorf("describe the tags of %s: %w", strings.Join(some, ", "), err)
		}
		for _, d := range out.TagDescriptions {
			tags[aws.ToString(d.ResourceArn)] = toMap(d.Tags, func(t types.Tag) (*string, *string) { return t.Key, t.Value })
		}
	}
	return tags, nil
}
