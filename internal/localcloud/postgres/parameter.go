package postgres

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// Parameter is a setting that this PostgreSQL knows.
type Parameter struct {
	Name string
	// Type is BOOLEAN, INTEGER, REAL, STRING or ENUM.
	Type string
	// Static ones take effect at the next start only.
	Static bool
	// Default may be empty; Min and Max are for numbers.
	Default, Min, Max string
	Description       string
}

// Parameters are all settings of a version that may be written to a configuration, in
// the order of their names. PostgreSQL is asked once.
func (e *Engine) Parameters(version string) ([]Parameter, error) {
	i, err := e.installation(version)
	if err != nil {
		return nil, err
	}
	return e.parameters[i.major()]()
}

func readParameters(i installation) ([]Parameter, error) {
	out, err := exec.Command(filepath.Join(i.bin, "postgres"), "--describe-config").Output()
	if err != nil {
		return nil, fmt.Errorf("ask PostgreSQL for its parameters: %w", err)
	}
	var all []Parameter
	for line := range strings.Lines(string(out)) {
		// Name, context, group, type, default, least, most, description, more.
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) < 8 || f[1] == "internal" {
			continue
		}
		all = append(all, Parameter{
			Name: f[0], Static: f[1] == "postmaster", Type: f[3], Default: f[4], Min: f[5], Max: f[6], Description: f[7],
		})
	}
	return all, nil
}
