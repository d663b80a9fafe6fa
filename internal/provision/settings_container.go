package provision

import (
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/pricing"
)

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
				refuse("cpu", fargate[s.CPU].none(), "cpu %d: Fargate takes %s", s.CPU, listText(slices.Sorted(maps.Keys(fargate))))
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
			normalize: func(s *Settings) {
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
			normalize: func(s *Settings) {
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
			normalize: func(s *Settings) {
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
