package provision

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	scalingtypes "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	secrettypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Leftover is something that belongs to a stack and is still there.
type Leftover struct {
	Service string `json:"service"` // as IAM calls it: "ec2", "rds"
	Type    string `json:"type"`    // in words: "subnet", "target group"
	ID      string `json:"id"`      // AWS id, name or ARN
	// HeldBy says what keeps it from being removed, "" where nothing is known
	// to: "network interface eni-1 of load balancer book-lb (in-use)".
	HeldBy string `json:"heldBy,omitempty"`
	// Kept says that AWS keeps it by its own rules, unbilled, so that there is
	// nothing to do: an inactive task definition.
	Kept bool `json:"kept,omitempty"`
}

func (l Leftover) String() string {
	s := l.Type + " " + l.ID
	if l.HeldBy != "" {
		s += ", held by " + l.HeldBy
	}
	return s
}

// Leftovers lists what there is of a stack, service by service. It is the proof
// that a destroy is complete, so it asks each service itself: the tagging API
// returns what is gone and misses what is there.
// https://github.com/aws/aws-sdk/issues/676
//
// A thing is the stack's by its tag; where a service can't search by tag, it is
// looked up by the name that the stack gives it, and then its tag is read.
// Snapshots are not in the list (see Snapshots), nor is the lock, which its
// Release removes.
func Leftovers(ctx context.Context, c Clients, stack string) ([]Leftover, error) {
	if err := naming.CheckStack(stack); err != nil {
		return nil, err
	}
	s := search{identity: identity{stack: stack, region: c.IAM.Options().Region}, Clients: c}
	var (
		mu   sync.Mutex
		each graph.Group
		out  []Leftover
	)
	for _, list := range []func(context.Context) ([]Leftover, error){
		s.network, s.balancing, s.containers, s.scaling, s.databases, s.secrets, s.logs, s.images, s.roles, s.certificates,
	} {
		each.Go(func() error {
			found, err := list(ctx)
			mu.Lock()
			defer mu.Unlock()
			out = append(out, found...)
			return err
		})
	}
	err := each.Wait()
	slices.SortFunc(out, func(a, b Leftover) int {
		return cmp.Or(strings.Compare(a.Service, b.Service), strings.Compare(a.Type, b.Type), strings.Compare(a.ID, b.ID))
	})
	return out, err
}

// Exist says whether anything is there of a stack. A run that was cut off early
// leaves parts by which ReadDeployed can't tell how it was set up.
func Exist(ctx context.Context, c Clients, stack string) (bool, error) {
	left, err := Leftovers(ctx, c, stack)
	if err != nil {
		return false, fmt.Errorf("look for parts of stack %s: %w", stack, err)
	}
	return slices.ContainsFunc(left, func(l Leftover) bool { return !l.Kept }), nil
}

// search is a look for the things of a stack.
type search struct {
	identity
	Clients
}

func (s search) network(ctx context.Context) ([]Leftover, error) {
	n := network{identity: s.identity, ec2: s.EC2}
	var out []Leftover
	add := func(kind string, id *string) {
		out = append(out, Leftover{Service: "ec2", Type: kind, ID: aws.ToString(id)})
	}
	fail := func(what string, err error) ([]Leftover, error) { return out, fmt.Errorf("list the %s: %w", what, err) }
	vpcs, err := s.EC2.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: n.all()})
	if err != nil {
		return fail("VPCs", err)
	}
	var ids []string
	for _, v := range vpcs.Vpcs {
		add("vpc", v.VpcId)
		ids = append(ids, aws.ToString(v.VpcId))
	}
	subnets, err := s.EC2.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{Filters: n.all()})
	if err != nil {
		return fail("subnets", err)
	}
	for _, x := range subnets.Subnets {
		add("subnet", x.SubnetId)
	}
	gateways, err := s.EC2.DescribeInternetGateways(ctx, &ec2.DescribeInternetGatewaysInput{Filters: n.all()})
	if err != nil {
		return fail("internet gateways", err)
	}
	for _, x := range gateways.InternetGateways {
		add("internet gateway", x.InternetGatewayId)
	}
	tables, err := s.EC2.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{Filters: n.all()})
	if err != nil {
		return fail("route tables", err)
	}
	for _, x := range tables.RouteTables {
		add("route table", x.RouteTableId)
	}
	groups, err := s.EC2.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: n.all()})
	if err != nil {
		return fail("security groups", err)
	}
	for _, x := range groups.SecurityGroups {
		if aws.ToString(x.GroupName) != defaultGroup { // it goes with its VPC
			add("security group", x.GroupId)
		}
	}
	if ids == nil {
		return out, nil
	}
	blockers, err := Blockers(ctx, s.EC2, ids...)
	if err != nil {
		return out, err
	}
	for i, l := range out {
		for _, b := range blockers {
			if l.ID == b.Subnet || l.ID == b.VPC || slices.Contains(b.Groups, l.ID) {
				out[i].HeldBy = b.String()
				break
			}
		}
	}
	holders, err := n.holders(ctx, ids)
	if err != nil {
		return out, err
	}
	for i, l := range out {
		at := slices.IndexFunc(holders, func(h Holder) bool { return slices.Contains(h.Holds, l.ID) })
		if l.HeldBy == "" && at >= 0 {
			out[i].HeldBy = holders[at].String()
		}
	}
	return out, nil
}

// Blocker is a network interface, which keeps its subnet, its groups and its
// VPC from being removed.
type Blocker struct {
	ID     string   `json:"id"`
	Of     string   `json:"of"` // whose it is, in words
	Status string   `json:"status"`
	VPC    string   `json:"vpc"`
	Subnet string   `json:"subnet"`
	Groups []string `json:"groups"`
	// Managed says that an AWS service made it and will remove it: it can't be
	// removed by anybody else, and goes minutes after what it belonged to.
	Managed bool `json:"managed"`
}

func (b Blocker) String() string {
	return fmt.Sprintf("network interface %s of %s (%s)", b.ID, b.Of, b.Status)
}

// Blockers lists the network interfaces in VPCs.
func Blockers(ctx context.Context, client *ec2.Client, vpcs ...string) ([]Blocker, error) {
	var out []Blocker
	pages := ec2.NewDescribeNetworkInterfacesPaginator(client, &ec2.DescribeNetworkInterfacesInput{
		Filters: []ec2types.Filter{{Name: aws.String("vpc-id"), Values: vpcs}},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the network interfaces of %s: %w", strings.Join(vpcs, ", "), err)
		}
		for _, x := range page.NetworkInterfaces {
			b := Blocker{
				ID: aws.ToString(x.NetworkInterfaceId), Status: string(x.Status), VPC: aws.ToString(x.VpcId), Subnet: aws.ToString(x.SubnetId),
				Managed: aws.ToBool(x.RequesterManaged), Of: interfaceOwner(aws.ToString(x.Description), aws.ToString(x.RequesterId), string(x.InterfaceType)),
			}
			for _, g := range x.Groups {
				b.Groups = append(b.Groups, aws.ToString(g.GroupId))
			}
			out = append(out, b)
		}
	}
	return out, nil
}

// interfaceOwner puts into words whose an interface is. Services tell it in the
// description:
// https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/how-elastic-load-balancing-works.html
func interfaceOwner(description, requester, kind string) string {
	if rest, ok := strings.CutPrefix(description, "ELB app/"); ok {
		name, _, _ := strings.Cut(rest, "/")
		return "load balancer " + name
	}
	switch {
	case description == "RDSNetworkInterface":
		return "a database"
	case strings.HasPrefix(description, "arn:aws") && strings.Contains(description, ":ecs:"):
		return "a task"
	case description != "":
		return fmt.Sprintf("%q", description)
	case requester != "":
		return requester
	case kind != "" && kind != "interface":
		return "a " + kind
	}
	return "something that does not say what it is"
}

func (s search) balancing(ctx context.Context) ([]Leftover, error) {
	b := balancing{identity: s.identity, elb: s.ELB}
	kinds := map[string]string{} // by ARN
	balancers := elb.NewDescribeLoadBalancersPaginator(s.ELB, &elb.DescribeLoadBalancersInput{})
	for balancers.HasMorePages() {
		page, err := balancers.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the load balancers: %w", err)
		}
		for _, x := range page.LoadBalancers {
			if strings.HasPrefix(aws.ToString(x.LoadBalancerName), s.stack+"-") {
				kinds[aws.ToString(x.LoadBalancerArn)] = "load balancer"
			}
		}
	}
	groups := elb.NewDescribeTargetGroupsPaginator(s.ELB, &elb.DescribeTargetGroupsInput{})
	for groups.HasMorePages() {
		page, err := groups.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the target groups: %w", err)
		}
		for _, x := range page.TargetGroups {
			if strings.HasPrefix(aws.ToString(x.TargetGroupName), s.stack+"-") {
				kinds[aws.ToString(x.TargetGroupArn)] = "target group"
			}
		}
	}
	var out []Leftover
	for arn, kind := range kinds {
		tags, err := b.tagsOf(ctx, arn)
		if isCode(err, "LoadBalancerNotFound", "TargetGroupNotFound") {
			continue
		}
		if err != nil {
			return out, err
		}
		if tags[arn][TagStack] == s.stack {
			out = append(out, Leftover{Service: "elasticloadbalancing", Type: kind, ID: arn})
		}
	}
	return out, nil
}

func (s search) certificates(ctx context.Context) ([]Leftover, error) {
	all, err := ownCertificates(ctx, s.ACM, s.stack, "")
	var out []Leftover
	for _, c := range all {
		out = append(out, Leftover{Service: "acm", Type: "certificate", ID: c.arn})
	}
	return out, err
}

func (s search) containers(ctx context.Context) ([]Leftover, error) {
	name := s.names().Cluster()
	clusters, err := s.ECS.DescribeClusters(ctx, &ecs.DescribeClustersInput{Clusters: []string{name}, Include: []ecstypes.ClusterField{ecstypes.ClusterFieldTags}})
	if err != nil {
		return nil, fmt.Errorf("describe cluster %s: %w", name, err)
	}
	var out []Leftover
	for _, x := range clusters.Clusters {
		if aws.ToString(x.Status) != "INACTIVE" && ecsTagMap(x.Tags)[TagStack] == s.stack {
			out = append(out, Leftover{Service: "ecs", Type: "cluster", ID: aws.ToString(x.ClusterArn)})
		}
	}
	t := &TaskDefinition{containers: containers{identity: s.identity, ecs: s.ECS}}
	for _, status := range []ecstypes.TaskDefinitionStatus{ecstypes.TaskDefinitionStatusActive, ecstypes.TaskDefinitionStatusInactive, ecstypes.TaskDefinitionStatusDeleteInProgress} {
		arns, err := t.list(ctx, status)
		if err != nil {
			return out, err
		}
		for _, arn := range arns {
			out = append(out, Leftover{Service: "ecs", Type: "task definition", ID: arn, Kept: status != ecstypes.TaskDefinitionStatusActive})
		}
	}
	return out, nil
}

func (s search) scaling(ctx context.Context) ([]Leftover, error) {
	id := s.names().ScalableTarget()
	targets, err := s.Scaling.DescribeScalableTargets(ctx, &scaling.DescribeScalableTargetsInput{
		ServiceNamespace: scalingtypes.ServiceNamespaceEcs, ResourceIds: []string{id},
	})
	if err != nil {
		return nil, fmt.Errorf("describe the scaling of %s: %w", id, err)
	}
	var out []Leftover
	for range targets.ScalableTargets {
		// It has a name that only the stack's service can have.
		out = append(out, Leftover{Service: "application-autoscaling", Type: "scaling target", ID: id})
	}
	return out, nil
}

func (s search) databases(ctx context.Context) ([]Leftover, error) {
	d := databases{identity: s.identity, rds: s.RDS}
	var out []Leftover
	db, err := d.instance(ctx)
	if err != nil {
		return nil, err
	}
	if db != nil && rdsTagMap(db.TagList)[TagStack] == s.stack {
		out = append(out, Leftover{Service: "rds", Type: "database", ID: d.databaseName()})
	}
	for kind, r := range map[string]interface {
		Find(context.Context) (graph.State, error)
	}{
		"DB subnet group":    &DBSubnetGroup{Node: graph.Named("db-subnet-group", 0), databases: d},
		"DB parameter group": newDBParameterGroup(d, "postgres"+DefaultDBVersion),
	} {
		st, err := r.Find(ctx)
		if err != nil {
			return out, err
		}
		if st.Owner == s.stack {
			out = append(out, Leftover{Service: "rds", Type: kind, ID: st.ID})
		}
	}
	return out, nil
}

func (s search) secrets(ctx context.Context) ([]Leftover, error) {
	var out []Leftover
	pages := secretsmanager.NewListSecretsPaginator(s.Secrets, &secretsmanager.ListSecretsInput{
		IncludePlannedDeletion: aws.Bool(true),
		Filters:                []secrettypes.Filter{{Key: secrettypes.FilterNameStringTypeName, Values: []string{s.stack + "/"}}},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return out, fmt.Errorf("list the secrets: %w", err)
		}
		for _, x := range page.SecretList {
			tags := readTags(x.Tags, func(t secrettypes.Tag) (*string, *string) { return t.Key, t.Value })
			if tags[TagStack] == s.stack {
				out = append(out, Leftover{Service: "secretsmanager", Type: "secret", ID: aws.ToString(x.Name)})
			}
		}
	}
	return out, nil
}

func (s search) logs(ctx context.Context) ([]Leftover, error) {
	var out []Leftover
	for _, name := range []string{s.names().LogGroup(), s.names().DatabaseLogGroup()} {
		groups, err := s.Logs.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &name})
		if err != nil {
			return out, fmt.Errorf("describe log group %s: %w", name, err)
		}
		for _, g := range groups.LogGroups {
			if aws.ToString(g.LogGroupName) != name {
				continue
			}
			arn := strings.TrimSuffix(aws.ToString(g.Arn), ":*")
			tags, err := s.Logs.ListTagsForResource(ctx, &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: &arn})
			if isCode(err, "ResourceNotFoundException") {
				continue
			}
			if err != nil {
				return out, fmt.Errorf("list the tags of %s: %w", name, err)
			}
			switch owner := tags.Tags[TagStack]; {
			case owner == s.stack:
				out = append(out, Leftover{Service: "logs", Type: "log group", ID: name})
			case owner == "" && strings.HasPrefix(name, "/aws/rds/"):
				// Whose it is can't be told, so it is named and not removed.
				out = append(out, Leftover{
					Service: "logs", Type: "log group", ID: name,
					HeldBy: "nobody: RDS writes the end of a log after the group was removed, into a new one without tags; if no other database had that name, 'aws logs delete-log-group' removes it",
				})
			}
		}
	}
	return out, nil
}

func (s search) images(ctx context.Context) ([]Leftover, error) {
	name := s.names().Repository()
	out, err := s.ECR.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{name}})
	if isCode(err, "RepositoryNotFoundException") {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("describe repository %s: %w", name, err)
	}
	var left []Leftover
	for _, x := range out.Repositories {
		tags, err := s.ECR.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: x.RepositoryArn})
		if err != nil {
			return left, fmt.Errorf("list the tags of repository %s: %w", name, err)
		}
		for _, t := range tags.Tags {
			if aws.ToString(t.Key) == TagStack && aws.ToString(t.Value) == s.stack {
				left = append(left, Leftover{Service: "ecr", Type: "repository", ID: name})
			}
		}
	}
	return left, nil
}

func (s search) roles(ctx context.Context) ([]Leftover, error) {
	var out []Leftover
	for _, thing := range []string{naming.ExecutionRole, naming.TaskRole} {
		r := &Role{Node: graph.Named(thing, 0), identity: s.identity, iam: s.IAM}
		live, err := r.lookup(ctx)
		if err != nil {
			return out, err
		}
		if live != nil && s.ownerOfRole(roleTags(live)) == s.stack {
			out = append(out, Leftover{Service: "iam", Type: "role", ID: *r.roleName()})
		}
	}
	return out, nil
}

// sweepOrder is the order in which strays go: what holds others first.
var sweepOrder = []string{"load balancer", "target group", "internet gateway", "route table", "security group", "subnet", "vpc"}

// Sweep removes what is tagged as the stack's and what its graph does not know:
// the second VPC of a create whose answer was lost, a target group of an
// earlier release. It runs after the graph was destroyed, and takes the network
// and the load balancing, where ids and not names tell things apart. It goes
// round until nothing is left or, for as long as patience, nothing gives way,
// and asks guard (which may be nil) before each call. It returns what it
// removed, and what is left.
func Sweep(ctx context.Context, c Clients, stack string, patience time.Duration, guard func(context.Context) error) (removed, left []Leftover, err error) {
	deadline := time.Now().Add(patience)
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		if left, err = Leftovers(ctx, c, stack); err != nil {
			return removed, left, err
		}
		var strays []Leftover
		for _, l := range left {
			if slices.Contains(sweepOrder, l.Type) {
				strays = append(strays, l)
			}
		}
		if strays == nil {
			return removed, left, nil
		}
		slices.SortStableFunc(strays, func(a, b Leftover) int {
			return cmp.Compare(slices.Index(sweepOrder, a.Type), slices.Index(sweepOrder, b.Type))
		})
		progress := false
		for _, l := range strays {
			if guard != nil {
				if err := guard(ctx); err != nil {
					return removed, left, err
				}
			}
			err := c.remove(ctx, l)
			if err != nil {
				if _, passes := Transient(err); !passes {
					return removed, left, fmt.Errorf("remove %s: %w", l, err)
				}
				continue // something still uses it
			}
			removed, progress = append(removed, l), true
		}
		if !progress && time.Now().After(deadline) {
			return removed, left, nil
		}
		if progress {
			pause = 100 * time.Millisecond
		}
		if err := graph.Sleep(ctx, pause); err != nil {
			return removed, left, err
		}
	}
}

// remove removes one stray.
func (c Clients) remove(ctx context.Context, l Leftover) error {
	id := &l.ID
	switch l.Type {
	case "load balancer":
		_, err := c.ELB.DeleteLoadBalancer(ctx, &elb.DeleteLoadBalancerInput{LoadBalancerArn: id})
		return err
	case "target group":
		_, err := c.ELB.DeleteTargetGroup(ctx, &elb.DeleteTargetGroupInput{TargetGroupArn: id})
		return err
	case "internet gateway":
		out, err := c.EC2.DescribeInternetGateways(ctx, &ec2.DescribeInternetGatewaysInput{InternetGatewayIds: []string{l.ID}})
		if err != nil {
			return err
		}
		for _, g := range out.InternetGateways {
			for _, a := range g.Attachments {
				if _, err := c.EC2.DetachInternetGateway(ctx, &ec2.DetachInternetGatewayInput{InternetGatewayId: id, VpcId: a.VpcId}); err != nil {
					return err
				}
			}
		}
		_, err = c.EC2.DeleteInternetGateway(ctx, &ec2.DeleteInternetGatewayInput{InternetGatewayId: id})
		return err
	case "route table":
		out, err := c.EC2.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{RouteTableIds: []string{l.ID}})
		if err != nil {
			return err
		}
		for _, t := range out.RouteTables {
			for _, a := range t.Associations {
				if _, err := c.EC2.DisassociateRouteTable(ctx, &ec2.DisassociateRouteTableInput{AssociationId: a.RouteTableAssociationId}); err != nil {
					return err
				}
			}
		}
		_, err = c.EC2.DeleteRouteTable(ctx, &ec2.DeleteRouteTableInput{RouteTableId: id})
		return err
	case "security group":
		// Groups that name each other would hold each other.
		out, err := c.EC2.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{GroupIds: []string{l.ID}})
		if err != nil {
			return err
		}
		for _, g := range out.SecurityGroups {
			if len(g.IpPermissions) > 0 {
				if _, err := c.EC2.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: id, IpPermissions: g.IpPermissions}); err != nil {
					return err
				}
			}
			if len(g.IpPermissionsEgress) > 0 {
				if _, err := c.EC2.RevokeSecurityGroupEgress(ctx, &ec2.RevokeSecurityGroupEgressInput{GroupId: id, IpPermissions: g.IpPermissionsEgress}); err != nil {
					return err
				}
			}
		}
		_, err = c.EC2.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: id})
		return err
	case "subnet":
		_, err := c.EC2.DeleteSubnet(ctx, &ec2.DeleteSubnetInput{SubnetId: id})
		return err
	case "vpc":
		_, err := c.EC2.DeleteVpc(ctx, &ec2.DeleteVpcInput{VpcId: id})
		return err
	}
	return fmt.Errorf("%s is not swept", l.Type)
}
