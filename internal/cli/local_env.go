package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/pattern"
)

// localEnvironment points AWS tools at the local cloud. The AWS CLI of version 1
// reads AWS_DEFAULT_REGION and not AWS_REGION.
func localEnvironment(info localcloud.Info) []string {
	return []string{
		"AWS_ENDPOINT_URL=" + info.Endpoint,
		"AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local",
		"AWS_REGION=" + info.Region, "AWS_DEFAULT_REGION=" + info.Region,
	}
}

// otherwise lists the variables that have to be unset, because with them an AWS tool would not use
// localEnvironment. A profile takes precedence over keys, in the AWS CLI and in SDKs. A session token
// belongs to other keys. The endpoint of one service takes precedence over the general one
// (https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html).
func otherwise(environment []string) []string {
	names := []string{"AWS_DEFAULT_PROFILE", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT"}
	for _, v := range environment {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_ENDPOINT_URL_") && plainName.MatchString(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// plainName matches the name of a variable that a shell accepts.
var plainName = pattern.New(`^[A-Z0-9_]+$`)

// shells write a variable, the end of one, and the function that passes the
// address to every command of the AWS CLI.
var shells = map[string]struct {
	quote               func(string) string
	set, unset, wrapper string
}{
	"sh": {
		func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" },
		"export %s=%s", "unset %s", `aws() { command aws --endpoint-url %s "$@"; }`,
	},
	"fish": {
		func(s string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'" },
		"set -gx %s %s", "set -e %s", "function aws; command aws --endpoint-url %s $argv; end",
	},
	"powershell": {
		func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" },
		"$Env:%s = %s", "Remove-Item -ErrorAction Ignore Env:%s", "function aws { & (Get-Command -CommandType Application aws)[0] --endpoint-url %s @args }",
	},
}

func newLocalEnv(s streams, g *globals) *cobra.Command {
	var syntax string
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print the environment for AWS tools to use the local cloud",
		Long: `Print the environment variables that point AWS tools at the local cloud, for a
shell to evaluate. Variables that would point a tool elsewhere, such as
AWS_PROFILE, are unset. Before version 2.13 the AWS CLI ignores AWS_ENDPOINT_URL;
the printed function passes the address to every command.
When no local cloud runs, nothing is printed and the exit code is 3.`,
		Example: `  eval "$(bookctl local env)"; aws rds describe-db-instances
  bookctl local env --shell fish | source`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return printLocalEnv(cmd.Context(), s, g, syntax) },
	}
	cmd.Flags().StringVar(&syntax, "shell", "sh", "fish, powershell or sh")
	return cmd
}

// printLocalEnv prints the environment in the syntax of a shell.
func printLocalEnv(ctx context.Context, s streams, g *globals, syntax string) error {
	shell, known := shells[syntax]
	if !known {
		return usageError{fmt.Errorf("--shell %q: choose %s", syntax, strings.Join(slices.Sorted(maps.Keys(shells)), ", "))}
	}
	info, err := localCloud(ctx)
	if err != nil {
		return err
	}
	if g.output == "json" {
		variables := map[string]string{}
		for _, v := range localEnvironment(info) {
			name, value, _ := strings.Cut(v, "=")
			variables[name] = value
		}
		return encode(s.out, environmentDocument{headOf("environment"), variables, otherwise(os.Environ())})
	}
	var text strings.Builder
	for _, name := range otherwise(os.Environ()) {
		fmt.Fprintf(&text, shell.unset+"\n", name)
	}
	for _, v := range localEnvironment(info) {
		name, value, _ := strings.Cut(v, "=")
		fmt.Fprintf(&text, shell.set+"\n", name, shell.quote(value))
	}
	fmt.Fprintf(&text, shell.wrapper+"\n", shell.quote(info.Endpoint))
	_, err = io.WriteString(s.out, text.String())
	return err
}
