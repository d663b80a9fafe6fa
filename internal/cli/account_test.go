package cli_test

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// service is that of stack book, as ECS describes it.
func (s *shell) service() ecstypes.Service {
	s.t.Helper()
	return done[*ecs.DescribeServicesOutput](s.t)(ecs.NewFromConfig(s.config()).DescribeServices(s.t.Context(), &ecs.DescribeServicesInput{
		Cluster: aws.String("book-cluster"), Services: []string{"book-service"},
	})).Services[0]
}

// updateService changes the service by hand.
func (s *shell) updateService(to ecs.UpdateServiceInput) {
	s.t.Helper()
	to.Cluster, to.Service = aws.String("book-cluster"), aws.String("book-service")
	done[*ecs.UpdateServiceOutput](s.t)(ecs.NewFromConfig(s.config()).UpdateService(s.t.Context(), &to))
}

// balancer is the ARN of the load balancer of stack book.
func (s *shell) balancer() *string {
	s.t.Helper()
	return done[*elb.DescribeLoadBalancersOutput](s.t)(elb.NewFromConfig(s.config()).DescribeLoadBalancers(s.t.Context(), &elb.DescribeLoadBalancersInput{
		Names: []string{"book-lb"},
	})).LoadBalancers[0].LoadBalancerArn
}

// deleteBalancer deletes the load balancer by hand.
func (s *shell) deleteBalancer() {
	s.t.Helper()
	done[*elb.DeleteLoadBalancerOutput](s.t)(elb.NewFromConfig(s.config()).DeleteLoadBalancer(s.t.Context(), &elb.DeleteLoadBalancerInput{LoadBalancerArn: s.balancer()}))
}

// listeners are those of the load balancer.
func (s *shell) listeners() []elbtypes.Listener {
	s.t.Helper()
	return done[*elb.DescribeListenersOutput](s.t)(elb.NewFromConfig(s.config()).DescribeListeners(s.t.Context(), &elb.DescribeListenersInput{LoadBalancerArn: s.balancer()})).Listeners
}

// setDefaultAction has the only listener of the load balancer do something else, by hand.
func (s *shell) setDefaultAction(action elbtypes.Action) {
	s.t.Helper()
	done[*elb.ModifyListenerOutput](s.t)(elb.NewFromConfig(s.config()).ModifyListener(s.t.Context(), &elb.ModifyListenerInput{
		ListenerArn: s.listeners()[0].ListenerArn, DefaultActions: []elbtypes.Action{action},
	}))
}

// targetGroup is the ARN of a target group.
func (s *shell) targetGroup(name string) *string {
	s.t.Helper()
	return done[*elb.DescribeTargetGroupsOutput](s.t)(elb.NewFromConfig(s.config()).DescribeTargetGroups(s.t.Context(), &elb.DescribeTargetGroupsInput{
		Names: []string{name},
	})).TargetGroups[0].TargetGroupArn
}

// stopDatabase stops the database of stack book by hand, as soon as RDS lets it be stopped.
func (s *shell) stopDatabase() {
	s.t.Helper()
	client := rds.NewFromConfig(s.config())
	until(s.t, "the database can be stopped", func() bool {
		return ok(client.StopDBInstance(s.t.Context(), &rds.StopDBInstanceInput{DBInstanceIdentifier: aws.String("book-database")})) == nil
	})
}

// createSecret creates a secret that is not the stack's, and returns its ARN.
func (s *shell) createSecret(name, value string) string {
	s.t.Helper()
	return *done[*secretsmanager.CreateSecretOutput](s.t)(secretsmanager.NewFromConfig(s.config()).CreateSecret(s.t.Context(), &secretsmanager.CreateSecretInput{
		Name: &name, SecretString: &value,
	})).ARN
}

// createRepository creates a repository that is not the stack's.
func (s *shell) createRepository(name string) {
	s.t.Helper()
	done[*ecr.CreateRepositoryOutput](s.t)(ecr.NewFromConfig(s.config()).CreateRepository(s.t.Context(), &ecr.CreateRepositoryInput{RepositoryName: &name}))
}
