package provision

import (
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/iampolicy"
	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/pricing"
)

// parts are what exists of a stack and settings are read from. Whoever reads a part
// gives that one alone.
type parts struct {
	service    *ecstypes.Service
	definition *ecstypes.TaskDefinition
	// ready is the reference of the image of definition, "" for one that bookctl built.
	ready    string
	database *rdstypes.DBInstance
	// port is that of the listener, 0 where there is none.
	port int32
	role *iamtypes.Role
}

// Where settings are recorded.
var (
	inDefinition = place{on: []string{definitionPart}, untagged: true}
	// With the release, so that one that is gone back to has its own.
	withDefinition = place{on: []string{definitionPart}}
	onService      = place{on: []string{servicePart}, copy: "cluster"}
	onScaling      = place{on: []string{servicePart}, copy: "cluster", by: "scaling"}
	onBalancer     = place{on: []string{balancerPart}, copy: "target-group", by: "listener"}
	onDatabase     = place{on: []string{databasePart}}
	onRoles        = place{on: []string{naming.ExecutionRole, naming.TaskRole}}
	onNetwork      = place{on: []string{networkPart, "subnet-public-a", "subnet-public-b", "subnet-private-a", "subnet-private-b"}}
)

// Table returns the settings, a row each. To add one: a field of Settings, its row,
// and its use in the resource that it changes: see databaseSpecOf for the database, and
// NewStack for the others. Where it costs, its row says
// how much of what (uses) and by which items of pricing (Costs).
// All callers share the rows and must not change them.
func Table() []Setting {
	tableOnce.Do(func() {
		table = slices.Concat(
			imageSettings(),
			containerSettings(),
			balancingSettings(),
			countSettings(),
			databaseSettings(),
			networkSettings(),
			operationSettings(),
		)
	})
	return table
}

// A run needs the table for every resource that it compares.
var (
	tableOnce sync.Once
	table     []Setting
)

// imageSettings are where the image comes from.
func imageSettings() []Setting {
	return []Setting{
		{
			Flag: "image", JSON: "image", Value: Text{Of: func(s *Settings) *string { return &s.Image }},
			Help:    "deploy this image instead of building one: a reference, docker-archive:FILE, oci-archive:FILE or oci:DIR; 'build' returns to building",
			Example: "registry.example.com/bookapi:1.2",
			Drives:  []ResourceField{{definitionPart, "image"}},
			check: func(s Settings, refuse refusal) {
				refuse("image", s.Image != "" && !imageReference.MatchString(s.Image), "image %q: give a reference such as registry.example.com/bookapi:1.2 or …@sha256:…", s.Image)
			},
			normalize: func(s *Settings) {
				s.Image = strings.TrimSpace(s.Image)
				switch {
				case s.Image == "build":
					if s.Image = ""; archive.MatchString(s.From) {
						s.From = ""
					}
				case archive.MatchString(s.Image):
					s.Image, s.From, s.Package, s.Dockerfile = "", s.Image, "", ""
				case s.Image != "":
					s.From, s.Package, s.Dockerfile = "", "", ""
				}
			},
			recorded: inDefinition,
			live:     func(p parts, s *Settings) { s.Image = p.ready },
		},
		{
			Flag: "source", JSON: "source", Value: Text{Of: func(s *Settings) *string { return &s.From }},
			Help:    "build the Go module in this directory, or with --dockerfile use it as context (default: the current one)",
			Example: "./server",
			Drives:  []ResourceField{{servicePart, fieldTag + settingTag("source")}},
			normalize: func(s *Settings) {
				s.From = strings.TrimSpace(s.From)
				s.Image, s.Package, s.Dockerfile = "", "", "" // of what was built before
			},
			recorded: onService,
			text:     func(s Settings) string { return pathText(s.From) },
			fromText: fromTagText,
		},
		{
			Flag: "package", JSON: "package", Value: Text{Of: func(s *Settings) *string { return &s.Package }},
			Help:    "build this main package of the source (default: the only one)",
			Example: "./cmd/server",
			Drives:  []ResourceField{{servicePart, fieldTag + settingTag("package")}},
			check: func(s Settings, refuse refusal) {
				refuse("package", strings.HasPrefix(s.Package, "-") || strings.ContainsAny(s.Package, " \t\n"), "package %q: name a main package of the source, such as ./cmd/server", s.Package)
			},
			recorded: onService,
			text:     func(s Settings) string { return pathText(s.Package) },
			fromText: fromTagText,
		},
		{
			Flag: "dockerfile", JSON: "dockerfile", Value: Text{Of: func(s *Settings) *string { return &s.Dockerfile }},
			Help:    "build the image from this Dockerfile, with docker buildx, podman or buildah",
			Example: "Dockerfile",
			Drives:  []ResourceField{{servicePart, fieldTag + settingTag("dockerfile")}},
			normalize: func(s *Settings) {
				if s.Dockerfile == "" {
					return
				}
				if s.Image, s.Package = "", ""; archive.MatchString(s.From) {
					s.From = ""
				}
			},
			recorded: onService,
			text:     func(s Settings) string { return pathText(s.Dockerfile) },
			fromText: fromTagText,
		},
		{
			Flag: "registry-secret", JSON: "registrySecret", Value: Text{Of: func(s *Settings) *string { return &s.RegistrySecret }},
			Help:    "pull --image with the login in this secret (its ARN); 'none' removes it",
			Example: "arn:aws:secretsmanager:us-east-1:123456789012:secret:registry-AbCdEf",
			Choices: []string{"none"},
			Drives:  []ResourceField{{definitionPart, "registry-secret"}},
			check: func(s Settings, refuse refusal) {
				full := secretARN.MatchString(s.RegistrySecret)
				partial := partialARN(s.RegistrySecret)
				refuse("registry-secret", !full && !partial.Empty(), "registry secret %q %s", s.RegistrySecret, partial)
				refuse("registry-secret", s.RegistrySecret != "" && !full,
					"registry secret %q: give the ARN of a secret in Secrets Manager (arn:aws:secretsmanager:…:secret:…)", s.RegistrySecret)
				// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/private-auth.html
				refuse("registry-secret image", s.RegistrySecret != "" && (s.Image == "" || RepositoryARN(s.Image) != ""),
					"a registry secret goes with an image of a registry outside of AWS: from ECR tasks pull by their execution role")
			},
			normalize: func(s *Settings) {
				s.RegistrySecret = unlessNone(s.RegistrySecret)
			},
			recorded: inDefinition,
			live: func(p parts, s *Settings) {
				if p.ready != "" {
					s.RegistrySecret = registrySecretOf(container(p.definition))
				}
			},
		},
	}
}

// balancingSettings are how the load balancer serves requests.
func balancingSettings() []Setting {
	return []Setting{
		{
			Flag: "sticky", JSON: "sticky", Value: Switch{Of: func(s *Settings) *bool { return &s.Sticky }},
			Help:    "send each client to the same task, with a cookie; only if --deploy is rolling, and always was",
			Example: "true",
			Drives:  []ResourceField{{"target-group", stickiness}},
			check: func(s Settings, refuse refusal) {
				// The stickiness of groups, with which AWS takes it, would keep clients at the
				// release before, and ECS rewrites the rule that has it.
				refuse("sticky deploy", s.Sticky && s.Strategy().Shifts(),
					"--sticky and --deploy %s: a load balancer refuses sticky sessions where requests are divided between two target groups, as every strategy but rolling does; turn one off, by --sticky=false or --deploy rolling", s.Deploy)
				refuse("sticky", s.Sticky && s.TwoTargetGroups && !s.Strategy().Shifts(),
					"--sticky: the stack's releases were shifted before, so that it keeps two target groups, between which a load balancer refuses sticky sessions; turn it off by --sticky=false, or create the stack again")
			},
			recorded: onService, // the group is ready before it
		},
		{
			Flag: "idle-timeout", JSON: "idleTimeout", Value: Number{Of: func(s *Settings) *int32 { return &s.IdleTimeout }, Default: 60},
			Help:    "seconds that a connection may be idle",
			Example: "300",
			Drives:  []ResourceField{{balancerPart, idleTimeout}},
			check: func(s Settings, refuse refusal) {
				// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html
				refuse("idle-timeout", s.IdleTimeout < 1 || s.IdleTimeout > 4000, "idle timeout %d s: a load balancer takes 1 to 4000 s", s.IdleTimeout)
			},
			recorded: onService, // the load balancer is ready before it
			taken:    func(recorded string, _ Settings) bool { return positive(recorded) },
		},
		{
			Flag: "port", JSON: "port", Value: Number{Of: func(s *Settings) *int32 { return &s.Port }, Default: 80},
			Help:    "port of the load balancer's listener (--local: any free port)",
			Example: "8081",
			Drives:  []ResourceField{{"listener", "port"}},
			check: func(s Settings, refuse refusal) {
				refuse("port", s.Port < 1 || s.Port > 65535, "port %d: choose one from 1 to 65535", s.Port)
			},
			recorded: onBalancer,
			live: func(p parts, s *Settings) {
				if p.port != 0 {
					s.Port = p.port
				}
			},
			taken: func(recorded string, _ Settings) bool { return positive(recorded) },
		},
		{
			Flag: "domain", JSON: "domain", Value: Text{Of: func(s *Settings) *string { return &s.Domain }},
			Help:    "serve HTTPS under this domain, whose zone is in Route 53; creates certificate and record",
			Example: "api.example.com",
			Drives:  []ResourceField{{"certificate", ""}, {"dns-record", ""}, {"listener-https", ""}},
			check: func(s Settings, refuse refusal) {
				// https://docs.aws.amazon.com/acm/latest/APIReference/API_RequestCertificate.html
				refuse("domain", s.Domain != "" && (!naming.IsDomain(s.Domain) || len(s.Domain) > 64),
					"domain %q: give a name such as api.example.com, in lower case and of at most 64 characters", s.Domain)
			},
			normalize: func(s *Settings) { s.Domain = strings.ToLower(strings.TrimSuffix(s.Domain, ".")) },
			recorded:  onBalancer,
			when:      Settings.Secure,
		},
		{
			Flag: "certificate", JSON: "certificate", Value: Text{Of: func(s *Settings) *string { return &s.Certificate }},
			Help:    "serve HTTPS with this ACM certificate (its ARN)",
			Example: "arn:aws:acm:us-east-1:123456789012:certificate/12345678-1234-1234-1234-123456789012",
			Drives:  []ResourceField{{"listener-https", ""}},
			check: func(s Settings, refuse refusal) {
				refuse("certificate", s.Certificate != "" && !certificateARN.MatchString(s.Certificate),
					"certificate %q: give the ARN of a certificate in ACM (arn:aws:acm:…:certificate/…)", s.Certificate)
			},
			recorded: onBalancer,
			when:     Settings.Secure,
		},
		{
			Flag: "https-port", JSON: "httpsPort", Value: Number{Of: func(s *Settings) *int32 { return &s.HTTPSPort }, Default: 443},
			Help:    "port of the HTTPS listener (--local: any free port)",
			Example: "8443",
			Drives:  []ResourceField{{"listener-https", "port"}},
			check: func(s Settings, refuse refusal) {
				refuse("https-port port", s.Secure() && (s.HTTPSPort < 1 || s.HTTPSPort > 65535 || s.HTTPSPort == s.Port),
					"HTTPS port %d: choose one from 1 to 65535 that is not the port %d of HTTP", s.HTTPSPort, s.Port)
			},
			recorded: onBalancer,
			when:     Settings.Secure,
		},
	}
}

// countSettings are how many tasks run, and on what capacity.
func countSettings() []Setting {
	return []Setting{
		{
			Flag: "count", JSON: "count", Value: Number{Of: func(s *Settings) *int32 { return &s.Count }, Default: 1},
			Help:    "number of tasks",
			Example: "3",
			Drives:  []ResourceField{{servicePart, "count"}},
			Costs:   []string{"tasks", "public addresses"},
			uses:    func(s Settings, u *pricing.Usage) { u.Tasks = s.Count },
			check: func(s Settings, refuse refusal) {
				refuse("count", s.Count == 0, "count 0: choose 1 to %d tasks, or stop them all with %s", mostTasks, hint.Command("pause"))
				refuse("count", s.Count < 1 || s.Count > mostTasks, "count %d: choose 1 to %d tasks", s.Count, mostTasks)
			},
			recorded: onService,
			live:     func(p parts, s *Settings) { s.Count = max(1, p.service.DesiredCount) },
			moves:    true,
			taken:    func(recorded string, _ Settings) bool { return positive(recorded) },
		},
		{
			Flag: "max", JSON: "max", Value: Number{Of: func(s *Settings) *int32 { return &s.Max }},
			Help:    "maximum number of tasks under load; 0 turns scaling off",
			Example: "6",
			Drives:  []ResourceField{{"scaling", "tasks"}},
			Costs:   []string{"tasks"},
			uses:    func(s Settings, u *pricing.Usage) { u.MaxTasks = s.Max },
			check: func(s Settings, refuse refusal) {
				refuse("min max", s.Max == 0 && s.Min != 0, "min %d without max: give both to scale by load, or neither", s.Min)
				refuse("min max", s.Max != 0 && s.Min == 0, "max %d without min: give both to scale by load, or neither", s.Max)
				refuse("min max", s.Max != 0 && s.Min != 0 && (s.Min < 1 || s.Min > s.Max || s.Max > mostTasks),
					"min %d, max %d: choose 1 to %d tasks, and min not above max", s.Min, s.Max, mostTasks)
				refuse("min max count", s.Max != 0 && (s.Count < s.Min || s.Count > s.Max), "count %d: choose one from min %d to max %d", s.Count, s.Min, s.Max)
			},
			normalize: func(s *Settings) {
				if s.Max == 0 { // no scaling, so no bounds
					s.Min = 0
				}
			},
			recorded: onScaling,
		},
		{
			Flag: "min", JSON: "min", Value: Number{Of: func(s *Settings) *int32 { return &s.Min }},
			Help:     "minimum number of tasks (with --max)",
			Example:  "2",
			Drives:   []ResourceField{{"scaling", "tasks"}},
			recorded: onScaling,
		},
		{
			Flag: "spot", JSON: "spot", Value: Switch{Of: func(s *Settings) *bool { return &s.Spot }},
			Help:     "run the tasks beyond --spot-base on Fargate Spot, which costs less; AWS may take them back with two minutes' notice",
			Example:  "true",
			Drives:   []ResourceField{{servicePart, fieldCapacity}, {"cluster", fieldCapacity}},
			Costs:    []string{"tasks", "spot tasks"},
			uses:     func(s Settings, u *pricing.Usage) { u.Spot = s.Spot },
			recorded: onService,
			live: func(p parts, s *Settings) {
				s.Spot = slices.ContainsFunc(p.service.CapacityProviderStrategy, func(c ecstypes.CapacityProviderStrategyItem) bool {
					return aws.ToString(c.CapacityProvider) == onSpot
				})
			},
		},
		{
			Flag: "spot-base", JSON: "spotBase", Value: Number{Of: func(s *Settings) *int32 { return &s.SpotBase }, Default: 1},
			Help:    "number of tasks that stay on demand with --spot; 0 for none",
			Example: "2",
			Drives:  []ResourceField{{servicePart, fieldCapacity}},
			Costs:   []string{"tasks", "spot tasks"},
			uses:    func(s Settings, u *pricing.Usage) { u.SpotBase = s.SpotBase },
			check: func(s Settings, refuse refusal) {
				refuse("stop-timeout", s.Spot && s.StopTimeout <= spotDrain,
					"stop timeout %d s: with --spot choose %d to 120 s, since the load balancer goes on sending requests to a task that AWS takes back, for up to %d s", s.StopTimeout, spotDrain+1, spotDrain)
				refuse("spot-base", s.SpotBase < 0 || s.SpotBase > mostTasks, "spot base %d: choose 0 to %d tasks", s.SpotBase, mostTasks)
			},
			recorded: onService,
		},
	}
}

// operationSettings are access to tasks, alarms, how releases are deployed, and roles.
func operationSettings() []Setting {
	alarmCosts := []string{"alarms", "alarm mails", "alarm events"}
	alarmUses := func(s Settings, u *pricing.Usage) { u.AlarmMetrics = alarmMetrics(s) }
	return []Setting{
		{
			Flag: "exec", JSON: "exec", Value: Switch{Of: func(s *Settings) *bool { return &s.Exec }},
			Help:     "allow 'bookctl exec' into the tasks",
			Example:  "true",
			Drives:   []ResourceField{{servicePart, "exec"}},
			recorded: onService,
			live:     func(p parts, s *Settings) { s.Exec = p.service.EnableExecuteCommand },
		},
		{
			Flag: "alarm-email", JSON: "alarmEmail", Value: Text{Of: func(s *Settings) *string { return &s.AlarmEmail }},
			Help:    "send a mail to this address when the service, its database or a release fails; 'none' turns it off",
			Example: "ops@example.com",
			Drives:  []ResourceField{{"alarm-topic", ""}, {"alarms", ""}, {"release-alarm", ""}},
			Costs:   alarmCosts, uses: alarmUses,
			check: func(s Settings, refuse refusal) {
				refuse("alarm-email", s.AlarmEmail != "" && (len(s.AlarmEmail) > 256 || !emailAddress.MatchString(s.AlarmEmail)), "alarm email %q: give one address such as ops@example.com", s.AlarmEmail)
			},
			normalize: func(s *Settings) {
				s.AlarmEmail = unlessNone(strings.TrimSpace(s.AlarmEmail))
				if s.AlarmEmail != "" {
					s.AlarmTopic = ""
				}
			},
			recorded: onService, // the alarms are created or deleted before it
		},
		{
			Flag: "alarm-topic", JSON: "alarmTopic", Value: Text{Of: func(s *Settings) *string { return &s.AlarmTopic }},
			Help:    "notify this existing SNS topic (its ARN) instead; 'none' turns it off",
			Example: "arn:aws:sns:us-east-1:000000000000:ops",
			Drives:  []ResourceField{{"alarms", ""}, {"release-alarm", ""}},
			Costs:   alarmCosts, uses: alarmUses,
			check: func(s Settings, refuse refusal) {
				refuse("alarm-topic", s.AlarmTopic != "" && !topicARN.MatchString(s.AlarmTopic), "alarm topic %q: give the ARN of a standard topic of SNS (arn:aws:sns:…)", s.AlarmTopic)
				refuse("alarm-email alarm-topic", s.AlarmEmail != "" && s.AlarmTopic != "", "alarms go to an address or to a topic, not to both: a topic can have more subscribers")
			},
			normalize: func(s *Settings) {
				s.AlarmTopic = unlessNone(strings.TrimSpace(s.AlarmTopic))
				if s.AlarmTopic != "" {
					s.AlarmEmail = ""
				}
			},
			recorded: onService, // the alarms are created or deleted before it
		},
		{
			Flag: "deploy", JSON: "deploy", Value: Text{Of: func(s *Settings) *string { return &s.Deploy }, Default: rolling},
			Help:    "how a release replaces the one before: rolling, canary:10%/5m, linear:20%/3m or blue-green; a time after another colon is how long the old tasks stay after that (5m)",
			Example: "canary:10%/5m:10m",
			Choices: []string{rolling, "canary:10%/5m", "linear:20%/3m", "blue-green:10m"},
			Drives:  []ResourceField{{"target-group-b", ""}, {naming.BalancingRole, ""}, {"listener", "default-action"}, {servicePart, "target-group"}},
			Costs:   []string{"scaling alarms"}, // where the stack scales
			uses:    func(s Settings, u *pricing.Usage) { u.ScalingMetrics = scalingMetrics(s) },
			check: func(s Settings, refuse refusal) {
				_, err := parseStrategy(s.Deploy)
				refuse("deploy", err != nil, "deployment strategy %q: %v", s.Deploy, err)
			},
			normalize: func(s *Settings) {
				if strategy, err := parseStrategy(strings.TrimSpace(s.Deploy)); err == nil {
					s.Deploy = strategy.String()
				}
			},
			recorded: onService,
			text:     func(s Settings) string { return tagText(s.Deploy) },
			fromText: fromTagText,
			live:     func(p parts, s *Settings) { s.Deploy = strategyOf(p.service.DeploymentConfiguration).String() },
		},
		{
			Flag: "task-policies", JSON: "taskPolicies", Value: Text{Of: func(s *Settings) *string { return &s.TaskPolicies }},
			Help:    "let the tasks do in AWS what these existing IAM policies allow (their ARNs, separated by commas); 'none' for none",
			Example: "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",
			Choices: []string{"none"},
			Drives:  []ResourceField{{naming.TaskRole, "attached policies"}},
			check: func(s Settings, refuse refusal) {
				err := iampolicy.CheckPolicies(s.taskPolicies())
				refuse("task-policies", err != nil, "task policies: %v", err)
				refuse("task-policies", len(policiesText(s.TaskPolicies)) > 256, "task policies: their ARNs are too long to be recorded in a tag; one policy can allow what several do")
			},
			normalize: func(s *Settings) {
				s.TaskPolicies = strings.Join(slices.Compact(slices.Sorted(slices.Values(IDList(unlessNone(strings.TrimSpace(s.TaskPolicies)))))), ",")
			},
			recorded: onService, // the role is ready before it
			text:     func(s Settings) string { return policiesText(s.TaskPolicies) },
			fromText: policiesFromText,
		},
		{
			Flag: "permissions-boundary", JSON: "permissionsBoundary", Value: Text{Of: func(s *Settings) *string { return &s.Boundary }},
			Help:    "permissions boundary of the roles (the ARN of a policy); 'none' removes it",
			Example: "arn:aws:iam::123456789012:policy/boundary",
			Choices: []string{"none"},
			Drives:  []ResourceField{{naming.ExecutionRole, "permissions boundary"}, {naming.TaskRole, "permissions boundary"}},
			check: func(s Settings, refuse refusal) {
				refuse("permissions-boundary", iampolicy.CheckBoundary(s.Boundary) != nil, "%v", iampolicy.CheckBoundary(s.Boundary))
			},
			normalize: func(s *Settings) {
				s.Boundary = unlessNone(strings.TrimSpace(s.Boundary))
			},
			recorded: onRoles,
			live:     func(p parts, s *Settings) { s.Boundary = boundaryOf(p.role) },
		},
	}
}

// unlessNone is a text, or empty where that is "none".
func unlessNone(text string) string {
	if text == "none" {
		return ""
	}
	return text
}

// positive reports whether a text is a whole number above 0.
func positive(text string) bool {
	n := number(text)
	return n != nil && *n > 0
}
