package ecs

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/pattern"
)

type definition struct {
	types.TaskDefinition
	Tags map[string]string
}

func (d *definition) key() string { return *d.Family + ":" + strconv.Itoa(int(d.Revision)) }

// ports are those that the containers of a task listen on.
func (d *definition) ports() (ports []int) {
	for _, c := range d.ContainerDefinitions {
		for _, m := range c.PortMappings {
			ports = append(ports, int(aws.ToInt32(m.ContainerPort)))
		}
	}
	return ports
}

// sysctls are the parameters of the kernel of all containers of a task, which share a network
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_SystemControl.html).
func (d *definition) sysctls() map[string]string {
	out := map[string]string{}
	for _, c := range d.ContainerDefinitions {
		for _, s := range c.SystemControls {
			out[aws.ToString(s.Namespace)] = aws.ToString(s.Value)
		}
	}
	return out
}

// memory is the most that a container may use, in bytes: its own limit, or the
// task's.
func (d *definition) memory(c types.ContainerDefinition) int64 {
	if c.Memory != nil {
		return int64(*c.Memory) << 20
	}
	mib, err := strconv.ParseInt(aws.ToString(d.Memory), 10, 64)
	if err != nil {
		return 0 // checkSize lets none such pass
	}
	return mib << 20
}

// definition finds a task definition by family (its latest active revision),
// family:revision or ARN. It is nil when there is none.
func (a tx) definition(name string) *definition {
	name = lastPart(name)
	if strings.Contains(name, ":") {
		return a.state().Definitions[name]
	}
	var latest *definition
	for _, d := range a.state().Definitions {
		if *d.Family == name && d.Status == types.TaskDefinitionStatusActive && (latest == nil || d.Revision > latest.Revision) {
			latest = d
		}
	}
	return latest
}

// activeDefinition finds a definition that a service or task may use.
func (a tx) activeDefinition(name *string) (*definition, error) {
	d := a.definition(aws.ToString(name))
	if d == nil {
		return nil, kernel.Fail("ClientException", "TaskDefinition not found.")
	}
	if d.Status != types.TaskDefinitionStatusActive {
		return nil, kernel.Fail("ClientException", "TaskDefinition is inactive")
	}
	return d, nil
}

// fargateSizes is the memory in MiB, from, to and step, that goes with each cpu
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html#fargate-tasks-size).
var fargateSizes = map[int][3]int{
	256: {512, 2048, 0}, 512: {1024, 4096, 1024}, 1024: {2048, 8192, 1024}, 2048: {4096, 16384, 1024},
	4096: {8192, 30720, 1024}, 8192: {16384, 61440, 4096}, 16384: {32768, 122880, 8192},
}

func checkSize(cpu, memory string) error {
	bad := kernel.Fail("ClientException", "No Fargate configuration exists for given values: %s CPU, %s memory. See the Amazon ECS documentation for the valid values.", cpu, memory)
	units, err := strconv.Atoi(cpu)
	if err != nil {
		return bad
	}
	mib, err := strconv.Atoi(memory)
	if err != nil {
		return bad
	}
	size, ok := fargateSizes[units]
	switch {
	case !ok || mib < size[0] || mib > size[1]:
		return bad
	case size[2] == 0 && mib != 512 && mib != 1024 && mib != 2048:
		return bad
	case size[2] != 0 && (mib-size[0])%size[2] != 0:
		return bad
	}
	return nil
}

// sizeUnits turns ".25 vCPU" and "0.5 GB" into units and MiB.
func sizeUnits(text, unit string) string {
	number, ok := strings.CutSuffix(strings.ToLower(strings.TrimSpace(text)), unit)
	if !ok {
		return text
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil {
		return text
	}
	return strconv.Itoa(int(f * 1024))
}

var ecrImage = pattern.New(`^(?:127\.0\.0\.1:\d+|\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com)/`)

// checkContainers checks what Fargate requires of a definition's containers.
func checkContainers(containers []types.ContainerDefinition, role *string) error {
	if len(containers) == 0 {
		return kernel.Fail("ClientException", "Container list cannot be empty.")
	}
	names := map[string]bool{}
	essential := false
	for _, d := range containers {
		name := aws.ToString(d.Name)
		switch {
		case !namePattern.MatchString(name):
			return kernel.Fail("ClientException", "Container.name contains invalid characters.")
		case names[name]:
			return kernel.Fail("ClientException", "Container.name '%s' is not unique.", name)
		case aws.ToString(d.Image) == "":
			return kernel.Fail("ClientException", "Container.image should not be null or empty.")
		case len(d.Secrets) > 0 && role == nil:
			return kernel.Fail("ClientException", "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'.")
		case d.RepositoryCredentials != nil && role == nil:
			return kernel.Fail("ClientException", "When you are specifying 'repositoryCredentials', you must also specify a value for 'executionRoleArn'.")
		case ecrImage.MatchString(*d.Image) && role == nil:
			return kernel.Fail("ClientException", "Fargate requires task definition to have execution role ARN to support ECR images.")
		case aws.ToInt32(d.StopTimeout) > 120:
			return kernel.Fail("ClientException", "Invalid 'stopTimeout' value '%d': the maximum for Fargate is 120 seconds.", *d.StopTimeout)
		}
		names[name] = true
		essential = essential || d.Essential == nil || *d.Essential
		for _, m := range d.PortMappings {
			if m.HostPort != nil && *m.HostPort != 0 && *m.HostPort != aws.ToInt32(m.ContainerPort) {
				return kernel.Fail("ClientException", "When networkMode=awsvpc, the host ports and container ports in port mappings must match.")
			}
		}
		if l := d.LogConfiguration; l != nil {
			if l.LogDriver != types.LogDriverAwslogs {
				return kernel.Fail("ClientException", "The local cloud has the log driver awslogs only, not %s", l.LogDriver)
			}
			if role == nil {
				return kernel.Fail("ClientException", "Fargate requires task definition to have execution role ARN to support log driver awslogs.")
			}
			for _, option := range []string{"awslogs-group", "awslogs-region", "awslogs-stream-prefix"} {
				if l.Options[option] == "" {
					return kernel.Fail("ClientException", "Log driver awslogs requires options: awslogs-group, awslogs-region, awslogs-stream-prefix")
				}
			}
		}
		if h := d.HealthCheck; h != nil {
			within := func(n *int32, low, high int32) bool { return n == nil || *n >= low && *n <= high }
			if len(h.Command) < 2 || h.Command[0] != "CMD" && h.Command[0] != "CMD-SHELL" ||
				!within(h.Interval, 5, 300) || !within(h.Timeout, 2, 60) || !within(h.Retries, 1, 10) || !within(h.StartPeriod, 0, 300) {
				return kernel.Fail("ClientException", "The health check of container '%s' is invalid: a command of CMD or CMD-SHELL, an interval of 5 to 300 s, a timeout of 2 to 60 s, 1 to 10 retries and a start period of 0 to 300 s are allowed.", name)
			}
		}
	}
	if !essential {
		return kernel.Fail("ClientException", "A task definition must have at least one essential container")
	}
	return nil
}

// mayPass rejects a role that is not visible everywhere in IAM yet, with the error for a
// role that the caller may not pass:
// https://github.com/terraform-aws-modules/terraform-aws-ecs/issues/414
func (a tx) mayPass(roles ...*string) error {
	for _, arn := range roles {
		if arn == nil {
			continue
		}
		if _, made := a.needs.Roles.Name(a.Tx, *arn); made && !a.needs.Roles.Passable(a.Tx, *arn) {
			return kernel.Fail("AccessDeniedException", "User: %s is not authorized to perform: iam:PassRole on resource: %s because no identity-based policy allows the iam:PassRole action", a.CallerARN(), *arn)
		}
	}
	return nil
}

// RegisterTaskDefinition creates a new revision, at each call.
func (a tx) RegisterTaskDefinition(in *ecs.RegisterTaskDefinitionInput) (*ecs.RegisterTaskDefinitionOutput, error) {
	family := aws.ToString(in.Family)
	if !namePattern.MatchString(family) {
		return nil, kernel.Fail("ClientException", "Family contains invalid characters.")
	}
	if in.NetworkMode != types.NetworkModeAwsvpc {
		return nil, kernel.Fail("ClientException", "Fargate only supports network mode 'awsvpc'.")
	}
	if !slices.Contains(in.RequiresCompatibilities, types.CompatibilityFargate) {
		return nil, kernel.Fail("ClientException", "The local cloud runs Fargate tasks only: requiresCompatibilities has to hold FARGATE.")
	}
	if in.Cpu == nil || in.Memory == nil {
		return nil, kernel.Fail("ClientException", "Fargate requires that 'cpu' and 'memory' be defined at the task level.")
	}
	cpu, memory := sizeUnits(*in.Cpu, "vcpu"), sizeUnits(*in.Memory, "gb")
	if err := checkSize(cpu, memory); err != nil {
		return nil, err
	}
	if err := checkContainers(in.ContainerDefinitions, in.ExecutionRoleArn); err != nil {
		return nil, err
	}
	if err := a.mayPass(in.ExecutionRoleArn, in.TaskRoleArn); err != nil {
		return nil, err
	}
	containers := slices.Clone(in.ContainerDefinitions)
	for i := range containers {
		d := &containers[i]
		d.Essential = cmp.Or(d.Essential, aws.Bool(true))
		mappings := slices.Clone(d.PortMappings)
		for j := range mappings {
			mappings[j].HostPort = mappings[j].ContainerPort
			mappings[j].Protocol = cmp.Or(mappings[j].Protocol, types.TransportProtocolTcp)
		}
		d.PortMappings = mappings
		if d.HealthCheck != nil {
			h := *d.HealthCheck
			h.Interval, h.Timeout, h.Retries = cmp.Or(h.Interval, aws.Int32(30)), cmp.Or(h.Timeout, aws.Int32(5)), cmp.Or(h.Retries, aws.Int32(3))
			d.HealthCheck = &h
		}
	}
	// Each by itself: an empty one is not in the state that was kept.
	if a.state().Revisions == nil {
		a.state().Revisions = map[string]int32{}
	}
	if a.state().Definitions == nil {
		a.state().Definitions = map[string]*definition{}
	}
	a.state().Revisions[family]++
	d := &definition{
		TaskDefinition: types.TaskDefinition{
			Family: in.Family, Revision: a.state().Revisions[family], Status: types.TaskDefinitionStatusActive, ContainerDefinitions: containers,
			Cpu: aws.String(cpu), Memory: aws.String(memory), ExecutionRoleArn: in.ExecutionRoleArn, TaskRoleArn: in.TaskRoleArn, NetworkMode: in.NetworkMode,
			RequiresCompatibilities: in.RequiresCompatibilities, Compatibilities: []types.Compatibility{types.CompatibilityEc2, types.CompatibilityFargate},
			RuntimePlatform: in.RuntimePlatform, Volumes: slices.Clone(in.Volumes), EphemeralStorage: in.EphemeralStorage,
			PlacementConstraints: []types.TaskDefinitionPlacementConstraint{}, RegisteredAt: aws.Time(a.Now()), RegisteredBy: aws.String(a.ARN("iam", "root")),
		},
		Tags: kernel.TagMap(in.Tags, tagPair),
	}
	d.TaskDefinitionArn = aws.String(a.ARN("ecs", "task-definition/"+d.key()))
	a.state().Definitions[d.key()] = d
	described := d.TaskDefinition
	return &ecs.RegisterTaskDefinitionOutput{TaskDefinition: &described, Tags: kernel.TagList(d.Tags, newTag)}, nil
}

// DescribeTaskDefinition describes a revision that is not deleted yet.
func (a tx) DescribeTaskDefinition(in *ecs.DescribeTaskDefinitionInput) (*ecs.DescribeTaskDefinitionOutput, error) {
	d := a.definition(aws.ToString(in.TaskDefinition))
	if d == nil {
		return nil, kernel.Fail("ClientException", "Unable to describe task definition.")
	}
	described := d.TaskDefinition
	out := &ecs.DescribeTaskDefinitionOutput{TaskDefinition: &described}
	if slices.Contains(in.Include, types.TaskDefinitionFieldTags) {
		out.Tags = kernel.TagList(d.Tags, newTag)
	}
	return out, nil
}

// DeregisterTaskDefinition makes a revision inactive: what uses it goes on.
func (a tx) DeregisterTaskDefinition(in *ecs.DeregisterTaskDefinitionInput) (*ecs.DeregisterTaskDefinitionOutput, error) {
	name := lastPart(aws.ToString(in.TaskDefinition))
	if !strings.Contains(name, ":") {
		return nil, kernel.Fail("InvalidParameterException", "Revision is missing: %s", name)
	}
	d := a.definition(name)
	if d == nil {
		return nil, kernel.Fail("ClientException", "The specified task definition does not exist.")
	}
	if d.Status == types.TaskDefinitionStatusActive {
		d.Status, d.DeregisteredAt = types.TaskDefinitionStatusInactive, aws.Time(a.Now())
	}
	described := d.TaskDefinition
	return &ecs.DeregisterTaskDefinitionOutput{TaskDefinition: &described}, nil
}

// DeleteTaskDefinitions begins the deletion of inactive revisions, which ends
// when nothing uses them any more.
func (a tx) DeleteTaskDefinitions(in *ecs.DeleteTaskDefinitionsInput) (*ecs.DeleteTaskDefinitionsOutput, error) {
	if len(in.TaskDefinitions) > 10 {
		return nil, kernel.Fail("InvalidParameterException", "The number of task definitions exceeds the limit of 10.")
	}
	out := &ecs.DeleteTaskDefinitionsOutput{TaskDefinitions: []types.TaskDefinition{}, Failures: []types.Failure{}}
	for _, name := range in.TaskDefinitions {
		d := a.state().Definitions[lastPart(name)]
		switch {
		case d == nil:
			out.Failures = append(out.Failures, types.Failure{Arn: aws.String(name), Reason: aws.String("The specified task definition does not exist. Specify a valid account, family, revision and try again.")})
			continue
		case d.Status == types.TaskDefinitionStatusActive:
			out.Failures = append(out.Failures, types.Failure{Arn: aws.String(name), Reason: aws.String("The specified task definition is still in ACTIVE status. Please deregister the target and try again.")})
			continue
		}
		d.Status, d.DeleteRequestedAt = types.TaskDefinitionStatusDeleteInProgress, aws.Time(a.Now())
		out.TaskDefinitions = append(out.TaskDefinitions, d.TaskDefinition)
	}
	a.wakeScheduler()
	return out, nil
}

// purgeDefinitions completes the deletions that nothing holds up, and reports whether there
// were any.
func (a tx) purgeDefinitions() (changed bool) {
	for key, d := range a.state().Definitions {
		if d.Status != types.TaskDefinitionStatusDeleteInProgress || a.definitionInUse(*d.TaskDefinitionArn) {
			continue
		}
		delete(a.state().Definitions, key)
		changed = true
	}
	return changed
}

func (a tx) definitionInUse(arn string) bool {
	for _, t := range a.state().Tasks {
		if *t.TaskDefinitionArn == arn && *t.LastStatus != taskStopped {
			return true
		}
	}
	for _, s := range a.state().Services {
		if s.Status != statusInactive && slices.ContainsFunc(s.Deployments, func(d deployment) bool { return d.Definition == arn }) {
			return true
		}
	}
	return false
}

// ListTaskDefinitions lists revisions by family and status, sorted by revision.
func (a tx) ListTaskDefinitions(in *ecs.ListTaskDefinitionsInput) (*ecs.ListTaskDefinitionsOutput, error) {
	status := cmp.Or(in.Status, types.TaskDefinitionStatusActive)
	var list []*definition
	for _, d := range a.state().Definitions {
		if d.Status == status && (in.FamilyPrefix == nil || *d.Family == *in.FamilyPrefix) {
			list = append(list, d)
		}
	}
	slices.SortFunc(list, func(x, y *definition) int {
		return cmp.Or(cmp.Compare(*x.Family, *y.Family), cmp.Compare(x.Revision, y.Revision))
	})
	if in.Sort == types.SortOrderDesc {
		slices.Reverse(list)
	}
	out := &ecs.ListTaskDefinitionsOutput{TaskDefinitionArns: []string{}}
	for _, d := range list {
		out.TaskDefinitionArns = append(out.TaskDefinitionArns, *d.TaskDefinitionArn)
	}
	if i := slices.Index(out.TaskDefinitionArns, aws.ToString(in.NextToken)); i >= 0 {
		out.TaskDefinitionArns = out.TaskDefinitionArns[i+1:]
	}
	limit := 100
	if in.MaxResults != nil && *in.MaxResults > 0 {
		limit = int(*in.MaxResults)
	}
	if len(out.TaskDefinitionArns) > limit {
		out.TaskDefinitionArns = out.TaskDefinitionArns[:limit]
		out.NextToken = aws.String(out.TaskDefinitionArns[limit-1])
	}
	return out, nil
}

// ListTaskDefinitionFamilies lists families with a revision of the status.
func (a tx) ListTaskDefinitionFamilies(in *ecs.ListTaskDefinitionFamiliesInput) (*ecs.ListTaskDefinitionFamiliesOutput, error) {
	families := map[string]bool{}
	for _, d := range a.state().Definitions {
		active := d.Status == types.TaskDefinitionStatusActive
		if strings.HasPrefix(*d.Family, aws.ToString(in.FamilyPrefix)) &&
			(in.Status == "" || in.Status == types.TaskDefinitionFamilyStatusAll || active == (in.Status == types.TaskDefinitionFamilyStatusActive)) {
			families[*d.Family] = true
		}
	}
	out := &ecs.ListTaskDefinitionFamiliesOutput{}
	out.Families, out.NextToken = kernel.PageAfter(slices.Sorted(maps.Keys(families)), in.NextToken, in.MaxResults, 100)
	return out, nil
}
