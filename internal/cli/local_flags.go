package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/localcloud/access"
	"github.com/bookctl/bookctl/internal/localcloud/container"
)

// cloudFlags are the flags for the behaviour of the local cloud.
type cloudFlags struct {
	faults    string
	latencies string
	scale     float64
	port      int
	policies  []string
	region    string
	engine    string
	postgres  []string
	throttle  string
	neighbour float64
}

func (c *cloudFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.faults, "faults", "", "JSON file of faults to inject (docs/faults.md)")
	cmd.Flags().StringVar(&c.latencies, "latencies", "", "'aws' makes operations take as long as on AWS")
	cmd.Flags().Float64Var(&c.scale, "scale", 1, "multiply the latencies by this")
	cmd.Flags().StringVar(&c.throttle, "throttle", "", "'aws' limits the rate of requests as AWS does")
	cmd.Flags().Float64Var(&c.neighbour, "throttle-neighbour", 0, "share of these limits that others in the account use, from 0 to less than 1")
	cmd.Flags().StringArrayVar(&c.policies, "policy", nil, "file or directory of IAM policies to check each call against (repeatable)")
	cmd.Flags().StringVar(&c.engine, "engine", container.Auto, "what runs images that are not static programs: "+strings.Join(container.Choices(), ", "))
	cmd.Flags().StringArrayVar(&c.postgres, "postgres", nil, "directory with the server programs of another major version of PostgreSQL (repeatable)")
	cmd.Flags().IntVar(&c.port, "port", 0, "port of all services (default: the previous one, or any free port)")
}

func (c *cloudFlags) args() []string {
	args := []string{"--faults", c.faults, "--latencies", c.latencies, "--scale", fmt.Sprint(c.scale), "--port", fmt.Sprint(c.port), "--in", c.region, "--engine", c.engine,
		"--throttle", c.throttle, "--throttle-neighbour", fmt.Sprint(c.neighbour)}
	for _, path := range c.policies {
		args = append(args, "--policy", path)
	}
	for _, dir := range c.postgres {
		args = append(args, "--postgres", dir)
	}
	return args
}

// config is the configuration of the cloud according to the flags.
func (c *cloudFlags) config() (cfg localcloud.Config, err error) {
	if !slices.Contains(container.Choices(), c.engine) {
		return cfg, fmt.Errorf("--engine %q: choose %s", c.engine, strings.Join(container.Choices(), ", "))
	}
	cfg = localcloud.Config{Port: c.port, Region: c.region, Engine: c.engine, PostgreSQL: c.postgres, Cache: cacheDir("postgres")}
	switch c.latencies {
	case "":
	case "aws":
		cfg.Latencies = localcloud.TypicalLatencies()
	default:
		return cfg, fmt.Errorf("--latencies %q: the only value is aws", c.latencies)
	}
	switch c.throttle {
	case "":
		if c.neighbour != 0 {
			return cfg, errors.New("--throttle-neighbour needs --throttle aws")
		}
	case "aws":
		cfg.Throttle, cfg.Neighbour = true, c.neighbour
	default:
		return cfg, fmt.Errorf("--throttle %q: the only value is aws", c.throttle)
	}
	if c.neighbour < 0 || c.neighbour >= 1 {
		return cfg, fmt.Errorf("--throttle-neighbour %v: a share is from 0 to less than 1", c.neighbour)
	}
	if c.scale < 0 {
		return cfg, errors.New("--scale can't be negative")
	}
	cfg.Latencies.Scale = c.scale
	if cfg.Policies, err = readPolicies(c.policies); err != nil || c.faults == "" {
		return cfg, err
	}
	f, err := os.Open(c.faults)
	if err != nil {
		return cfg, err
	}
	defer f.Close()
	if cfg.Faults, err = localcloud.ParseFaults(f); err != nil {
		return cfg, fmt.Errorf("%s: %w", c.faults, err)
	}
	return cfg, nil
}

// readPolicies reads policy documents from files, and from all files of directories that
// end in .json. It is nil without a path: then no call is authorized by policies.
func readPolicies(paths []string) ([]access.Policy, error) {
	var policies []access.Policy
	for _, path := range paths {
		files := []string{path}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			if files, err = filepath.Glob(filepath.Join(path, "*.json")); err != nil || len(files) == 0 {
				return nil, fmt.Errorf("--policy %s: there is no .json file in it", path)
			}
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("--policy: %w", err)
			}
			p, err := access.Parse(text)
			if err != nil {
				return nil, fmt.Errorf("--policy %s: %w", file, err)
			}
			if odd := p.Unsupported(); len(odd) > 0 {
				return nil, fmt.Errorf("--policy %s: the local cloud does not evaluate %s", file, strings.Join(odd, ", "))
			}
			policies = append(policies, p)
		}
	}
	return policies, nil
}
