package iamcheck

import (
	"cmp"
	"maps"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/route53"
)

// splitActions gives each action of a key "service:One Two" its own entry.
func splitActions(short map[string][]rule) map[string][]rule {
	out := map[string][]rule{}
	for actions, rules := range short {
		service, names, _ := strings.Cut(actions, ":")
		for name := range strings.FieldsSeq(names) {
			if _, twice := out[service+":"+name]; twice {
				panic(service + ":" + name + " has two rules") // a mistake in the table
			}
			out[service+":"+name] = rules
		}
	}
	return out
}

// keysOf returns condition keys for a rule.
type keysOf func(*collector) keys

func gather(a *collector, of []keysOf) keys {
	out := keys{}
	for _, f := range of {
		maps.Copy(out, f(a))
	}
	return out
}

// requestTags returns the condition keys for the tags in the request.
func requestTags(a *collector) keys { return a.tagKeys() }

// key returns a condition key with the value of a field.
func key(name, field string) keysOf {
	return func(a *collector) keys { return keys{name: a.texts(field)} }
}

// anyResource is for actions that do not support resources.
func anyResource(a *collector) { a.addOwnAction("*", nil) }

func anyResourceWith(of ...keysOf) rule {
	return func(a *collector) { a.addOwnAction("*", gather(a, of)) }
}

// resourceIn requests the action on each resource that a field names.
func resourceIn(kind, field string, of ...keysOf) rule {
	return func(a *collector) {
		for _, v := range a.texts(field) {
			a.addOwnAction(a.arn(a.service, kind, v), gather(a, of))
		}
	}
}

// resourceInOr is resourceIn, or, if the field is empty, requests the action on otherwise.
func resourceInOr(kind, field, otherwise string) rule {
	return func(a *collector) {
		resourceIn(kind, field)(a)
		if len(a.texts(field)) == 0 {
			a.addOwnAction(a.arn(a.service, kind, otherwise), nil)
		}
	}
}

// also requests other actions, which do not support resources.
func also(actions ...string) rule {
	return func(a *collector) {
		for _, action := range actions {
			a.add(action, "*", nil)
		}
	}
}

// tagNew requests the action for the tags of a new resource.
func (a *collector) tagNew(resource string) {
	given := a.tagKeys()
	if len(given) == 0 {
		return
	}
	t, ok := taggers[a.service]
	if !ok {
		panic("taggers has no line for " + a.service) // a mistake in the tables
	}
	if t.creator != "" {
		given[t.creator] = []string{a.operation}
	}
	a.add(a.service+":"+t.action, resource, given)
}

func newTags(resource string) rule {
	return func(a *collector) { a.tagNew(a.ARN(a.service, resource)) }
}

// newUnnamed requests the action on a new resource whose id AWS generates.
func newUnnamed(resource string) rule {
	return func(a *collector) {
		arn := a.ARN(a.service, resource)
		a.addOwnAction(arn, a.tagKeys())
		a.tagNew(arn)
	}
}

// newNamed requests the action on a new resource whose name is in a field.
func newNamed(kind, field string, of ...keysOf) rule {
	return func(a *collector) {
		arn := a.arn(a.service, kind, a.text(field))
		all := a.tagKeys()
		maps.Copy(all, gather(a, of))
		a.addOwnAction(arn, all)
		a.tagNew(arn)
	}
}

// createsLinkedRole requests the creation of the service-linked role that the call creates
// if the account does not have it.
func createsLinkedRole(service string) rule {
	return func(a *collector) {
		if arn, missing := a.LinkedRole(service); missing {
			a.add("iam:CreateServiceLinkedRole", arn, keys{"iam:AWSServiceName": {service}})
		}
	}
}

func serviceLinkedRole(a *collector) {
	arn, _ := a.LinkedRole(a.text("AWSServiceName"))
	a.addOwnAction(arn, keys{"iam:AWSServiceName": a.texts("AWSServiceName")})
}

// defaultBus requests the action on the bus that the local cloud has.
func defaultBus(a *collector) {
	a.addOwnAction(a.ARN("events", "event-bus/default"), keys{"events:source": a.texts("Entries.Source"), "events:detail-type": a.texts("Entries.DetailType")})
}

// scalableTarget requests the action on the scalable target of a resource id. Its ARN is not
// known before it is registered.
func scalableTarget(of ...keysOf) rule {
	return func(a *collector) {
		arn := cmp.Or(a.Target(a.text("ResourceId")), a.ARN("application-autoscaling", "scalable-target/*"))
		all := gather(a, of)
		all["application-autoscaling:service-namespace"] = a.texts("ServiceNamespace")
		all["application-autoscaling:scalable-dimension"] = a.texts("ScalableDimension")
		a.addOwnAction(arn, all)
		if len(of) > 0 {
			a.tagNew(arn)
		}
	}
}

// scaledService and alarms request the actions that Application Auto Scaling performs
// with the caller's permissions
// (https://docs.aws.amazon.com/autoscaling/application/userguide/security_iam_id-based-policy-examples.html).
func scaledService(a *collector) {
	if id, ok := strings.CutPrefix(a.text("ResourceId"), "service/"); ok {
		a.add("ecs:DescribeServices", a.ARN("ecs", "service/"+id), nil)
		a.add("ecs:UpdateService", a.ARN("ecs", "service/"+id), nil)
	}
}

func alarms(actions ...string) rule {
	return func(a *collector) {
		if a.has("PolicyType") && a.text("PolicyType") != "" && a.text("PolicyType") != string(types.PolicyTypeTargetTrackingScaling) {
			return
		}
		for _, action := range actions {
			name := "TargetTracking-" + a.text("ResourceId") + "-AlarmHigh-*"
			if action == "DescribeAlarms" {
				name = "*" // it searches by a prefix
			}
			a.add("cloudwatch:"+action, a.ARN("cloudwatch", "alarm:"+name), nil)
		}
	}
}

func association(a *collector) {
	for _, arn := range a.Association(a.text("AssociationId")) {
		a.addOwnAction(arn, nil)
	}
}

// newRules requests the action on the new rules of a security group, which are
// resources with tags of their own.
func newRules(a *collector) {
	arn := a.ARN("ec2", "security-group-rule/*")
	if given := a.tagKeys(); len(given) > 0 {
		a.addOwnAction(arn, given)
		a.tagNew(arn)
	}
}

func ec2Resources(a *collector) {
	for _, id := range a.texts("Resources") {
		a.addOwnAction(a.ARN("ec2", ec2Kind(id)+"/"+id), a.tagKeys())
	}
}

// ec2Kind returns the resource type in ARNs for an id.
func ec2Kind(id string) string {
	prefix, _, _ := strings.Cut(id, "-")
	switch prefix {
	case "igw":
		return "internet-gateway"
	case "rtb":
		return "route-table"
	case "sg":
		return "security-group"
	case "sgr":
		return "security-group-rule"
	case "eni":
		return "network-interface"
	case "acl":
		return "network-acl"
	}
	return prefix
}

// cluster returns the condition key for resources in a cluster.
func cluster(a *collector) keys {
	return keys{"ecs:cluster": {a.arn("ecs", "cluster/", cmp.Or(a.text("Cluster"), "default"))}}
}

// inCluster requests the action on resources in a cluster that a field names by name,
// id or ARN.
func inCluster(kind, field, otherwise string, of ...keysOf) rule {
	return func(a *collector) {
		names := []string{otherwise}
		if field != "" {
			names = a.texts(field)
		}
		all := gather(a, append(of, cluster))
		of := cmp.Or(a.text("Cluster"), "default")
		for _, name := range names {
			a.addOwnAction(a.arn("ecs", kind+of[strings.LastIndex(of, "/")+1:]+"/", name), all)
		}
	}
}

// ofService requests the action on the deployments or revisions whose ARNs are in a
// field, and on their service.
func ofService(field string) rule {
	return func(a *collector) {
		for _, arn := range a.texts(field) {
			own := keys{}
			if of, path, ok := strings.Cut(arn, ":service-"); ok {
				if parts := strings.Split(path, "/"); len(parts) == 4 { // kind, cluster, service, id
					own["ecs:cluster"] = []string{of + ":cluster/" + parts[1]}
					service := of + ":service/" + parts[1] + "/" + parts[2]
					a.addOwnAction(service, maps.Clone(own))
					own["ecs:service"] = []string{service}
				}
			}
			a.addOwnAction(arn, own)
		}
	}
}

func newECSTags(kind, field string) rule {
	return func(a *collector) {
		of := cmp.Or(a.text("Cluster"), "default")
		a.tagNew(a.ARN("ecs", kind+of[strings.LastIndex(of, "/")+1:]+"/"+a.text(field)))
	}
}

// taskDefinition requests the action on the family, because the revision is not known
// yet. The tags are requested with and without a revision
// (https://github.com/aws/aws-cdk/issues/25768).
func taskDefinition(a *collector) {
	a.addOwnAction(a.ARN("ecs", "task-definition/"+a.text("Family")+":*"), a.tagKeys())
	a.tagNew(a.ARN("ecs", "task-definition/"+a.text("Family")))
	a.tagNew(a.ARN("ecs", "task-definition/"+a.text("Family")+":*"))
}

// rolesOfTasks requests iam:PassRole for the roles in the input.
func rolesOfTasks(a *collector) {
	for _, field := range []string{"ExecutionRoleArn", "TaskRoleArn"} {
		for _, role := range a.texts(field) {
			a.add("iam:PassRole", a.arn("iam", "role/", role), keys{"iam:PassedToService": {"ecs-tasks.amazonaws.com"}})
		}
	}
}

// passesTaskRoles requests iam:PassRole for the roles of the task definition
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/security-iam-roles.html).
func passesTaskRoles(a *collector) {
	for _, role := range a.Roles(a.text("TaskDefinition")) {
		a.add("iam:PassRole", a.arn("iam", "role/", role), keys{"iam:PassedToService": {"ecs-tasks.amazonaws.com"}})
	}
}

// passesInfrastructureRole requests iam:PassRole for the roles under which ECS changes load balancers
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/AmazonECSInfrastructureRolePolicyForLoadBalancers.html).
func passesInfrastructureRole(a *collector) {
	for _, role := range a.texts("LoadBalancers.AdvancedConfiguration.RoleArn") {
		a.add("iam:PassRole", a.arn("iam", "role/", role), keys{"iam:PassedToService": {"ecs.amazonaws.com"}})
	}
}

// balancing requests the action on a new load balancer or target group, whose ARN ends
// with an id that AWS generates.
func balancing(kind, field string) rule {
	return func(a *collector) {
		arn := a.ARN(a.service, kind+a.text(field)+"/*")
		a.addOwnAction(arn, a.tagKeys())
		a.tagNew(arn)
	}
}

// groupsOfVPC requests the action by which a load balancer checks its security groups, on
// the VPC of its subnets
// (https://github.com/kubernetes-sigs/aws-load-balancer-controller/issues/3917).
func groupsOfVPC(a *collector) { a.add("ec2:GetSecurityGroupsForVpc", a.ARN("ec2", "vpc/*"), nil) }

// newListenerTags requests the action for the tags of a new listener, whose ARN begins
// with that of its load balancer.
func newListenerTags(a *collector) {
	a.tagNew(strings.Replace(a.text("LoadBalancerArn"), ":loadbalancer/", ":listener/", 1) + "/*")
}

// ownTagging requests each service's own tagging action on each resource, as the
// tagging API does
// (https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_TagResources.html).
func ownTagging(actions map[string]string) rule {
	return func(a *collector) {
		for _, arn := range a.texts("ResourceARNList") {
			if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 {
				a.add(parts[2]+":"+cmp.Or(actions[parts[2]], actions[""]), arn, a.tagKeys())
			}
		}
	}
}

// logGroup requests the action on a log group. AWS's errors name it with a trailing
// ":log-stream:", the reference without it
// (https://github.com/cloudposse/terraform-aws-cicd/issues/33).
func logGroup(of ...keysOf) rule {
	return func(a *collector) {
		var name string // or its ARN
		for _, field := range []string{"LogGroupName", "LogGroupIdentifier"} {
			if a.has(field) && name == "" {
				name = a.text(field)
			}
		}
		arn := strings.TrimSuffix(a.arn("logs", "log-group:", name), ":*")
		a.addOwnAction(arn, gather(a, of))
		a.addOwnAction(arn+":log-stream:", gather(a, of))
	}
}

// logGroups requests the action without a resource, as in the reference, and on the
// resource in AWS's errors
// (https://github.com/hashicorp/terraform-provider-aws/issues/8804).
func logGroups(a *collector) {
	a.addOwnAction("*", nil)
	a.addOwnAction(a.ARN("logs", "log-group::log-stream:"), nil)
}

func newLogTags(a *collector) { a.tagNew(a.ARN("logs", "log-group:"+a.text("LogGroupName"))) }

func logStream(a *collector) {
	a.addOwnAction(a.ARN("logs", "log-group:"+a.text("LogGroupName")+":log-stream:"+a.text("LogStreamName")), nil)
}

// snapshotOf requests the actions for the snapshot that a call takes of the instance.
func snapshotOf(field string) rule {
	return func(a *collector) {
		if name := a.text(field); name != "" {
			snapshot := a.arn("rds", "snapshot:", name)
			a.add("rds:CreateDBSnapshot", a.arn("rds", "db:", a.text("DBInstanceIdentifier")), nil)
			a.add("rds:CreateDBSnapshot", snapshot, nil)
			a.add("rds:AddTagsToResource", snapshot, nil)
		}
	}
}

func automatedBackup(a *collector) {
	a.addOwnAction(cmp.Or(a.Backups(cmp.Or(a.text("DbiResourceId"), a.text("DBInstanceAutomatedBackupsArn"))), a.ARN("rds", "auto-backup:*")), nil)
}

// zone requests the action on a hosted zone, whose id may follow a path.
func zone(field string) rule {
	return func(a *collector) {
		id := a.text(field)
		a.addOwnAction(a.ARN("route53", "hostedzone/"+id[strings.LastIndex(id, "/")+1:]), nil)
	}
}

// records requests the action on the hosted zone, with the changes as condition keys
// (https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/specifying-rrset-conditions.html).
func records(a *collector) {
	in, ok := a.input.Addr().Interface().(*route53.ChangeResourceRecordSetsInput)
	if !ok || in.ChangeBatch == nil {
		return
	}
	of := keys{}
	for _, c := range in.ChangeBatch.Changes {
		name := strings.ToLower(strings.TrimSuffix(strings.ReplaceAll(*c.ResourceRecordSet.Name, `\052`, "*"), "."))
		for k, v := range map[string]string{"NormalizedRecordNames": name, "RecordTypes": string(c.ResourceRecordSet.Type), "Actions": string(c.Action)} {
			of["route53:ChangeResourceRecordSets"+k] = append(of["route53:ChangeResourceRecordSets"+k], v)
		}
	}
	id := a.text("HostedZoneId")
	a.addOwnAction(a.ARN("route53", "hostedzone/"+id[strings.LastIndex(id, "/")+1:]), of)
}

func change(a *collector) {
	id := a.text("Id")
	a.addOwnAction(a.ARN("route53", "change/"+id[strings.LastIndex(id, "/")+1:]), nil)
}

// newSecret requests the action with the suffix that Secrets Manager will add: a policy
// without one is not enough (https://github.com/iann0036/iam-dataset/pull/22).
func newSecret(a *collector) {
	of := a.tagKeys()
	of["secretsmanager:Name"] = a.texts("Name")
	arn := a.ARN("secretsmanager", "secret:"+a.text("Name")+"-??????")
	a.addOwnAction(arn, of)
	a.tagNew(arn)
}

// secret requests the action on the ARN of a secret. If the secret does not exist, the
// ARN has its name (https://github.com/ministackorg/ministack/pull/1737), and also a
// suffix (https://github.com/jenkinsci/aws-secrets-manager-credentials-provider-plugin/issues/74).
func secret(of ...keysOf) rule {
	return func(a *collector) {
		id := a.text("SecretId")
		all := gather(a, of)
		all["secretsmanager:SecretId"] = []string{id}
		if arn := a.Secret(id); arn != "" {
			a.addOwnAction(arn, all)
			return
		}
		arn := a.arn("secretsmanager", "secret:", id)
		a.addOwnAction(arn, all)
		a.addOwnAction(arn+"-??????", all)
	}
}

func parameterARN(a *collector, name string) string {
	return a.arn("ssm", "parameter/", strings.TrimPrefix(name, "/"))
}

func parameter(field string, of ...keysOf) rule {
	return func(a *collector) {
		for _, name := range a.texts(field) {
			a.addOwnAction(parameterARN(a, name), gather(a, of))
		}
	}
}

func parameterNamed(a *collector) {
	arn := parameterARN(a, a.text("Name"))
	a.addOwnAction(arn, a.tagKeys())
	a.tagNew(arn)
}

// session requests the action on the task of a session, and on the document that
// configures it
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html).
func session(a *collector) {
	if cluster, task, ok := strings.Cut(strings.TrimPrefix(a.text("Target"), "ecs:"), "_"); ok {
		id, _, _ := strings.Cut(task, "_")
		a.addOwnAction(a.ARN("ecs", "task/"+cluster+"/"+id), nil)
	}
	if name := a.text("DocumentName"); name != "" {
		arn := strings.SplitN(a.ARN("ssm", ""), ":", 6)
		arn[4], arn[5] = "", "document/"+name // AWS's own documents have no account
		a.addOwnAction(strings.Join(arn, ":"), nil)
	}
}
