package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/pattern"
)

// composeFiles are what a compose file is called, in the order in which compose looks
// (https://github.com/compose-spec/compose-spec/blob/main/spec.md#compose-file).
var composeFiles = []string{"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"}

// composeService is the part of a service in a compose file that bookctl would use.
type composeService struct {
	Image       string    `yaml:"image"`
	Build       yaml.Node `yaml:"build"`
	Ports       yaml.Node `yaml:"ports"`
	Expose      []string  `yaml:"expose"`
	Environment yaml.Node `yaml:"environment"`
	Command     yaml.Node `yaml:"command"`
	User        string    `yaml:"user"`
	Healthcheck struct {
		Test yaml.Node `yaml:"test"`
	} `yaml:"healthcheck"`

	name string
}

// composeFile is the compose file at a path, or in the directory there; "" for none.
func composeFile(at string) string {
	info, err := os.Stat(at)
	if err != nil {
		return ""
	}
	for _, name := range composeFiles {
		switch {
		case !info.IsDir() && filepath.Base(at) == name:
			return at
		case info.IsDir():
			if _, err := os.Stat(filepath.Join(at, name)); err == nil {
				return filepath.Join(at, name)
			}
		}
	}
	return ""
}

// refuseCompose is the error for a compose file: several containers are out of scope. It
// shows what bookctl would take from the file.
func refuseCompose(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var content struct {
		Services yaml.Node `yaml:"services"`
	}
	if err := yaml.Unmarshal(text, &content); err != nil {
		return fmt.Errorf("%s: %s", file, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var apps, databases []composeService
	var names []string
	for i := 0; i+1 < len(content.Services.Content); i += 2 {
		s := composeService{name: content.Services.Content[i].Value}
		if err := content.Services.Content[i+1].Decode(&s); err != nil {
			return fmt.Errorf("%s: service %s: %s", file, s.name, strings.TrimPrefix(err.Error(), "yaml: "))
		}
		names = append(names, s.name)
		if s.isPostgres() {
			databases = append(databases, s)
		} else {
			apps = append(apps, s)
		}
	}
	if names == nil {
		return hint.With(fmt.Errorf("%s has no services", file), "%s", "name an image with --image, a Dockerfile with --dockerfile or a Go module with --source")
	}
	lines := []string{fmt.Sprintf("%s is of %d containers (%s): bookctl deploys one container and its database, and no compose files", file, len(names), strings.Join(names, ", "))}
	for _, s := range apps {
		took := "nothing: it has neither image nor build"
		if flags := s.flags(filepath.Dir(file)); flags != nil {
			took = strings.Join(flags, " ")
		}
		lines = append(lines, "of "+s.name+" it would take "+took)
		if names := s.variables(); names != nil {
			lines = append(lines, "  and its environment, by --env or bookctl secret: "+strings.Join(names, ", "))
		}
	}
	for _, s := range databases {
		lines = append(lines, s.name+" becomes the stack's database, an RDS PostgreSQL")
	}
	next := hint.New("deploy one of them by these flags; the others need a stack of their own, or another tool")
	if len(apps) > 0 {
		if flags := apps[0].flags(filepath.Dir(file)); flags != nil {
			next = hint.New("deploy one of them, as by %s; the others need a stack of their own, or another tool", hint.Command(append([]string{"up"}, flags...)...))
		}
	}
	return hint.Add(errors.New(strings.Join(lines, "\n")), next)
}

var postgresImage = pattern.New(`^(postgres|postgresql|postgis|timescaledb|timescaledb-ha|pgvector)$`)

func (s composeService) isPostgres() bool {
	name, _, _ := strings.Cut(path.Base(s.Image), ":")
	name, _, _ = strings.Cut(name, "@")
	return postgresImage.MatchString(name)
}

// flags are the flags of up that correspond to a service of the file; nil if it has no
// image or build.
func (s composeService) flags(dir string) []string {
	join := func(name string) string { return filepath.ToSlash(filepath.Join(dir, name)) }
	var out []string
	switch {
	case s.Build.Kind == yaml.ScalarNode:
		out = append(out, "--dockerfile", join(path.Join(s.Build.Value, "Dockerfile")))
	case s.Build.Kind == yaml.MappingNode:
		build := struct{ Context, Dockerfile string }{".", "Dockerfile"}
		if s.Build.Decode(&build) != nil {
			return nil
		}
		out = append(out, "--dockerfile", join(path.Join(build.Context, build.Dockerfile)))
		if path.Dir(path.Join(build.Context, build.Dockerfile)) != path.Clean(build.Context) {
			out = append(out, "--source", join(build.Context))
		}
	case s.Image != "":
		out = append(out, "--image", s.Image)
	default:
		return nil
	}
	if port := s.port(); port != "" {
		out = append(out, "--container-port", port)
	}
	if s.User != "" {
		out = append(out, "--user", s.User)
	}
	if words := texts(s.Command); words != nil {
		out = append(out, "--command", commandText(words, s.Command.Kind == yaml.SequenceNode))
	}
	if test := texts(s.Healthcheck.Test); len(test) > 0 {
		switch listed := s.Healthcheck.Test.Kind == yaml.SequenceNode; {
		case listed && test[0] == "CMD-SHELL" || listed && test[0] == "NONE":
			test = test[1:]
			if len(test) > 0 {
				out = append(out, "--health-command", strings.Join(test, " "))
			}
		case listed && test[0] == "CMD":
			out = append(out, "--health-command", commandText(test[1:], true))
		default:
			out = append(out, "--health-command", strings.Join(test, " "))
		}
	}
	return shellWords(out)
}

// port is the first port of the container that others reach, or "".
func (s composeService) port() string {
	for _, n := range s.Ports.Content {
		text := n.Value
		if n.Kind == yaml.MappingNode {
			var long struct{ Target string }
			if n.Decode(&long) != nil {
				continue
			}
			text = long.Target
		}
		text, _, _ = strings.Cut(text[strings.LastIndex(text, ":")+1:], "/")
		if _, err := strconv.Atoi(text); err == nil {
			return text
		}
	}
	for _, text := range s.Expose {
		text, _, _ = strings.Cut(text, "/")
		if _, err := strconv.Atoi(text); err == nil {
			return text
		}
	}
	return ""
}

// variables are the names of its environment, whose values may be secret.
func (s composeService) variables() []string {
	var out []string
	for i, n := range s.Environment.Content {
		if s.Environment.Kind == yaml.MappingNode && i%2 == 1 {
			continue
		}
		name, _, _ := strings.Cut(n.Value, "=")
		out = append(out, name)
	}
	return out
}

// texts are the words of a node that is a text or a list of texts.
func texts(n yaml.Node) []string {
	if n.Kind == yaml.ScalarNode {
		return []string{n.Value}
	}
	var out []string
	for _, c := range n.Content {
		out = append(out, c.Value)
	}
	return out
}

// commandText is a command as a flag takes it.
func commandText(words []string, listed bool) string {
	if !listed {
		return strings.Join(words, " ")
	}
	text, err := json.Marshal(words)
	if err != nil {
		panic(err) // texts always encode
	}
	return string(text)
}
