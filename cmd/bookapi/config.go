package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/bookctl/bookctl/internal/api"
)

// rdsBundle is where the image keeps the authorities of Amazon RDS.
const rdsBundle = "/etc/ssl/certs/rds-global-bundle.pem"

const (
	defaultPort  = 8080
	defaultPool  = 10
	defaultDrain = 5 * time.Second
)

// config is what the environment says.
type config struct {
	port     int
	database api.Database
	drain    time.Duration
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
		port:   e.port(),
		cpu:    e.number("TASK_CPU", 0, 1, 1<<20),
		memory: e.number("TASK_MEMORY", 0, 16, 1<<24),
		drain:  defaultDrain,
		database: api.Database{
			Host: e.required("DB_HOST"), Name: e.required("DB_NAME"),
			User: e.required("DB_USERNAME"), Password: e.required("DB_PASSWORD"),
			SSLMode: get("DB_SSLMODE"), RootCert: get("DB_SSLROOTCERT"),
			Connections: e.number("DB_POOL", defaultPool, 2, 1000),
		},
	}
	if e.required("DB_PORT") != "" {
		c.database.Port = e.number("DB_PORT", 0, 1, 65535)
	}
	switch c.database.SSLMode {
	case "":
		c.database.SSLMode = "verify-full"
	case "verify-full", "verify-ca", "require", "disable":
	default:
		e.problems = append(e.problems, "DB_SSLMODE must be verify-full, verify-ca, require or disable")
	}
	if c.database.RootCert == "" {
		if _, err := os.Stat(rdsBundle); err == nil {
			c.database.RootCert = rdsBundle
		}
	} else if _, err := os.ReadFile(c.database.RootCert); err != nil {
		e.problems = append(e.problems, "DB_SSLROOTCERT names a file that can't be read")
	}
	if value := get("SHUTDOWN_DRAIN"); value != "" {
		var err error
		if c.drain, err = time.ParseDuration(value); err != nil || c.drain < 0 || c.drain > api.MaxDrain {
			e.problems = append(e.problems, fmt.Sprintf("SHUTDOWN_DRAIN must be a duration such as 5s, up to %s", api.MaxDrain))
		}
	}
	if len(e.problems) > 0 {
		return config{}, errors.New("environment: " + strings.Join(e.problems, "; "))
	}
	return c, nil
}

func (e *environment) port() int { return e.number("PORT", defaultPort, 0, 65535) }
