package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/bookctl/bookctl/internal/api"
	"github.com/bookctl/bookctl/internal/api/database"
	"github.com/bookctl/bookctl/internal/api/otlp"
)

// rdsBundle is where the image keeps the authorities of Amazon RDS.
const rdsBundle = "/etc/ssl/certs/rds-global-bundle.pem"

const (
	defaultPort         = 8080
	defaultPool         = 10
	defaultDatabasePort = 5432
	defaultDrain        = 5 * time.Second
)

// config is what the environment says.
type config struct {
	port     int
	database database.Config
	drain    time.Duration
	level    slog.Level
	traces   otlp.Exporter
	// cpu is the task's share in CPU units of 1/1024, and memory its limit in
	// MiB; zero when not given.
	cpu, memory int
}

// environment reads variables and collects what is wrong with them. It never
// repeats a value, which may be a secret in the wrong place.
type environment struct {
	get      func(string) string
	problems []string
}

func (e *environment) required(name string) string {
	value := e.get(name)
	if value == "" {
		e.problems = append(e.problems, name+" is not set")
	}
	return value
}

// number is an integer between least and most; def when the variable is empty.
func (e *environment) number(name string, def, least, most int) int {
	value := e.get(name)
	if value == "" {
		return def
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		e.problems = append(e.problems, fmt.Sprintf("%s must be a number between %d and %d", name, least, most))
	}
	return n
}

func readConfig(get func(string) string) (config, error) {
	e := &environment{get: get}
	c := config{
		port:     e.port(),
		cpu:      e.number("TASK_CPU", 0, 1, 1<<20),
		memory:   e.number("TASK_MEMORY", 0, 16, 1<<24),
		database: e.database(),
		drain:    e.drain(),
	}
	if value := get("LOG_LEVEL"); value != "" && c.level.UnmarshalText([]byte(value)) != nil {
		e.problems = append(e.problems, "LOG_LEVEL must be debug, info, warn or error")
	}
	c.traces = e.traces()
	if len(e.problems) > 0 {
		return config{}, errors.New("environment: " + strings.Join(e.problems, "; "))
	}
	return c, nil
}

func (e *environment) database() database.Config {
	c := database.Config{
		Host: e.get("DB_HOST"), Name: e.required("DB_NAME"),
		User: e.required("DB_USERNAME"), Password: e.required("DB_PASSWORD"),
		SSLMode: e.get("DB_SSLMODE"), RootCert: e.get("DB_SSLROOTCERT"),
		Connections: e.number("DB_POOL", defaultPool, 2, 1000),
	}
	switch {
	case c.Host == "":
		c.Locate = e.addressFromSecret()
		c.Port = defaultDatabasePort // until it is known
	case e.required("DB_PORT") != "":
		c.Port = e.number("DB_PORT", 0, 1, 65535)
	}
	switch c.SSLMode {
	case "":
		c.SSLMode = "verify-full"
	case "verify-full", "verify-ca", "require", "disable":
	default:
		e.problems = append(e.problems, "DB_SSLMODE must be verify-full, verify-ca, require or disable")
	}
	if c.RootCert == "" {
		if _, err := os.Stat(rdsBundle); err == nil {
			c.RootCert = rdsBundle
		}
	} else if _, err := os.ReadFile(c.RootCert); err != nil {
		e.problems = append(e.problems, "DB_SSLROOTCERT names a file that can't be read")
	}
	return c
}

// drain is how long to serve after SIGTERM.
func (e *environment) drain() time.Duration {
	drain := defaultDrain
	if n := e.number("TASK_DRAIN", 0, 1, int(api.MaxDrain/time.Second)); n > 0 {
		drain = time.Duration(n) * time.Second
	}
	if value := e.get("SHUTDOWN_DRAIN"); value != "" {
		var err error
		if drain, err = time.ParseDuration(value); err != nil || drain < 0 || drain > api.MaxDrain {
			e.problems = append(e.problems, fmt.Sprintf("SHUTDOWN_DRAIN must be a duration such as 5s, up to %s", api.MaxDrain))
		}
	}
	return drain
}

func (e *environment) port() int { return e.number("PORT", defaultPort, 0, 65535) }

// traces reads OpenTelemetry's own variables; the sampler, the service's name
// and its other attributes are read by OpenTelemetry itself
// (https://opentelemetry.io/docs/specs/otel/protocol/exporter/).
func (e *environment) traces() otlp.Exporter {
	if e.get("OTEL_SDK_DISABLED") == "true" || e.get("OTEL_TRACES_EXPORTER") == "none" {
		return otlp.Exporter{}
	}
	name := "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	t := otlp.Exporter{URL: e.get(name)}
	if t.URL == "" {
		name = "OTEL_EXPORTER_OTLP_ENDPOINT"
		if base := e.get(name); base != "" {
			t.URL = strings.TrimSuffix(base, "/") + "/v1/traces"
		}
	}
	if t.URL == "" {
		return t
	}
	if u, err := url.Parse(t.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		e.problems = append(e.problems, name+" must be an http or https URL")
	}
	name = "OTEL_EXPORTER_OTLP_TRACES_HEADERS"
	headers := e.get(name)
	if headers == "" {
		name = "OTEL_EXPORTER_OTLP_HEADERS"
		headers = e.get(name)
	}
	t.Headers = map[string]string{}
	for pair := range strings.SplitSeq(headers, ",") {
		key, value, found := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if key = strings.TrimSpace(key); key == "" && !found {
			continue
		}
		if err != nil || !found || key == "" {
			e.problems = append(e.problems, name+" must be a list such as key=value,key=value")
			break
		}
		t.Headers[key] = value
	}
	return t
}
