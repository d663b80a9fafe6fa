package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/diagnosis"
	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/pricing"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
	"github.com/bookctl/bookctl/internal/ui"
)

func newUI(s streams, g *globals) *cobra.Command {
	var (
		port  int
		every time.Duration
	)
	cmd := &cobra.Command{
		Use:   "ui",
		Short: "Show the stack on a page for the browser, as it changes",
		Long: `Serve a page that shows the stack as it changes: its resources and their state,
deployments, tasks, events, logs, cost, and what to do next. Nothing can be
changed from it. Open the address that is printed; Ctrl-C ends it.

The page can be opened on this machine only, and only under that address, part of
which is random. bookctl reads from AWS only while somebody has the page open.`,
		Example: `  bookctl ui
  bookctl ui --ui-port 8090 --interval 10s`,
		Args: cobra.NoArgs,
		RunE: within(g, func(ctx context.Context, _ []string) error {
			if port < 0 || port > 65535 {
				return usageError{fmt.Errorf("--ui-port %d: choose one up to 65535", port)}
			}
			if err := checkInterval(every); err != nil {
				return err
			}
			return serveUI(ctx, s, g, port, every)
		}),
	}
	// Not --port, which is a setting of the stack, also as an environment variable.
	cmd.Flags().IntVar(&port, "ui-port", 0, "port of this machine for the page (default: any free port)")
	cmd.Flags().DurationVar(&every, "interval", 5*time.Second, "time between refreshes while the page is open")
	return cmd
}

func serveUI(ctx context.Context, s streams, g *globals, port int, every time.Duration) error {
	t, err := connect(ctx, s, g)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return hint.With(fmt.Errorf("serve the page on this machine: %w", err), "choose another port with --ui-port, or leave it out")
	}
	page := ui.New(newPageSource(t, g), every, version())
	url := "http://" + l.Addr().String() + page.Path()
	if g.output == "json" {
		err = encode(s.out, pageDocument{headOf("ui"), placeOf(g, t), url})
	} else {
		g.note(s, "stack %s in %s; open this address, and end it with Ctrl-C:", g.stack, t.place)
		_, err = fmt.Fprintln(s.out, url)
	}
	if err != nil {
		return errors.Join(err, l.Close())
	}
	if err := page.Serve(ctx, l); err != nil {
		return fmt.Errorf("serve the page: %w", err)
	}
	return endedByUser(ctx)
}

// pageSource is the stack as the page shows it: read repeatedly, while credentials may
// expire and the network may fail.
type pageSource struct {
	g *globals

	mu sync.Mutex
	// target is nil after its credentials failed. The next read connects again: the user may
	// have signed in again. A session that is still valid is kept, since it may not be had
	// again: it may have begun with the code of an MFA device.
	target          *target
	account, region string

	output *provision.Output // used by Lines alone
}

func newPageSource(t *target, g *globals) *pageSource {
	g.answerGuard.Slow = func(string, string, time.Duration) {} // the page shows how old it is
	g.unattended.Store(true)
	return &pageSource{g: g, target: t, account: t.account, region: t.region}
}

// connected is the target of the page, always of the same account and region.
func (l *pageSource) connected(ctx context.Context) (*target, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.target != nil && l.g.local {
		info, err := localCloud(ctx)
		if err != nil {
			return nil, err
		}
		if info.Endpoint != *l.target.config.BaseEndpoint {
			l.target = nil
		}
	}
	if l.target != nil {
		return l.target, nil
	}
	// Nothing is printed on the terminal.
	t, err := connect(ctx, streams{in: strings.NewReader(""), out: io.Discard, err: io.Discard}, l.g)
	if err != nil {
		return nil, err
	}
	if t.account != l.account || t.region != l.region {
		return nil, hint.With(fmt.Errorf("the credentials are now of %s, and this page is of account %s, region %s", t.place, l.account, l.region),
			"use those credentials again, or end this page and start %s again", hint.Command("ui"))
	}
	l.target = t
	return t, nil
}

// failure replaces an error by its explanation.
func (l *pageSource) failure(err error) error {
	if errors.Is(err, errNoTerminal) {
		return ui.Failure{
			Text: "The AWS profile asks for the code of an MFA device (mfa_serial) again, and the page can't ask for it.",
			Next: hint.New("end this page, and run %s again", hint.Command("ui")).Show(l.g.showCommand),
		}
	}
	err = explainError(err)
	return ui.Failure{Text: hint.Text(err, l.g.showCommand), Next: outcomeOf(err).next.Show(l.g.showCommand)}
}

// Look implements ui.Source.
func (l *pageSource) Look(ctx context.Context) (ui.Stack, error) {
	seen, err := l.read(ctx)
	if err != nil {
		if l.g.local || noCredentials(err) || provision.Expired(err) {
			l.mu.Lock()
			l.target = nil
			l.mu.Unlock()
		}
		return ui.Stack{}, l.failure(err)
	}
	return seen, nil
}

func (l *pageSource) read(ctx context.Context) (ui.Stack, error) {
	var (
		seen      ui.Stack
		alongside []diagnosis.Task
	)
	t, err := l.connected(ctx)
	if err != nil {
		return seen, err
	}
	status, err := readStatus(ctx, t, l.g, func(ctx context.Context, stack *provision.Stack, found []graph.Finding) (err error) {
		seen.Parts = partsOf(stack.Resources(), found, l.g.stack)
		seen.Events, alongside, seen.Stopped, err = stack.Happenings(ctx)
		return err
	})
	if err != nil {
		return seen, err
	}
	status.fill(&seen, t, l.g)
	seen.Tasks = slices.Concat(seen.Tasks, alongside)
	return seen, nil
}

// fill adds what a status has to what the page shows.
func (o *statusOutput) fill(seen *ui.Stack, t *target, g *globals) {
	seen.Name, seen.Place, seen.URL = o.Stack, o.where, o.URL
	seen.Summary, seen.Mood = o.summary(), ui.Bad
	switch {
	case !o.found, o.resting():
		seen.Mood = ui.Quiet
	case o.Healthy:
		seen.Mood = ui.Good
	}
	if o.found && !o.resting() {
		seen.Problems = o.Problems
	}
	seen.Next = o.next().Show(g.showCommand)
	if o.Lock != nil {
		seen.Lock = &ui.Lock{Holder: o.Lock.Holder, Since: o.Lock.Since}
	}
	o.allRows(func(name, format string, args ...any) {
		if text := g.format(format, args...); name == "" && len(seen.Rows) > 0 {
			last := &seen.Rows[len(seen.Rows)-1]
			last.Texts = append(last.Texts, text)
		} else {
			seen.Rows = append(seen.Rows, ui.Row{Name: name, Texts: []string{text}})
		}
	})
	seen.Deployments, seen.Tasks, seen.Targets = o.Service.Deployments, o.Tasks, o.Targets
	events := make([]diagnosis.Event, len(seen.Events))
	for i, e := range seen.Events {
		events[i] = diagnosis.Event{Time: e.Time, Message: shortenIDs(e.Message)}
	}
	seen.Events, seen.Costs = events, o.costs
	switch date, _, err := pricing.Source(); {
	case !o.found:
	case o.unpriced != "":
		seen.CostNote = "Not known: " + o.unpriced + "."
	case t.local:
		seen.CostNote = fmt.Sprintf("What runs on this machine costs nothing. On AWS, in %s, it would be about this.", t.region)
	case err == nil:
		seen.CostNote = "Prices of " + date + ", an estimate and no offer."
	}
}

// firstLines is how far back the logs are read by default.
const firstLines = time.Hour

// Lines implements ui.Source.
func (l *pageSource) Lines(ctx context.Context, anew *time.Time, each func(ui.Line)) error {
	t, err := l.connected(ctx)
	if err != nil {
		return l.failure(err)
	}
	switch {
	case anew != nil:
		l.output = provision.ReadOutput(t.clients.Logs, l.g.stack, "", *anew)
	case l.output == nil:
		l.output = provision.ReadOutput(t.clients.Logs, l.g.stack, "", time.Now().Add(-firstLines))
	default:
		l.output.Use(t.clients.Logs)
	}
	if err := l.output.Next(ctx, func(o provision.OutputLine) error {
		each(ui.Line{Time: o.Time, Task: o.Task, Text: o.Text})
		return nil
	}); err != nil {
		return l.failure(err)
	}
	return nil
}
