package provision

import (
	"maps"
	"slices"
	"strconv"
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
			given: func(s *Settings) {
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
			given: func(s *Settings) {
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
			given: func(s *Settings) {
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
			given: func(s *Settings) {
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

// containerSettings are how a task runs its container.
func containerSettings() []Setting {
	return []Setting{
		{
			Flag: "cpu", JSON: "cpu", Value: Number{Of: func(s *Settings) *int32 { return &s.CPU }, Default: 256},
			Help:    "CPU of a task, in 1/1024 of a CPU",
			Example: "1024",
			Choices: texts(slices.Sorted(maps.Keys(fargate))),
			Drives:  []ResourceField{{definitionPart, "cpu"}},
			Costs:   []string{"tasks"},
			uses:    func(s Settings, u *pricing.Usage) { u.CPU = s.CPU },
			check: func(s Settings, refuse refusal) {
				refuse("cpu", fargate[s.CPU].none(), "cpu %d: Fargate takes %s", s.CPU, joined(slices.Sorted(maps.Keys(fargate))))
			},
			recorded: inDefinition,
			live: func(p parts, s *Settings) {
				if n := number(aws.ToString(p.definition.Cpu)); n != nil {
					s.CPU = *n
				}
			},
		},
		{
			Flag: "memory", JSON: "memory", Value: Number{Of: func(s *Settings) *int32 { return &s.Memory }, Default: 512},
			Help:    "memory of a task, in MiB",
			Example: "4096",
			Drives:  []ResourceField{{definitionPart, "memory"}},
			Costs:   []string{"tasks"},
			uses:    func(s Settings, u *pricing.Usage) { u.Memory = s.Memory },
			check: func(s Settings, refuse refusal) {
				sizes := fargate[s.CPU]
				refuse("cpu memory", !sizes.none() && !sizes.allow(s.Memory), "memory %d: with cpu %d Fargate takes %s", s.Memory, s.CPU, sizes)
				refuse("memory", !slices.ContainsFunc(slices.Collect(maps.Values(fargate)), func(m memorySizes) bool { return m.allow(s.Memory) }),
					"memory %d: Fargate takes 512, or 1024 to 122880 in steps that depend on the cpu", s.Memory)
			},
			recorded: inDefinition,
			live: func(p parts, s *Settings) {
				if n := number(aws.ToString(p.definition.Memory)); n != nil {
					s.Memory = *n
				}
			},
		},
		{
			Flag: "arch", JSON: "arch", Value: Text{Of: func(s *Settings) *string { return &s.Arch }, Default: "amd64"},
			Help:    "architecture of the tasks: amd64 or arm64",
			Example: "arm64",
			Choices: []string{"amd64", "arm64"},
			Drives:  []ResourceField{{definitionPart, "architecture"}},
			Costs:   []string{"tasks"},
			uses:    func(s Settings, u *pricing.Usage) { u.Arch = s.Arch },
			check: func(s Settings, refuse refusal) {
				refuse("arch", s.Arch != "amd64" && s.Arch != "arm64", "architecture %q: choose amd64 or arm64", s.Arch)
			},
			recorded: inDefinition,
			live: func(p parts, s *Settings) {
				if on := p.definition.RuntimePlatform; on != nil {
					s.Arch = "amd64"
					if on.CpuArchitecture == ecstypes.CPUArchitectureArm64 {
						s.Arch = "arm64"
					}
				}
			},
		},
		{
			Flag: "container-port", JSON: "containerPort", Value: Number{Of: func(s *Settings) *int32 { return &s.ContainerPort }, Default: 8080}, Derived: true,
			Help:    "port that the container listens on; the container gets it in PORT (default: the image's EXPOSE, or 8080; 0 returns to that)",
			Example: "3000",
			Drives:  []ResourceField{{definitionPart, "container-port"}, {servicePart, "target-group"}},
			check: func(s Settings, refuse refusal) {
				refuse("container-port", s.ContainerPort < 1 || s.ContainerPort > 65535, "container port %d: choose one from 1 to 65535", s.ContainerPort)
			},
			recorded: inDefinition,
			live: func(p parts, s *Settings) {
				for _, m := range container(p.definition).PortMappings {
					s.ContainerPort = aws.ToInt32(m.ContainerPort)
				}
			},
		},
		{
			Flag: "health-path", JSON: "healthPath", Value: Text{Of: func(s *Settings) *string { return &s.HealthPath }, Default: "/startupz"}, Derived: true,
			Help:    "path that the load balancer requests from a task (default: the image's label, or /; 'image' returns to that)",
			Example: "/healthz?full=1",
			Choices: []string{"/", "/healthz", "image"},
			Drives:  []ResourceField{{servicePart, fieldCheckPath}},
			check: func(s Settings, refuse refusal) {
				// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
				refuse("health-path", !healthPath.MatchString(s.HealthPath), "health path %q: give a path such as /healthz, in ASCII and without spaces", s.HealthPath)
				refuse("health-path", len(tagText(s.HealthPath)) > 256, "health path of %d characters: that is too long to be recorded in a tag", len(s.HealthPath))
			},
			recorded: withDefinition,
			text:     func(s Settings) string { return tagText(s.HealthPath) },
			fromText: fromTagText,
		},
		{
			Flag: "health-status", JSON: "healthStatus", Value: Text{Of: func(s *Settings) *string { return &s.HealthStatus }, Default: "200"}, Derived: true,
			Help:    "status codes of a healthy task for --health-path (default: the image's label, or 200-299; 'image' returns to that)",
			Example: "200,301-302",
			Choices: []string{"200", "200-299", "200-399", "image"},
			Drives:  []ResourceField{{servicePart, fieldCheckCodes}},
			check: func(s Settings, refuse refusal) {
				// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Matcher.html
				refuse("health-status", !healthStatus.MatchString(s.HealthStatus), "health status %q: a load balancer takes codes and ranges from 200 to 499, such as 200-299 or 200,302", s.HealthStatus)
			},
			recorded: withDefinition,
			text:     func(s Settings) string { return tagText(s.HealthStatus) },
			fromText: fromTagText,
		},
		{
			Flag: "health-grace", JSON: "healthGrace", Value: Number{Of: func(s *Settings) *int32 { return &s.HealthGrace }, Default: 30}, Derived: true,
			Help:    "seconds that a new task may fail health checks (default: the image's label, or 60; 0 returns to that)",
			Example: "120",
			Drives:  []ResourceField{{definitionPart, "health-grace"}}, // and the service's own
			check: func(s Settings, refuse refusal) {
				// Early tasks are known by a longer one.
				refuse("health-grace", s.HealthGrace < 1 || s.HealthGrace >= earlyGrace, "health grace %d s: choose 1 to %d s", s.HealthGrace, earlyGrace-1)
			},
			recorded: withDefinition,
		},
		{
			Flag: "health-command", JSON: "healthCommand", Value: Text{Of: func(s *Settings) *string { return &s.HealthCommand }, Default: `["/bookapi","-healthcheck"]`}, Derived: true,
			Help:    "command that checks a container's health: a line for its shell, or a JSON list (default: the image's HEALTHCHECK; 'none' for none, 'image' returns to that)",
			Example: "wget -q -O- http://localhost:3000/",
			Choices: []string{"none", "image"},
			Drives:  []ResourceField{{definitionPart, "health-command"}},
			check: func(s Settings, refuse refusal) {
				_, err := healthCommand(s.HealthCommand)
				refuse("health-command", s.HealthCommand != "" && err != nil, "health command %q: %v", s.HealthCommand, err)
			},
			given: func(s *Settings) {
				s.HealthCommand = unlessNone(strings.TrimSpace(s.HealthCommand))
				if command, err := healthCommand(s.HealthCommand); s.HealthCommand != "" && err == nil {
					s.HealthCommand = healthText(command)
				}
			},
			recorded: inDefinition,
			live: func(p parts, s *Settings) {
				s.HealthCommand = ""
				if h := container(p.definition).HealthCheck; h != nil {
					s.HealthCommand = healthText(h.Command)
				}
			},
		},
		{
			Flag: "command", JSON: "command", Value: Text{Of: func(s *Settings) *string { return &s.Command }},
			Help:    "run this in place of the image's CMD: words with quotes as in a shell, or a JSON list ('none' returns to CMD)",
			Example: "serve --port 3000",
			Choices: []string{"none"},
			Drives:  []ResourceField{{definitionPart, "command"}},
			check: func(s Settings, refuse refusal) {
				_, err := splitWords(s.Command)
				refuse("command", err != nil, "command %q: %v", s.Command, err)
			},
			given: func(s *Settings) {
				s.Command = unlessNone(wordsText(s.Command))
			},
			recorded: inDefinition,
			live:     func(p parts, s *Settings) { s.Command = joinWords(container(p.definition).Command) },
		},
		{
			Flag: "release-command", JSON: "releaseCommand", Value: Text{Of: func(s *Settings) *string { return &s.ReleaseCommand }},
			Help:    "run this once for each release, in a task of it, before the service changes; if it fails, the release fails ('none' for none)",
			Example: "python manage.py migrate",
			Choices: []string{"none"},
			Drives:  []ResourceField{{definitionPart, "release-command"}},
			check: func(s Settings, refuse refusal) {
				_, err := splitWords(s.ReleaseCommand)
				refuse("release-command", err != nil, "release command %q: %v", s.ReleaseCommand, err)
			},
			given: func(s *Settings) {
				s.ReleaseCommand = unlessNone(wordsText(s.ReleaseCommand))
			},
			recorded: inDefinition,
			live:     func(p parts, s *Settings) { s.ReleaseCommand = container(p.definition).DockerLabels[labelRelease] },
		},
		{
			Flag: "release-timeout", JSON: "releaseTimeout", Value: Number{Of: func(s *Settings) *int32 { return &s.ReleaseTimeout }, Default: 60},
			Help:    "minutes that the release command may take; it is then stopped, and the release fails",
			Example: "180",
			Drives:  []ResourceField{{definitionPart, fieldTag + settingTag("release-timeout")}},
			check: func(s Settings, refuse refusal) {
				refuse("release-timeout", s.ReleaseTimeout < 1 || s.ReleaseTimeout > 1440, "release timeout %d minutes: choose 1 to 1440", s.ReleaseTimeout)
			},
			recorded: withDefinition,
			when:     func(s Settings) bool { return s.ReleaseTimeout != 60 },
		},
		{
			Flag: "user", JSON: "user", Value: Text{Of: func(s *Settings) *string { return &s.User }, Default: bookapiUser + ":" + bookapiUser}, Derived: true,
			Help:    "user, and group, that the container runs as (default: the image's USER; 'image' returns to that)",
			Example: "1000:1000",
			Choices: []string{"image"},
			Drives:  []ResourceField{{definitionPart, "user"}},
			check: func(s Settings, refuse refusal) {
				// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html
				refuse("user", s.User != "" && !containerUser.MatchString(s.User), "user %q: give a name or number, and after a colon that of a group, such as 1000:1000", s.User)
			},
			recorded: inDefinition,
			live:     func(p parts, s *Settings) { s.User = aws.ToString(container(p.definition).User) },
		},
		{
			Flag: "read-only-root", JSON: "readOnlyRoot", Value: Switch{Of: func(s *Settings) *bool { return &s.ReadOnlyRoot }, Default: true}, Derived: true,
			Help:     "keep the container from writing to its root file system (default: the image's label, or false)",
			Example:  "false",
			Drives:   []ResourceField{{definitionPart, "read-only-root"}},
			recorded: withDefinition,
		},
		{
			Flag: "ephemeral-storage", JSON: "ephemeralStorage", Value: Number{Of: func(s *Settings) *int32 { return &s.EphemeralStorage }, Default: 20},
			Help:    "disk of a task, in GiB: 20, or 21 to 200; storage above 20 GiB costs extra",
			Example: "50",
			Drives:  []ResourceField{{definitionPart, "ephemeral-storage"}},
			Costs:   []string{"task storage"},
			uses:    func(s Settings, u *pricing.Usage) { u.Storage = s.EphemeralStorage },
			check: func(s Settings, refuse refusal) {
				// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_EphemeralStorage.html
				refuse("ephemeral-storage", s.EphemeralStorage < freeStorage || s.EphemeralStorage > 200, "ephemeral storage %d GiB: Fargate gives 20 GiB, or 21 to 200", s.EphemeralStorage)
			},
			recorded: inDefinition,
			live: func(p parts, s *Settings) {
				s.EphemeralStorage = freeStorage
				if e := p.definition.EphemeralStorage; e != nil {
					s.EphemeralStorage = e.SizeInGiB
				}
			},
		},
		{
			Flag: "stop-timeout", JSON: "stopTimeout", Value: Number{Of: func(s *Settings) *int32 { return &s.StopTimeout }, Default: usualStopTimeout},
			Help:    "seconds that a container has to end after its stop signal",
			Example: "120",
			Drives:  []ResourceField{{definitionPart, "stop-timeout"}, {"target-group", deregistrationDelay}},
			check: func(s Settings, refuse refusal) {
				// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html
				refuse("stop-timeout", s.StopTimeout < 2 || s.StopTimeout > 120, "stop timeout %d s: Fargate takes 2 to 120 s", s.StopTimeout)
			},
			recorded: inDefinition,
			live: func(p parts, s *Settings) {
				if t := container(p.definition).StopTimeout; t != nil {
					s.StopTimeout = *t
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
				refuse("sticky", s.Sticky && s.Twins && !s.Strategy().Shifts(),
					"--sticky: the stack's releases were shifted before, so that it keeps two target groups, between which a load balancer refuses sticky sessions; turn it off by --sticky=false, or create the stack anew")
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
			given:    func(s *Settings) { s.Domain = strings.ToLower(strings.TrimSuffix(s.Domain, ".")) },
			recorded: onBalancer,
			when:     Settings.Secure,
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
			given: func(s *Settings) {
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

// databaseSettings are the database, and how tasks find it.
func databaseSettings() []Setting {
	return []Setting{
		{
			Flag: "no-database", JSON: "noDatabase", Value: Switch{Of: func(s *Settings) *bool { return &s.NoDatabase }},
			Help:     "create no database; a stack that has one keeps it",
			Example:  "true",
			Drives:   []ResourceField{{definitionPart, "environment DB_NAME"}},
			Costs:    []string{"database", "database storage", "database backups", "secret"},
			uses:     func(s Settings, u *pricing.Usage) { u.Database = !s.NoDatabase },
			recorded: onRoles,
			when:     func(s Settings) bool { return s.NoDatabase },
		},
		{
			Flag: "db-class", JSON: "dbClass", Value: Text{Of: func(s *Settings) *string { return &s.DBClass }, Default: "db.t4g.micro"},
			Help:    "instance class of the database",
			Example: "db.t4g.small",
			Drives:  []ResourceField{{databasePart, "class"}},
			Costs:   []string{"database"}, Restored: "class",
			uses: func(s Settings, u *pricing.Usage) { u.DBClass = s.DBClass },
			check: func(s Settings, refuse refusal) {
				refuse("db-class", !databaseClass.MatchString(s.DBClass), "database class %q: name one such as db.t4g.micro", s.DBClass)
			},
			recorded: onDatabase,
			live:     func(p parts, s *Settings) { s.DBClass = aws.ToString(p.database.DBInstanceClass) },
		},
		{
			Flag: "db-storage", JSON: "dbStorage", Value: Number{Of: func(s *Settings) *int32 { return &s.DBStorage }, Default: 20},
			Help:    "storage of the database in GiB; it can't shrink",
			Example: "40",
			Drives:  []ResourceField{{databasePart, "storage"}},
			Costs:   []string{"database storage"}, Restored: "GiB",
			uses: func(s Settings, u *pricing.Usage) { u.DBStorage = s.DBStorage },
			check: func(s Settings, refuse refusal) {
				refuse("db-storage", s.DBStorage < 20 || s.DBStorage > 65536, "database storage %d GiB: gp3 storage is 20 to 65536 GiB", s.DBStorage)
			},
			recorded: onDatabase,
			live:     func(p parts, s *Settings) { s.DBStorage = aws.ToInt32(p.database.AllocatedStorage) },
			moves:    true,
			// It can't shrink, and may have been raised by hand or by RDS.
			restore: func(from Snapshot, s *Settings) bool {
				s.DBStorage = max(tagNumber(from.tags, settingTag("db-storage"), 0), from.GiB, DefaultSettings().DBStorage)
				return true
			},
		},
		{
			Flag: "db-max-storage", JSON: "dbMaxStorage", Value: Number{Of: func(s *Settings) *int32 { return &s.DBMaxStorage }},
			Help:     "let the storage grow up to this many GiB; 0 turns growth off",
			Example:  "100",
			Drives:   []ResourceField{{databasePart, "storage-limit"}},
			Restored: "growth to GiB",
			check: func(s Settings, refuse refusal) {
				// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIOPS.Autoscaling.html
				refuse("db-storage db-max-storage", s.DBMaxStorage != 0 && (int64(s.DBMaxStorage)*10 < int64(s.DBStorage)*11 || s.DBMaxStorage > 65536),
					"database storage limit %d GiB: RDS wants it a tenth or more above the storage (%d GiB), and at most 65536 GiB", s.DBMaxStorage, s.DBStorage)
			},
			recorded: onDatabase,
			live:     func(p parts, s *Settings) { s.DBMaxStorage = aws.ToInt32(p.database.MaxAllocatedStorage) },
		},
		{
			Flag: "db-version", JSON: "dbVersion", Value: Text{Of: func(s *Settings) *string { return &s.DBVersion }},
			Help:    "version of PostgreSQL, such as 17 or 17.4 (default: what RDS calls its default); a higher major version upgrades the database",
			Example: "17.99",
			Drives:  []ResourceField{{databasePart, "version"}},
			check: func(s Settings, refuse refusal) {
				refuse("db-version", s.DBVersion != "" && !databaseVersion.MatchString(s.DBVersion), "database version %q: name a version of PostgreSQL such as 17 or 17.4", s.DBVersion)
			},
			recorded: onDatabase,
			text:     Settings.dbVersion,
			live:     func(p parts, s *Settings) { s.DBVersion = major(aws.ToString(p.database.EngineVersion)) },
			taken:    func(recorded string, s Settings) bool { return major(recorded) == s.DBVersion },
		},
		{
			Flag: "db-name", JSON: "dbName", Value: Text{Of: func(s *Settings) *string { return &s.DBName }, Default: "books"}, Derived: true,
			Help:    "name of the database in the instance (default: books for bookapi, else app); an existing database keeps its name",
			Example: "orders",
			Drives:  []ResourceField{{databasePart, "name"}},
			check: func(s Settings, refuse refusal) {
				// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html
				refuse("db-name", !databaseName.MatchString(s.DBName), "database name %q: RDS takes 1 to 63 letters, digits and _, and a letter first", s.DBName)
				refuse("db-name", reservedName(s.DBName) || reservedDatabase[strings.ToLower(s.DBName)], "database name %q: RDS reserves that word", s.DBName)
			},
			recorded: onDatabase,
			when:     func(s Settings) bool { return s.DBName != "books" },
			live: func(p parts, s *Settings) {
				if name := aws.ToString(p.database.DBName); name != "" {
					s.DBName = name
				}
			},
		},
		{
			Flag: "db-user", JSON: "dbUser", Value: Text{Of: func(s *Settings) *string { return &s.DBUser }, Default: "bookapi"}, Derived: true,
			Help:    "user that owns the database (default: bookapi for bookapi, else app); an existing database keeps its user",
			Example: "orders",
			Drives:  []ResourceField{{databasePart, "user"}},
			check: func(s Settings, refuse refusal) {
				refuse("db-user", !databaseName.MatchString(s.DBUser) || strings.HasPrefix(s.DBUser, "rds") || strings.HasPrefix(s.DBUser, "pg_"),
					"database user %q: RDS takes 1 to 63 letters, digits and _, a letter first, and keeps names that begin with rds and pg_", s.DBUser)
				refuse("db-user", reservedName(s.DBUser) || reservedUser[strings.ToLower(s.DBUser)], "database user %q: RDS reserves that word", s.DBUser)
			},
			recorded: onDatabase,
			when:     func(s Settings) bool { return s.DBUser != "bookapi" },
			live: func(p parts, s *Settings) {
				if name := aws.ToString(p.database.MasterUsername); name != "" {
					s.DBUser = name
				}
			},
		},
		{
			Flag: "db-env", JSON: "dbEnv", Value: Text{Of: func(s *Settings) *string { return &s.DBEnv }},
			Help:    "also give the container its database in these variables: NAME=endpoint, port, dbname, username, password, url or sslmode, separated by commas ('none' for none)",
			Example: "endpoint=endpoint,username=username",
			Choices: []string{"none"},
			Drives:  []ResourceField{{definitionPart, "tag bookctl:db-env"}},
			check: func(s Settings, refuse refusal) {
				_, err := parseDBEnv(s.DBEnv)
				refuse("db-env", err != nil, "database variables: %v", err)
				refuse("db-env", len(tagText(s.DBEnv)) > 256, "database variables of %d characters: that is too long to be recorded in a tag", len(s.DBEnv))
			},
			given: func(s *Settings) {
				s.DBEnv = unlessNone(strings.ReplaceAll(s.DBEnv, " ", ""))
			},
			recorded: withDefinition,
			when:     func(s Settings) bool { return s.DBEnv != "" },
			text:     func(s Settings) string { return tagText(s.DBEnv) },
			fromText: fromTagText,
		},
		{
			Flag: "db-multi-az", JSON: "dbMultiAZ", Value: Switch{Of: func(s *Settings) *bool { return &s.DBMultiAZ }},
			Help:    "keep a standby of the database in another zone",
			Example: "true",
			Drives:  []ResourceField{{databasePart, "multi-az"}},
			Costs:   []string{"database", "database storage"}, Restored: "standby",
			uses:     func(s Settings, u *pricing.Usage) { u.DBMultiAZ = s.DBMultiAZ },
			recorded: onDatabase,
			live:     func(p parts, s *Settings) { s.DBMultiAZ = aws.ToBool(p.database.MultiAZ) },
		},
		{
			Flag: "db-insights", JSON: "dbInsights", Value: Switch{Of: func(s *Settings) *bool { return &s.DBInsights }},
			Help:     "turn Performance Insights on (database load by query)",
			Example:  "true",
			Drives:   []ResourceField{{databasePart, "insights"}},
			Restored: "Performance Insights",
			recorded: onDatabase,
			live:     func(p parts, s *Settings) { s.DBInsights = aws.ToBool(p.database.PerformanceInsightsEnabled) },
		},
		{
			Flag: "backup-days", JSON: "backupDays", Value: Number{Of: func(s *Settings) *int32 { return &s.BackupDays }, Default: 7},
			Help:    "keep automated backups for this many days",
			Example: "14",
			Drives:  []ResourceField{{databasePart, "backup-retention"}},
			Costs:   []string{"database backups"}, Restored: "days of backups",
			uses: func(s Settings, u *pricing.Usage) { u.BackupDays = s.BackupDays },
			check: func(s Settings, refuse refusal) {
				refuse("backup-days", s.BackupDays < 1 || s.BackupDays > 35, "backup retention %d days: RDS keeps backups for 1 to 35 days", s.BackupDays)
			},
			recorded: onDatabase,
			live:     func(p parts, s *Settings) { s.BackupDays = aws.ToInt32(p.database.BackupRetentionPeriod) },
			restore: func(from Snapshot, s *Settings) bool {
				recorded, ok := from.tags[settingTag("backup-days")]
				if n := number(recorded); from.backups > 0 || ok {
					s.BackupDays = max(aws.ToInt32(n), from.backups)
				}
				return from.backups > 0 || ok
			},
		},
		{
			Flag: "protect", JSON: "protect", Value: Switch{Of: func(s *Settings) *bool { return &s.Protect }},
			Help:     "turn deletion protection on; destroy then fails",
			Example:  "true",
			Drives:   []ResourceField{{databasePart, "deletion-protection"}, {balancerPart, deletionProtection}},
			Restored: "deletion protection",
			recorded: onDatabase,
			live:     func(p parts, s *Settings) { s.Protect = aws.ToBool(p.database.DeletionProtection) },
		},
	}
}

// networkSettings are the network, and how long logs are retained.
func networkSettings() []Setting {
	return []Setting{
		{
			Flag: "log-days", JSON: "logDays", Value: Number{Of: func(s *Settings) *int32 { return &s.LogDays }, Default: 14},
			Help:    "keep the logs of tasks and database for this many days",
			Example: "30",
			Choices: texts(logRetentions),
			Drives:  []ResourceField{{"log-group", "retention"}, {"db-log-group", "retention"}},
			check: func(s Settings, refuse refusal) {
				refuse("log-days", !slices.Contains(logRetentions, s.LogDays), "log retention %d days: CloudWatch Logs takes %s", s.LogDays, joined(logRetentions))
			},
			recorded: onService, // the groups are ready before it
			taken: func(recorded string, _ Settings) bool {
				n := number(recorded)
				return n != nil && slices.Contains(logRetentions, *n)
			},
		},
		{
			Flag: "cidr", JSON: "cidr", Value: Text{Of: func(s *Settings) *string { return &s.CIDR }, Default: DefaultCIDR},
			Help:    "IPv4 range of the new VPC, from /16 to /25; its subnets are parts of it, and it can't change later",
			Example: "10.20.0.0/16",
			Drives:  []ResourceField{{networkPart, "cidr"}, {"subnet-public-a", "cidr"}, {"subnet-private-b", "cidr"}},
			check: func(s Settings, refuse refusal) {
				wrong := checkCIDR(s.CIDR)
				refuse("cidr", wrong != "", "%s", wrong)
				tasks, room := max(s.Count, s.Max), roomForTasks(s.CIDR)
				refuse("cidr count max", wrong == "" && s.VPC == "" && s.MostTasks() > room,
					"CIDR %s: its public subnets have addresses for %d tasks, and %d and those of a deployment need more", s.CIDR, room, tasks)
			},
			given:    func(s *Settings) { s.CIDR = canonicalCIDR(strings.TrimSpace(s.CIDR)) },
			recorded: onNetwork,
			when:     func(s Settings) bool { return s.CIDR != DefaultCIDR },
		},
		{
			Flag: "vpc", JSON: "vpc", Value: Text{Of: func(s *Settings) *string { return &s.VPC }},
			Help:    "create the stack in this existing VPC (its id), which is not changed, instead of a new one",
			Example: "vpc-0123456789abcdef0",
			Drives:  []ResourceField{{"sg-load-balancer", ""}, {"sg-task", ""}, {"sg-database", ""}},
			check: func(s Settings, refuse refusal) {
				refuse("vpc", s.VPC != "" && !vpcID.MatchString(s.VPC), "VPC %q: give the id of a VPC, such as vpc-0123456789abcdef0", s.VPC)
				refuse("vpc cidr", s.VPC != "" && s.CIDR != DefaultCIDR, "a VPC that is given has its range, and --cidr is for a new one")
			},
			given:    func(s *Settings) { s.VPC = strings.TrimSpace(s.VPC) },
			recorded: onRoles,
			when:     func(s Settings) bool { return s.VPC != "" },
		},
		{
			Flag: "subnets", JSON: "subnets", Value: Text{Of: func(s *Settings) *string { return &s.Subnets }},
			Help:    "public subnets of --vpc for load balancer and tasks, one in each of two or more zones (default: chosen by their routes)",
			Example: "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
			Drives:  []ResourceField{{balancerPart, "subnets"}, {servicePart, "subnets"}},
			check: func(s Settings, refuse refusal) {
				wrong := checkSubnets(s.Subnets)
				refuse("subnets", wrong != "", "subnets: %s", wrong)
				refuse("subnets vpc", s.Subnets != "" && s.VPC == "", "--subnets are those of a VPC that is given with --vpc")
			},
			given:    func(s *Settings) { s.Subnets = strings.Join(idList(s.Subnets), ",") },
			recorded: onRoles,
			when:     func(s Settings) bool { return s.VPC != "" },
			text:     func(s Settings) string { return strings.ReplaceAll(s.Subnets, ",", " ") }, // IAM's tags take no comma
			fromText: func(text string) string { return strings.ReplaceAll(text, " ", ",") },
		},
		{
			Flag: "db-subnets", JSON: "dbSubnets", Value: Text{Of: func(s *Settings) *string { return &s.DBSubnets }},
			Help:    "subnets of --vpc for the database, in two or more zones (default: private ones, or else those of --subnets)",
			Example: "subnet-0123456789abcdef2,subnet-0123456789abcdef3",
			Drives:  []ResourceField{{"db-subnet-group", "subnets"}},
			check: func(s Settings, refuse refusal) {
				wrong := checkSubnets(s.DBSubnets)
				refuse("db-subnets", wrong != "", "subnets of the database: %s", wrong)
				refuse("db-subnets vpc", s.DBSubnets != "" && s.VPC == "", "--db-subnets are those of a VPC that is given with --vpc")
			},
			given:    func(s *Settings) { s.DBSubnets = strings.Join(idList(s.DBSubnets), ",") },
			recorded: onRoles,
			when:     func(s Settings) bool { return s.VPC != "" },
			text:     func(s Settings) string { return strings.ReplaceAll(s.DBSubnets, ",", " ") },
			fromText: func(text string) string { return strings.ReplaceAll(text, " ", ",") },
		},
		{
			Flag: "outgoing-ports", JSON: "outgoingPorts", Value: Text{Of: func(s *Settings) *string { return &s.OutgoingPorts }},
			Help:    "also let tasks connect to these TCP ports everywhere, such as 587,6379,8000-8100, or 'all' (default: 443 and their database; 'none' returns to that)",
			Example: "587,6379,8000-8100",
			Choices: []string{"none", "all", "587"},
			Drives:  []ResourceField{{"sg-task", missingRule + "tcp 587 to " + anywhere}, {"sg-task", missingRule + "tcp 8000-8100 to " + anywhere}},
			check: func(s Settings, refuse refusal) {
				_, err := parsePorts(s.OutgoingPorts)
				refuse("outgoing-ports", err != nil, "outgoing ports: %v", err)
				refuse("outgoing-ports", len(s.OutgoingPorts) > 256, "outgoing ports of %d characters: that is too long to be recorded in a tag", len(s.OutgoingPorts))
			},
			given:    func(s *Settings) { s.OutgoingPorts = portsText(unlessNone(strings.TrimSpace(s.OutgoingPorts))) },
			recorded: onService, // the security group is ready before it
			text:     func(s Settings) string { return strings.ReplaceAll(s.OutgoingPorts, ",", " ") },
			fromText: func(text string) string { return strings.ReplaceAll(text, " ", ",") },
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
			given: func(s *Settings) {
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
			given: func(s *Settings) {
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
				_, err := ParseStrategy(s.Deploy)
				refuse("deploy", err != nil, "deployment strategy %q: %v", s.Deploy, err)
			},
			given: func(s *Settings) {
				if strategy, err := ParseStrategy(strings.TrimSpace(s.Deploy)); err == nil {
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
			given: func(s *Settings) {
				s.TaskPolicies = strings.Join(slices.Compact(slices.Sorted(slices.Values(idList(unlessNone(strings.TrimSpace(s.TaskPolicies)))))), ",")
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
			given: func(s *Settings) {
				s.Boundary = unlessNone(strings.TrimSpace(s.Boundary))
			},
			recorded: onRoles,
			live:     func(p parts, s *Settings) { s.Boundary = boundaryOf(p.role) },
		},
	}
}

// texts are numbers as flags take them.
func texts(numbers []int32) []string {
	var out []string
	for _, n := range numbers {
		out = append(out, strconv.Itoa(int(n)))
	}
	return out
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
