package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/partition"
	"github.com/bookctl/bookctl/internal/provision"
)

func newDB(s streams, g *globals) *cobra.Command {
	var show bool
	cmd := &cobra.Command{
		Use:   "db",
		Short: "Show how to connect to the database",
		Long: `Show the address of the database and how to connect to it. On AWS it has no
public address: 'bookctl db tunnel' reaches it through a task, and so do psql, dump
and load. The password is printed only with --show-password, and only on a terminal.`,
		Example: `  bookctl db
  bookctl db psql
  bookctl db dump books.dump
  bookctl db tunnel
  bookctl db snapshots
  bookctl db rotate-password`,
		Args: cobra.NoArgs,
		RunE: within(g, func(ctx context.Context, _ []string) error { return showConnection(ctx, s, g, show) }),
	}
	cmd.Flags().BoolVar(&show, "show-password", false, "print the password too, on a terminal")
	cmd.AddCommand(newDBPsql(s, g), newDBDump(s, g), newDBLoad(s, g), newDBTunnel(s, g), newDBSnapshots(s, g), newDBRotate(s, g))
	return cmd
}

// withoutDatabase is the error for a stack without a database. If the stack was created
// without one, the hint is to add it.
func withoutDatabase(ctx context.Context, t *target, g *globals, err error) error {
	up := hint.Command("up")
	if have, lookErr := provision.ReadDeployed(ctx, t.clients, g.stack); lookErr == nil && have.NoDatabase {
		up = hint.Command("up", "--no-database=false")
	}
	return notDeployed(ctx, t, g, err, hint.New("%s creates it", up))
}

func showConnection(ctx context.Context, s streams, g *globals, show bool) error {
	if show && !isTerminal(s.out) {
		return hint.With(usageError{errors.New("--show-password shows it on a terminal only, and this output is not one")},
			"programs read the secret themselves: %s", hint.AWS("secretsmanager", "get-secret-value", "--secret-id", g.stack+"/database"))
	}
	t, err := connect(ctx, s, g)
	if err != nil {
		return err
	}
	c, err := provision.ReadConnection(ctx, t.clients, g.stack)
	if err != nil {
		return withoutDatabase(ctx, t, g, err)
	}
	bundle := "the bundle of " + databaseBundle(t.region)
	reach := g.format("from within the stack's network; from here by %s", hint.Command("db", "tunnel"))
	if t.local {
		info, err := localCloud(ctx)
		if err != nil {
			return err
		}
		bundle, reach = info.TrustBundle, "from this machine"
	}
	password := ""
	if show {
		if password, err = provision.ReadPassword(ctx, t.clients, g.stack); err != nil {
			return err
		}
	}
	if g.output == "json" {
		return encode(s.out, databaseDocument{headOf("database"), g.stack, c, g.stack + "/database", "verify-full", bundle, password})
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	row := func(name, value string) { fmt.Fprintf(w, "%s\t%s\n", name, value) }
	row("state", c.State+", PostgreSQL "+c.Version)
	if c.Host != "" {
		row("address", net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))))
	}
	row("reachable", reach)
	row("database", c.Database)
	row("user", c.Username)
	if show {
		row("password", password)
	} else {
		row("password", "in the secret "+g.stack+"/database; --show-password prints it")
	}
	row("TLS", "sslmode=verify-full sslrootcert="+bundle)
	return w.Flush()
}

// databaseBundle is where the certificate authorities of a region's databases are.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html
// https://docs.amazonaws.cn/en_us/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html
func databaseBundle(region string) string {
	switch partition.Of(region).Name {
	case "aws":
		return "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
	case "aws-us-gov":
		return "https://truststore.pki.us-gov-west-1.rds.amazonaws.com/global/global-bundle.pem"
	case "aws-cn":
		return "https://rds-truststore.s3.cn-north-1.amazonaws.com.cn/global/global-bundle.pem"
	}
	return "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html"
}

func newDBTunnel(s streams, g *globals) *cobra.Command {
	var (
		port int
		task string
	)
	cmd := &cobra.Command{
		Use:   "tunnel",
		Short: "Forward a local port to the database",
		Long: `Forward a port of this machine to the database, through a running task, until
interrupted. Session Manager ends it too, with exit code 1, when nothing was sent
through it for 20 minutes, or the account's own time.

This needs tasks that allow it. Run 'bookctl up --exec' once: it replaces the tasks,
and they can then write to their root file system. It also needs AWS's
session-manager-plugin, ` + firstPlugin + ` or newer, on this machine.

The server's certificate names the database's own address, not localhost:
connect with sslmode=verify-ca, or give psql that address as host and
hostaddr=127.0.0.1.
A local stack needs no tunnel: its database listens on this machine.`,
		Example: `  bookctl db tunnel --local-port 5433`,
		Args:    cobra.NoArgs,
		RunE: within(g, func(ctx context.Context, _ []string) error {
			if port < 0 || port > 65535 {
				return usageError{fmt.Errorf("--local-port %d: choose one up to 65535", port)}
			}
			return keepTunnel(ctx, s, g, task, port)
		}),
	}
	cmd.Flags().IntVar(&port, "local-port", 0, "port of this machine (default: any free port)")
	cmd.Flags().StringVar(&task, "task", "", "connect through the task whose id starts with this (default: any)")
	return cmd
}

// keepTunnel keeps a tunnel open until it is interrupted.
func keepTunnel(ctx context.Context, s streams, g *globals, task string, port int) error {
	plugin, err := pluginFor(ctx, s, g)
	if err != nil {
		return err
	}
	t, err := connect(ctx, s, g)
	if err != nil {
		return err
	}
	c, err := provision.ReadConnection(ctx, t.clients, g.stack)
	if err != nil {
		return withoutDatabase(ctx, t, g, err)
	}
	if err := requireAddress(c); err != nil {
		return err
	}
	if t.local {
		g.note(s, "no tunnel is needed: the database of a local stack listens on this machine")
		if g.output == "json" {
			return printTunnel(s, g, c.Host, int(c.Port))
		}
		_, err := fmt.Fprintln(s.out, net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))))
		return err
	}
	ctx, stop := untilTerminalEnds(ctx)
	defer stop()
	through, err := openTunnel(ctx, s, t, g, tunnelRequest{plugin: plugin, to: c, task: task, port: port, out: s.err})
	if err != nil {
		return err
	}
	defer through.end()
	if g.output == "json" {
		if err := printTunnel(s, g, "127.0.0.1", through.port); err != nil {
			return err
		}
	}
	fmt.Fprintf(s.err, "psql 'host=%s hostaddr=127.0.0.1 port=%d dbname=%s user=%s sslmode=verify-full sslrootcert=FILE'\n", c.Host, through.port, c.Database, c.Username)
	select {
	case <-through.ended:
		return hint.With(tunnelEnded{"ended: " + through.why()}, "%s opens it again", hint.Command("db", "tunnel", "--local-port", strconv.Itoa(through.port)))
	case <-ctx.Done():
		return endedByUser(ctx)
	}
}

// requireAddress refuses a database that is still being created.
func requireAddress(c provision.Connection) error {
	if c.Host == "" {
		return hint.With(fmt.Errorf("the database is %s and has no address yet", c.State), "wait until %s says that it is available", hint.Command("status"))
	}
	return nil
}

// printTunnel prints, for programs, the local address of a tunnel.
func printTunnel(s streams, g *globals, host string, port int) error {
	return encode(s.out, tunnelDocument{headOf("tunnel"), g.stack, host, port})
}

func newDBSnapshots(s streams, g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "snapshots",
		Short: "List the snapshots and retained backups of the database",
		Long: `List every snapshot and retained backup of the stack's database, oldest first.
It works after the stack is destroyed, too.`,
		Example: `  bookctl db snapshots
  bookctl up --restore latest`,
		Args: cobra.NoArgs,
		RunE: within(g, func(ctx context.Context, _ []string) error {
			t, err := connect(ctx, s, g)
			if err != nil {
				return err
			}
			all, err := provision.Snapshots(ctx, t.clients.RDS, g.stack)
			if err != nil {
				return err
			}
			if g.output == "json" {
				return encode(s.out, snapshotsDocument{headOf("snapshots"), g.stack, orEmpty(all)})
			}
			if len(all) == 0 {
				if !g.quiet {
					fmt.Fprintf(s.err, "stack %s has no snapshot\n", g.stack)
				}
				return nil
			}
			_, err = fmt.Fprintln(s.out, snapshotLines(all))
			return err
		}),
	}
}

func newDBRotate(s streams, g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "rotate-password",
		Short: "Change the database's password, and replace the tasks",
		Long: `Generate a new password, store it in the secret and in the database, and replace
each task by one that knows it.

Connections that are open stay open, so an app that keeps its connections serves all
the time. But an old task can't open a new connection, and for some minutes, until
the new tasks are healthy, there are only old ones. An app that connects for each
request fails during that time: Django does with CONN_MAX_AGE=0, its default, and
most PHP apps do. Change the password of such an app at a quiet hour.

What is scheduled for the database's maintenance window stays there. If this is
interrupted, the next 'bookctl up' completes it.`,
		Example: `  bookctl db rotate-password`,
		Args:    cobra.NoArgs,
		RunE:    within(g, func(ctx context.Context, _ []string) error { return rotatePassword(ctx, s, g) }),
	}
}

func rotatePassword(ctx context.Context, s streams, g *globals) error {
	begun := time.Now()
	rep := newReporter(ctx, s, g)
	defer rep.close()
	t, err := openStack(ctx, s, g, requirements{unlocked: true, database: true, notPaused: true})
	if err != nil {
		return err
	}
	err = t.underLock(ctx, s, g, "db rotate-password", func(guard func(context.Context) error) error {
		// Until it is over, the tasks of neither release could connect.
		if shifted, err := t.have.Shifted(ctx, t.clients, g.stack); err != nil {
			return err
		} else if shifted != nil {
			return hint.With(fmt.Errorf("the traffic of stack %s is being shifted (%s), and its tasks would lose the database", g.stack, shifted.Text()),
				"wait until that is over, or take the release back with %s", hint.Command("rollback"))
		}
		rep.note("stack %s in %s: a new password for secret and database", g.stack, t.place)
		if err := guard(ctx); err != nil {
			return err
		}
		if err := provision.RotatePassword(ctx, t.clients, g.stack, func(note string) { rep.note("%s", note) }); err != nil {
			return notDeployed(ctx, t.target, g, err, hint.Of(err))
		}
		rep.note("replacing the tasks")
		if err := guard(ctx); err != nil {
			return err
		}
		if _, err := provision.Restart(ctx, t.clients, g.stack, t.have.Settings, func(note string) { rep.note("%s", note) }); err != nil {
			return restartDiagnosed(hint.With(err, "secret and database have the new password; %s replaces the tasks by ones that use it", hint.Command("restart")),
				hint.New("secret and database have the new password; once that is repaired, %s replaces the tasks by ones that use it", hint.Command("restart")))
		}
		return nil
	})
	if err != nil {
		return err
	}
	rep.close()
	if g.output == "json" {
		return encode(s.out, rotateDocument{headOf("result"), "db rotate-password", g.stack, time.Since(begun).Seconds()})
	}
	g.note(s, "The database has a new password, and all tasks use it, %s.", rounded(time.Since(begun)))
	return nil
}
