package provision

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// traffic is what ECS says of where the requests of a service are to go.
type traffic struct {
	// group is the ARN of the target group that all tasks of the current revision are in,
	// "" where ECS does not say.
	group string
	// shifting reports whether a deployment moves the requests from one group to the other, so
	// that the weights are ECS's alone.
	shifting bool
}

// ownService describes the service if it is the stack's, and returns nil for any other and for
// none.
func (c ecsAccess) ownService(ctx context.Context) (*types.Service, error) {
	live, err := c.service().describe(ctx)
	if live == nil || err != nil || fromECSTags(live.Tags)[TagStack] != c.stack {
		return nil, err
	}
	return live, nil
}

// traffic asks ECS by which target group the service is served: the current revision has it.
// What the service itself shows is both groups, as they were given.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ResolvedConfiguration.html
func (c ecsAccess) traffic(ctx context.Context) (traffic, error) {
	live, err := c.ownService(ctx)
	if live == nil || err != nil {
		return traffic{}, err
	}
	if strategyOf(live.DeploymentConfiguration).Shifts() && deploying(live) {
		return traffic{shifting: true}, nil
	}
	var arns []string
	for _, r := range live.CurrentServiceRevisions {
		arns = append(arns, aws.ToString(r.Arn))
	}
	if len(arns) == 0 {
		return traffic{}, nil
	}
	out, err := c.ecs.DescribeServiceRevisions(ctx, &ecs.DescribeServiceRevisionsInput{ServiceRevisionArns: arns})
	if err != nil {
		return traffic{}, fmt.Errorf("describe the current revision of service %s: %w", c.names().Service(), err)
	}
	var found traffic
	for i, r := range out.ServiceRevisions {
		group := groupOf(r)
		if i > 0 && group != found.group { // the tasks before are still there
			return traffic{shifting: true}, nil
		}
		found.group = group
	}
	return found, nil
}

// groupBefore is the target group of the tasks from which the deployment in progress shifts the
// traffic, "" where ECS does not say.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ServiceDeployment.html
func (c ecsAccess) groupBefore(ctx context.Context) (string, error) {
	live, err := c.ownService(ctx)
	if live == nil || err != nil {
		return "", err
	}
	d, err := c.serviceDeployment(ctx, aws.ToString(live.CurrentServiceDeployment))
	if d == nil || d.FinishedAt != nil || len(d.SourceServiceRevisions) == 0 || err != nil {
		return "", err
	}
	var arns []string
	for _, r := range d.SourceServiceRevisions {
		arns = append(arns, aws.ToString(r.Arn))
	}
	out, err := c.ecs.DescribeServiceRevisions(ctx, &ecs.DescribeServiceRevisionsInput{ServiceRevisionArns: arns})
	if err != nil {
		return "", fmt.Errorf("describe the revisions of service %s: %w", c.names().Service(), err)
	}
	found := ""
	for i, r := range out.ServiceRevisions {
		group := groupOf(r)
		if i > 0 && group != found { // one of them was superseded
			return "", nil
		}
		found = group
	}
	return found, nil
}

// groupOf is the target group that the tasks of a revision are in, "" where ECS does not say.
func groupOf(r types.ServiceRevision) string {
	if c := r.ResolvedConfiguration; c != nil && len(c.LoadBalancers) > 0 {
		return aws.ToString(c.LoadBalancers[0].TargetGroupArn)
	}
	for _, b := range r.LoadBalancers {
		if b.AdvancedConfiguration == nil { // there is no other one
			return aws.ToString(b.TargetGroupArn)
		}
	}
	return ""
}
