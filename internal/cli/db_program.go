package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/dbproxy"
	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/image"
	"github.com/bookctl/bookctl/internal/pattern"
	"github.com/bookctl/bookctl/internal/provision"
)

// throughTunnel is the part of the help about how a database is reached.
const throughTunnel = `On AWS the connection goes through a task, as that of 'bookctl db tunnel' does. The
prerequisites are the same: 'bookctl up --exec', once, and session-manager-plugin
` + firstPlugin + ` or newer on this machine.

The password is in no argument, variable or file: bookctl logs in, and the program
connects to bookctl.`

func newDBPsql(s streams, g *globals) *cobra.Command {
	var authorities string
	cmd := &cobra.Command{
		Use:   "psql [flags] -- [ARGUMENT]...",
		Short: "Open psql in the database",
		Long: `Run psql, which has to be installed in any version, in the stack's database as its
owner. Arguments after -- are passed to psql. The exit code is that of psql.

` + throughTunnel,
		Example: `  bookctl db psql
  bookctl db psql -- --command 'select count(*) from books'`,
		Args: cobra.ArbitraryArgs,
		RunE: within(g, func(ctx context.Context, args []string) error {
			return withDatabase(ctx, s, g, "psql", authorities, func(p program) error {
				return withTunnelHint(p.run(ctx, s.in, s.out, args...), hint.New("%s opens another one", hint.Command("db", "psql")))
			})
		}),
	}
	trustFlag(cmd, &authorities)
	return cmd
}

func newDBDump(s streams, g *globals) *cobra.Command {
	var authorities string
	cmd := &cobra.Command{
		Use:   "dump FILE",
		Short: "Dump the database to a file",
		Long: `Write schema and data of the stack's database to a new file, with pg_dump, which
has to be installed in the database's version or a newer one. The file has
pg_dump's custom format, which 'bookctl db load' and pg_restore read. Only you can
read it. It does not exist before it is complete.

` + throughTunnel,
		Example: `  bookctl db dump books.dump`,
		Args:    cobra.ExactArgs(1),
		RunE:    within(g, func(ctx context.Context, args []string) error { return dump(ctx, s, g, args[0], authorities) }),
	}
	trustFlag(cmd, &authorities)
	return cmd
}

func newDBLoad(s streams, g *globals) *cobra.Command {
	var (
		clean       bool
		authorities string
	)
	cmd := &cobra.Command{
		Use:   "load FILE",
		Short: "Load data into the database from a file",
		Long: `Load a file that 'bookctl db dump' or pg_dump --format=custom wrote into the
stack's database, with pg_restore, which has to be installed in the version of the
pg_dump that wrote the file. The database's user owns everything that is loaded. The
load is one transaction: if anything fails, for example because a table exists
already, nothing is changed. --clean first drops the tables and other objects that
are in the file, with their data.

` + throughTunnel,
		Example: `  bookctl db load books.dump --clean --yes`,
		Args:    cobra.ExactArgs(1),
		RunE:    within(g, func(ctx context.Context, args []string) error { return load(ctx, s, g, args[0], clean, authorities) }),
	}
	cmd.Flags().BoolVar(&clean, "clean", false, "first drop the tables and other objects that are in the file")
	trustFlag(cmd, &authorities)
	return cmd
}

// trustFlag adds the flag that names further certificate authorities.
func trustFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "db-ca", "", "also trust the certificate authorities in this file (PEM) for the database")
}

func dump(ctx context.Context, s streams, g *globals, path, authorities string) (err error) {
	begun := time.Now()
	part := path + ".part"
	for _, p := range []string{path, part} {
		if _, err := os.Lstat(p); err == nil {
			return hint.With(usageError{fmt.Errorf("%s exists already", p)}, "give another name, or remove it")
		}
	}
	file, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return usageError{fmt.Errorf("write the dump: %w", err)}
	}
	defer func() {
		if err != nil {
			_ = os.Remove(part) // nobody has use of half a dump
		}
	}()
	defer file.Close()
	err = withDatabase(ctx, s, g, "pg_dump", authorities, func(p program) error {
		if programMajor, serverMajor := majorOf(p.version), majorOf(p.to.Version); programMajor < serverMajor {
			return hint.With(fmt.Errorf("pg_dump of PostgreSQL %d can't read a database of PostgreSQL %d", programMajor, serverMajor), "install the PostgreSQL client of version %d", serverMajor)
		}
		return withTunnelHint(p.run(ctx, nil, file, "--format=custom", "--no-password"), hint.New("%s tries again", hint.Command("db", "dump", path)))
	})
	if err != nil {
		return err
	}
	if err := finishFile(file, path); err != nil {
		return fmt.Errorf("write the dump: %w", err)
	}
	size, err := os.Stat(path)
	if err != nil {
		return err
	}
	if g.output == "json" {
		return encode(s.out, dumpDocument{headOf("result"), "db dump", g.stack, path, size.Size(), time.Since(begun).Seconds()})
	}
	g.note(s, "Dumped the database to %s: %d bytes, %s. %s loads it.", path, size.Size(), rounded(time.Since(begun)), hint.Command("db", "load", path))
	return nil
}

// finishFile gives a file its name, once all of it is on the disk.
func finishFile(file *os.File, name string) error {
	if err := file.Sync(); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), name)
}

// withoutTransactionTimeout is the last version without the setting that any newer pg_restore
// begins with, whatever it writes into: "SET transaction_timeout = 0;"
// https://github.com/postgres/postgres/blob/REL_17_STABLE/src/bin/pg_dump/pg_backup_archiver.c
const withoutTransactionTimeout = 16

func load(ctx context.Context, s streams, g *globals, path string, clean bool, authorities string) error {
	begun := time.Now()
	file, err := os.Open(path)
	if err != nil {
		return usageError{fmt.Errorf("read the dump: %w", err)}
	}
	defer file.Close()
	// https://github.com/postgres/postgres/blob/master/src/bin/pg_dump/pg_backup_archiver.c writes it
	magic := make([]byte, 5)
	if _, err := io.ReadFull(file, magic); err != nil || string(magic) != "PGDMP" {
		return hint.With(usageError{fmt.Errorf("%s is not a dump in pg_dump's custom format", path)}, "make one with pg_dump --format=custom; psql reads plain SQL: %s", hint.Command("db", "psql", "--", "--file", path))
	}
	if clean {
		if err := confirm(ctx, s, g, fmt.Sprintf("What %s has is dropped from the database of stack %s first, with its data.", path, g.stack), "the stack's name", g.stack); err != nil {
			return err
		}
	}
	err = withDatabase(ctx, s, g, "pg_restore", authorities, func(p program) error {
		if programMajor, serverMajor := majorOf(p.version), majorOf(p.to.Version); programMajor > withoutTransactionTimeout && serverMajor <= withoutTransactionTimeout {
			return hint.With(fmt.Errorf("pg_restore of PostgreSQL %d can't write into a database of PostgreSQL %d, which does not know its settings", programMajor, serverMajor),
				"install the PostgreSQL client of version %d, and make the dump with it, since it reads none of a newer one", withoutTransactionTimeout)
		}
		args := []string{"--dbname", p.to.Database, "--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error", "--no-password"}
		if clean {
			args = append(args, "--clean", "--if-exists")
		}
		list, remove, err := p.restoreList(ctx, path, clean)
		if err != nil {
			return withTunnelHint(err, hint.New("nothing was changed; %s tries again", hint.Command("db", "load", path, "--clean")))
		}
		defer remove()
		if err := p.run(ctx, nil, s.err, append(append(args, list...), path)...); err != nil {
			if p.proxy.Cut() || errors.As(err, new(tunnelEnded)) {
				return loadCutOff(err, path, clean)
			}
			if clean {
				return hint.With(fmt.Errorf("%s was not loaded, and the database is unchanged: %w", path, err), "look at what pg_restore says above")
			}
			return hint.With(fmt.Errorf("%s was not loaded, and the database is unchanged: %w", path, err), "if its contents exist already: %s drops that first", hint.Command("db", "load", path, "--clean"))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if g.output == "json" {
		return encode(s.out, loadDocument{headOf("result"), "db load", g.stack, path, time.Since(begun).Seconds()})
	}
	g.note(s, "Loaded %s into the database, %s.", path, rounded(time.Since(begun)))
	return nil
}

// listEntry finds what a line of pg_restore --list names: after the number, and class and number
// of the object, its kind, schema, name and owner.
// https://github.com/postgres/postgres/blob/master/src/bin/pg_dump/pg_backup_archiver.c, PrintTOCSummary
var listEntry = pattern.New(`^\d+; \d+ \d+ (.*)`)

// othersExtensionsSQL finds the entries of the extensions that the user can't drop, and of the schemas
// with those in them, which can't be dropped either.
// https://www.postgresql.org/docs/current/sql-dropextension.html
const othersExtensionsSQL = `with others as (select extname, extnamespace from pg_extension where not pg_has_role(extowner, 'USAGE'))
	select 'EXTENSION - ' || extname || ' ' from others
	union select 'SCHEMA - ' || nspname || ' ' from others join pg_namespace n on n.oid = extnamespace`

// restoreList are the arguments for pg_restore that name what to load of a dump, until remove
// is called: all but the comments of extensions, which only an extension's owner may set,
// and, of what --clean drops first, what the database has of extensions of others. On RDS
// extensions can belong to rdsadmin.
func (p program) restoreList(ctx context.Context, path string, clean bool) (args []string, remove func(), err error) {
	out, err := exec.CommandContext(ctx, p.path, "--list", path).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
		}
		return nil, nil, fmt.Errorf("%s --list %s: %w", p.name, path, err)
	}
	without := []string{"COMMENT - EXTENSION "}
	if clean {
		others, err := p.proxy.Ask(ctx, othersExtensionsSQL)
		if err != nil {
			return nil, nil, p.tunnel.explain(err)
		}
		without = append(without, others...)
	}
	var kept strings.Builder
	all := true
	for line := range strings.Lines(string(out)) {
		named := listEntry.FindStringSubmatch(line)
		if named != nil && slices.ContainsFunc(without, func(w string) bool { return strings.HasPrefix(named[1], w) }) {
			all = false
			continue
		}
		kept.WriteString(line)
	}
	if all {
		return nil, func() {}, nil
	}
	file, err := os.CreateTemp("", "bookctl-list-")
	if err != nil {
		return nil, nil, fmt.Errorf("list what is loaded: %w", err)
	}
	remove = func() { _ = os.Remove(file.Name()) } // the system clears what is left
	_, err = file.WriteString(kept.String())
	if err := errors.Join(err, file.Close()); err != nil {
		remove()
		return nil, nil, fmt.Errorf("list what is loaded: %w", err)
	}
	return []string{"--use-list", file.Name()}, remove, nil
}

// loadCutOff is the error of a load whose connection ended before it was answered, which may
// have been on its last word, COMMIT.
func loadCutOff(err error, path string, clean bool) error {
	again := []string{"db", "load", path}
	err = fmt.Errorf("whether %s was loaded is not known: %w", path, err)
	look := hint.Command("db", "psql")
	if clean {
		return hint.With(err, "the database has either all of the file or what it had before: look with %s, and if need be repeat %s", look, hint.Command(append(again, "--clean")...))
	}
	return hint.With(err, "the database has either all of the file or nothing of it: look with %s, and if need be repeat %s", look, hint.Command(again...))
}

// program is a program of PostgreSQL with a connection to a stack's database.
type program struct {
	name, path, version string
	to                  provision.Connection
	proxy               *dbproxy.Proxy
	tunnel              *tunnel // nil for none
	errs                io.Writer
	interrupts          *interrupts
}

// run runs it to its end. The program handles Ctrl-C itself. If the tunnel ended meanwhile,
// that is the error, unless the program had no need of it any more.
func (p program) run(ctx context.Context, in io.Reader, out io.Writer, args ...string) error {
	defer p.interrupts.lend()()
	cmd := exec.CommandContext(context.WithoutCancel(ctx), p.path, args...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = clientEnvironment(p.proxy.Environment()), in, out, p.errs
	err := cmd.Run()
	if p.tunnel != nil && (err != nil || isTerminal(in)) { // psql on a terminal exits with 0 whatever was lost
		if lost := p.tunnel.lost(p.proxy.Cut()); lost != nil {
			return lost
		}
	}
	switch code := exitOf(err); {
	case p.name == "psql" && code > 0:
		return exitError{code}
	case err != nil:
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return nil
}

// withDatabase connects a program of PostgreSQL to the stack's database.
func withDatabase(ctx context.Context, s streams, g *globals, name, authorities string, do func(program) error) error {
	further, err := readAuthorities(authorities)
	if err != nil {
		return err
	}
	path, version, err := findProgram(ctx, name)
	if err != nil {
		return err
	}
	plugin, err := pluginFor(ctx, s, g)
	if err != nil {
		return err
	}
	t, err := openStack(ctx, s, g, requirements{database: true, notPaused: true})
	if err != nil {
		return err
	}
	to, err := databaseAddress(ctx, t, g, further)
	if err != nil {
		return err
	}
	var through *tunnel
	if !t.local {
		var stop func()
		ctx, stop = untilTerminalEnds(ctx)
		defer stop()
		if through, err = openTunnel(ctx, s, t.target, g, tunnelRequest{plugin: plugin, to: t.database}); err != nil {
			return err
		}
		defer through.end()
		to.Dial = func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", through.address)
		}
	}
	proxy, end, err := connectProxy(ctx, to, through)
	if err != nil {
		return err
	}
	defer end()
	return do(program{name, path, version, t.database, proxy, through, s.err, s.interrupts})
}

// findProgram finds a program of PostgreSQL on this machine, and its version.
func findProgram(ctx context.Context, name string) (path, version string, err error) {
	path, err = exec.LookPath(name)
	if err != nil {
		return "", "", hint.With(fmt.Errorf("%s is not installed on this machine", name), "install the PostgreSQL client: https://www.postgresql.org/download/")
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return "", "", fmt.Errorf("ask %s for its version: %w", path, err)
	}
	return path, string(out), nil
}

// databaseAddress is the stack's database with its password, and with the certificate
// authorities to verify it by: those of the cloud, and the further ones of the user in PEM.
func databaseAddress(ctx context.Context, t stackAccess, g *globals, further []byte) (to dbproxy.Database, err error) {
	c := t.database
	if err := requireAddress(c); err != nil {
		return to, err
	}
	to = dbproxy.Database{Host: c.Host, Port: int(c.Port), Name: c.Database, User: c.Username, Authorities: t.authorities}
	if to.Password, err = provision.ReadPassword(ctx, t.clients, g.stack); err != nil {
		return to, err
	}
	if !t.local {
		if further == nil && !image.HasDatabaseCA(t.region) {
			return to, hint.With(usageError{fmt.Errorf("bookctl does not trust the databases of region %s", t.region)},
				"give the region's authorities with --db-ca FILE (%s has them)", databaseBundle(t.region))
		}
		to.Authorities = x509.NewCertPool()
		to.Authorities.AppendCertsFromPEM(image.DatabaseAuthorities())
	}
	if further != nil {
		to.Authorities = to.Authorities.Clone()
		to.Authorities.AppendCertsFromPEM(further)
	}
	return to, nil
}

// connectProxy opens the proxy that logs in to the database, through a tunnel unless that is
// nil, and tries it once. End closes the proxy.
func connectProxy(ctx context.Context, to dbproxy.Database, through *tunnel) (proxy *dbproxy.Proxy, end func(), err error) {
	proxy, err = dbproxy.Open(ctx, to)
	if err != nil {
		return nil, nil, err
	}
	unguard := func() {}
	if through != nil {
		unguard = through.guard(ctx, proxy)
	}
	end = func() {
		unguard()
		_ = proxy.Close() // it is of this run
	}
	if err := through.explain(proxy.Try(ctx)); err != nil {
		end()
		return nil, nil, hint.With(err, "%s shows the state of the database and of the tasks", hint.Command("status"))
	}
	return proxy, end, nil
}

// clientEnvironment is the environment for a program of PostgreSQL: this process's own,
// with the connection settings replaced by those of the stack.
func clientEnvironment(where map[string]string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return strings.HasPrefix(name, "PG") && !slices.Contains([]string{"PGOPTIONS", "PGCLIENTENCODING", "PGTZ", "PGDATESTYLE", "PGAPPNAME"}, name)
	})
	for _, name := range slices.Sorted(maps.Keys(where)) {
		env = append(env, name+"="+where[name])
	}
	return env
}

var firstNumber = pattern.New(`[0-9]+`)

// majorOf is the major version in the version text of a program or server.
func majorOf(version string) int {
	n, _ := strconv.Atoi(firstNumber.FindString(version)) // 0 for none
	return n
}
