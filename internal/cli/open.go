package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

func newOpen(s streams, g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "open [PATH]",
		Short: "Open the service in a browser, or print its URL",
		Long: `Print the service's URL and open it, with the program that BROWSER names or, on a
terminal, with the system's browser. With --output json it is only printed.`,
		Example: `  bookctl open
  bookctl open /docs
  curl $(BROWSER= bookctl open)/books`,
		Args: cobra.MaximumNArgs(1),
		RunE: within(g, func(ctx context.Context, args []string) error {
			t, err := connect(ctx, s, g)
			if err != nil {
				return err
			}
			url, err := stackURL(ctx, t, g)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				url += "/" + strings.TrimPrefix(args[0], "/")
			}
			if g.output == "json" {
				return encode(s.out, urlDocument{headOf("url"), g.stack, url})
			}
			if _, err := fmt.Fprintln(s.out, url); err != nil {
				return err
			}
			browser := browserOf(s)
			if len(browser) == 0 {
				return nil
			}
			open := exec.CommandContext(ctx, browser[0], append(browser[1:], url)...)
			open.Stderr = s.err
			if err := open.Run(); err != nil {
				return hint.With(fmt.Errorf("open the browser %s: %w", browser[0], err), "set BROWSER to another program, or to nothing to have the URL printed alone")
			}
			return nil
		}),
	}
}

// stackURL finds where the stack answers.
func stackURL(ctx context.Context, t *target, g *globals) (string, error) {
	have, err := t.deployed(ctx, g)
	if err != nil {
		return "", err
	}
	stack, err := provision.NewStack(t.clients, withAnyZones(deployedSpec(g, &have)))
	if err != nil {
		return "", err
	}
	for _, f := range graph.Observe(ctx, stack.Balancing(), stack.Options()) {
		if f.Err != nil {
			return "", fmt.Errorf("%s: %w", f.Name, f.Err)
		}
	}
	if url := stack.URL(); url != "" {
		return url, nil
	}
	return "", notDeployed(ctx, t, g, fmt.Errorf("stack %s has no URL yet", g.stack), hint.New("%s creates it", hint.Command("up")))
}

// browserOf is the command that opens a page, or nothing if there is none, or if the URL is
// read by a script.
func browserOf(s streams) []string {
	if b, set := os.LookupEnv("BROWSER"); set {
		return strings.Fields(b)
	}
	if !isTerminal(s.out) {
		return nil
	}
	switch runtime.GOOS {
	case "darwin":
		return []string{"open"}
	case "windows":
		return []string{"rundll32", "url.dll,FileProtocolHandler"}
	}
	if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return nil
	}
	if path, err := exec.LookPath("xdg-open"); err == nil {
		return []string{path}
	}
	return nil
}
