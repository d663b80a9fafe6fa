package image

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bookctl/bookctl/internal/hint"
)

// LabelPrefix begins the labels by which an image says of itself how a container of it
// is run: io.github.bookctl.health-path=/healthz, say. What comes behind it is the
// name of a setting. Images that bookctl builds carry them.
const LabelPrefix = "io.github.bookctl."

const (
	// LocatesDatabase is the label of a program that asks the secret DB_SECRET_ARN where
	// its database is until that is there, as bookapi does; "true".
	LocatesDatabase = "locates-database"
	// listensOnPORT is the label of a static program that listens where the variable
	// PORT says, whatever that is, and needs no other file: the local cloud may run it
	// as a plain process; "true".
	listensOnPORT = "listens-on-port"
	// ReadyPath is the label of an image whose service says at another path than that of
	// its health check whether all that it needs serves as well: the database, say.
	ReadyPath = "ready-path"
	// Drain is the label of an image whose service answers each request within so many
	// seconds: for as long a task that is to stop goes on with those that it has.
	Drain = "drain"
	// DatabaseAuthority is the label of an image that has the certificate authorities
	// of Amazon RDS: the path of the file.
	DatabaseAuthority = "database-authority"
)

// Default is what an image's config says of a setting, or what is taken where it says
// nothing.
type Default struct {
	// Setting is the name of the setting's flag, or of the label.
	Setting string
	// Value is as the flag has it; "" means none.
	Value string
	// Source is where it is from.
	Source string
}

// What is taken of an image that does not say.
const (
	// usualPort is what Cloud Run and others give a program as PORT.
	usualPort   = 8080
	usualPath   = "/" // as load balancers have it
	usualStatus = "200-299"
	usualGrace  = 60    // seconds
	usualName   = "app" // of a database, and its user
)

// Defaults reads what an image's config says of how a container of it is run. With
// nil, the image is not known, and everything is the default.
//
// ECS itself takes ENTRYPOINT, CMD, USER and STOPSIGNAL from the image. It does not
// look at EXPOSE, nor at HEALTHCHECK
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_HealthCheck.html),
// which is lost in OCI images that buildah builds.
func Defaults(file *v1.ConfigFile) []Default {
	var config v1.Config
	if file != nil {
		config = file.Config
	}
	out := []Default{portOf(config), healthCommandOf(config), {"user", "", "the image has no USER: it runs as root"}}
	if config.User != "" {
		out[2] = Default{"user", config.User, "USER of the image"}
	}
	if file == nil {
		for i := range out {
			out[i].Source = "default: the image can't be read from here"
		}
	}
	for _, d := range []Default{
		{"health-path", usualPath, "the image has no label for it"},
		{"health-status", usualStatus, "the image has no label for it"},
		graceOf(config),
		{"read-only-root", "false", "the image has no label for it"},
		{LocatesDatabase, "false", ""},
		{ReadyPath, "", ""},
		{Drain, "", ""},
		{DatabaseAuthority, "", ""},
		{"db-name", usualName, "the image has no label for it"},
		{"db-user", usualName, "the image has no label for it"},
	} {
		if file == nil {
			d.Source = "default: the image can't be read from here"
		}
		if value, labelled := config.Labels[LabelPrefix+d.Setting]; labelled {
			d.Value, d.Source = value, "label "+LabelPrefix+d.Setting+" of the image"
		}
		out = append(out, d)
	}
	return out
}

// Check are the times of an image's HEALTHCHECK: how often it runs, how long it may take,
// and after how many failures in a row the container is unhealthy.
type Check struct {
	Interval, Timeout time.Duration
	Retries           int
}

// CheckOf reads the times of an image's HEALTHCHECK. What that does not say is Docker's default,
// which the check may have been written for (https://docs.docker.com/reference/dockerfile/#healthcheck).
// All is 0 of an image that has no HEALTHCHECK, or of nil, one that can't be read.
func CheckOf(file *v1.ConfigFile) Check {
	if file == nil || healthCommandOf(file.Config).Value == "" {
		return Check{}
	}
	h := file.Config.Healthcheck
	return Check{Interval: cmp.Or(h.Interval, 30*time.Second), Timeout: cmp.Or(h.Timeout, 30*time.Second), Retries: cmp.Or(h.Retries, 3)}
}

// Warnings are further things of an image's config that decide how a container of it runs
// and that nobody has to choose; empty where there is nothing to say.
func Warnings(file *v1.ConfigFile) []string {
	var out []string
	if file == nil {
		return nil
	}
	if signal := file.Config.StopSignal; signal != "" && signal != "SIGTERM" {
		out = append(out, "it is stopped by "+signal+", the image's STOPSIGNAL")
	}
	return out
}

// CheckCommand fails where neither the image nor the command says what a container runs: ECS
// retries such a task without end, with "No command specified"
// (https://github.com/convox/rack/issues/1126).
func CheckCommand(file *v1.ConfigFile, command string) error {
	if file == nil || command != "" || len(file.Config.Entrypoint)+len(file.Config.Cmd) > 0 {
		return nil
	}
	return hint.With(errors.New("the image has neither ENTRYPOINT nor CMD, so no container of it can start"), "say what to run with --command, or add one of them to the image")
}

// portOf is the port that a container listens on: the lowest that the image exposes
// over TCP. Keys of EXPOSE stay as they were typed: 80, 80/tcp, 80/TCP, 7000-7001/tcp.
func portOf(config v1.Config) Default {
	var ports []int
	for key := range config.ExposedPorts {
		number, protocol, _ := strings.Cut(key, "/")
		if protocol != "" && !strings.EqualFold(protocol, "tcp") {
			continue
		}
		number, _, _ = strings.Cut(number, "-")
		if n, err := strconv.ParseUint(number, 10, 16); err == nil && n > 0 {
			ports = append(ports, int(n))
		}
	}
	slices.Sort(ports)
	ports = slices.Compact(ports)
	switch len(ports) {
	case 0:
		return Default{"container-port", strconv.Itoa(usualPort), "the image has no EXPOSE; PORT is set to it"}
	case 1:
		return Default{"container-port", strconv.Itoa(ports[0]), "EXPOSE of the image"}
	}
	return Default{"container-port", strconv.Itoa(ports[0]), fmt.Sprintf("the lowest of %d ports that the image's EXPOSE names", len(ports))}
}

// graceOf is how long a container may fail its checks at first: the usual time, or as long
// as its HEALTHCHECK says, where that is longer.
func graceOf(config v1.Config) Default {
	grace := Default{"health-grace", strconv.Itoa(usualGrace), "the image has no label for it"}
	if config.Healthcheck == nil {
		return grace
	}
	if start := int(math.Ceil(config.Healthcheck.StartPeriod.Seconds())); start > usualGrace {
		grace.Value, grace.Source = strconv.Itoa(start), "start period of the image's HEALTHCHECK"
	}
	return grace
}

// healthCommandOf is the image's HEALTHCHECK as --health-command has it: a list of
// words in JSON, or a line for the shell.
func healthCommandOf(config v1.Config) Default {
	none := Default{"health-command", "", "the image has no HEALTHCHECK"}
	if config.Healthcheck == nil || len(config.Healthcheck.Test) < 2 {
		return none
	}
	source := "HEALTHCHECK of the image"
	switch test := config.Healthcheck.Test; test[0] {
	case "CMD":
		text, err := json.Marshal(test[1:])
		if err != nil {
			return none
		}
		return Default{"health-command", string(text), source}
	case "CMD-SHELL":
		return Default{"health-command", strings.Join(test[1:], " "), source}
	}
	return none // NONE
}
