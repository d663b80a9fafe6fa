package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/image"
	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/preflight"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// upFlags are the flags of up and plan: what a user can choose of a stack.
type upFlags struct {
	provision.Settings
	restore string
	dbCA    string
	env     environmentFlags
	tags    tagFlags
	// authorities are the certificates of dbCA.
	authorities []byte
}

// add defines the flags. Their defaults are shown in the help and never applied: a flag
// that is not given keeps the deployed value.
func (u *upFlags) add(f *pflag.FlagSet) {
	u.addSettings(f)
	f.StringArrayVar(&u.env.unset, "unset-env", nil, "no longer give the container this variable or secret (repeatable)")
	f.StringArrayVar(&u.tags.gone, "untag", nil, "remove this tag from all resources of the stack (repeatable)")
	f.StringVar(&u.dbCA, "db-ca", "", "also trust the certificate authorities in this file (PEM) for the database; needed at each up that builds")
	f.StringVar(&u.restore, "restore", "", "create the database from a snapshot: its id or ARN, also of another stack, region or account, or latest for the stack's newest")
}

// addSettings defines the flags of settings alone.
func (u *upFlags) addSettings(f *pflag.FlagSet) {
	for _, row := range provision.Table() {
		switch v := row.Value.(type) {
		case provision.Number:
			f.Int32Var(v.Of(&u.Settings), row.Flag, v.Default, row.Help)
		case provision.Text:
			f.StringVar(v.Of(&u.Settings), row.Flag, v.Default, row.Help)
		case provision.Switch:
			f.BoolVar(v.Of(&u.Settings), row.Flag, v.Default, row.Help)
		}
		if row.Derived {
			// Its help says it, and this is what is not shown.
			f.Lookup(row.Flag).DefValue = map[string]string{"int32": "0", "bool": "false"}[f.Lookup(row.Flag).Value.Type()]
		}
	}
	u.env.add(f)
	u.tags.add(f)
}

// over applies the given flags to the deployed settings.
func (u *upFlags) over(f *pflag.FlagSet, s *provision.Settings) {
	was := s.Image
	s.Overlay(u.Settings, f.Changed)
	s.GiveEnvironment(u.env.values, u.env.secrets, u.env.unset)
	s.GiveTags(u.tags.values, u.tags.gone)
	if s.Max != 0 && !f.Changed("count") { // a bound that moves takes along where scaling starts
		s.Count = min(max(s.Count, s.Min), max(s.Min, s.Max))
	}
	// A login is sent only to the registry that it was given for.
	if !f.Changed("registry-secret") && image.RegistryOf(s.Image) != image.RegistryOf(was) {
		s.RegistrySecret = ""
	}
}

// said are the flags that were given.
func said(f *pflag.FlagSet) map[string]bool {
	out := map[string]bool{}
	f.Visit(func(flag *pflag.Flag) { out[flag.Name] = true })
	return out
}

// check fails for what is wrong without asking the cloud. A setting that is not given is
// unknown until the cloud is asked what is deployed, unless nothing is: then it is the
// default.
func (u *upFlags) check(f *pflag.FlagSet, nothing bool) error {
	if err := errors.Join(u.env.read(), u.tags.read()); err != nil {
		return usageError{err}
	}
	for _, pair := range [][2]string{{"image", "source"}, {"image", "package"}, {"image", "dockerfile"}, {"package", "dockerfile"}} {
		if f.Changed(pair[0]) && f.Changed(pair[1]) && u.Image != "build" {
			return hint.With(usageError{fmt.Errorf("--%s and --%s name two images", pair[0], pair[1])}, "give one of them")
		}
	}
	s := provision.DefaultSettings()
	u.over(f, &s)
	if err := s.CheckOf(func(setting string) bool { return nothing || f.Changed(setting) }); err != nil {
		return usageError{err}
	}
	return u.readAuthorities()
}

// readAuthorities reads the file of --db-ca, if there is one.
func (u *upFlags) readAuthorities() (err error) {
	u.authorities, err = readAuthorities(u.dbCA)
	return err
}

// readAuthorities reads the certificate authorities in the file of a --db-ca; nil for "".
func readAuthorities(file string) (authorities []byte, err error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err == nil {
		authorities, err = image.ParseAuthorities(text)
	}
	if err != nil {
		return nil, hint.With(usageError{fmt.Errorf("--db-ca %s: %w", file, err)}, "give a file of certificate authorities in PEM, as https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html names them")
	}
	return authorities, nil
}

func newUp(s streams, g *globals) *cobra.Command {
	var (
		u    upFlags
		wait bool
		line string
	)
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Create the stack, or repair drift",
		Long: `Create whatever is missing, repair drift and change nothing else. A flag that is
not given keeps the deployed value. The last line of standard output is the
service's URL; everything else goes to standard error.

up succeeds only when its own release serves. If it is interrupted, the next up
continues.`,
		Example: `  bookctl up --local
  curl $(bookctl up --local --quiet)/books
  bookctl up --stack staging --count 2 --db-class db.t4g.small
  bookctl up --count 3 --spot
  bookctl up --tag team=payments --tag cost-center=42
  bookctl up --db-version 18
  bookctl up --stack copy --restore arn:aws:rds:eu-west-1:444455556666:snapshot:books
  bookctl up --stack shop --vpc vpc-0123456789abcdef0
  bookctl up --deploy canary:10%/5m
  bookctl up --image registry.example.com/bookapi@sha256:…`,
		Args: cobra.NoArgs,
	}
	cmd.RunE = within(g, func(ctx context.Context, _ []string) error { return up(ctx, s, g, &u, cmd.Flags(), wait, line) })
	u.add(cmd.Flags())
	cmd.Flags().BoolVar(&wait, "wait", true, "wait until the release is healthy")
	cmd.Flags().StringVar(&line, "timeline", "", "write a timeline of the run to this file (SVG)")
	return cmd
}

func up(ctx context.Context, s streams, g *globals, u *upFlags, flags *pflag.FlagSet, wait bool, line string) error {
	begun := time.Now()
	rep := newReporter(ctx, s, g)
	defer rep.close()
	fresh := false
	if g.local {
		dir, err := localDir()
		if err != nil {
			return err
		}
		fresh = !localcloud.Used(dir)
	}
	if err := u.check(flags, fresh); err != nil {
		return err
	}
	if g.local && flags.Changed("arch") {
		if err := runsHere(u.Arch); err != nil {
			return err
		}
	}
	picture, err := openTimeline(line)
	if err != nil {
		return err
	}
	defer picture.drop()
	if g.local {
		port := int32(0)
		if flags.Changed("port") {
			port = u.Port
		}
		if err := ensureLocalCloud(ctx, rep, g.region, port); err != nil {
			return err
		}
	}
	t, err := connect(ctx, s, g)
	if err != nil {
		return err
	}
	t.lookAtLock(ctx, g)
	if err := t.refuseLocked(); err != nil { // before anything is built or asked for
		return err
	}
	rep.note("stack %s in %s", g.stack, t.place)
	p, err := prepare(ctx, t, g, u, flags, rep.note, rep.build)
	if err != nil {
		return err
	}
	for _, w := range p.warnings {
		rep.note("note: %s", w)
	}
	endBuild := func() {}
	if p.source != nil {
		endBuild = p.source.begin()
	}
	defer endBuild()
	p.spec.Wait = wait
	p.spec.Release = watchRelease(rep)
	stack, report, err := p.run(ctx, s, rep, "up")
	if err != nil {
		endBuild() // it has been reported
	}
	if err == nil && wait {
		err = p.target.answers(ctx, rep, stack.URL(), p.spec.Settings)
	}
	for _, c := range stack.Deferred() {
		rep.note("note: %s", c)
	}
	if text := stack.Unrenewed(); text != "" {
		rep.note("note: %s", text)
	}
	if stack.Silent() {
		rep.note("note: the log group was deleted and is new, and the tasks that run write nothing into it: %s replaces them", hint.Command("restart"))
	}
	rep.close()
	drawn := picture.draw("bookctl up, stack "+g.stack, report, p.source.spans()...)
	if err != nil {
		return errors.Join(diagnosed(ctx, stack, err, hint.New("fix it and run %s again", hint.Command("up"))), drawn)
	}
	if drawn != nil {
		return drawn
	}
	return p.summary(s, g, stack, report, time.Since(begun))
}

// watchRelease prints the output of the release command, and how to follow and stop it.
func watchRelease(rep reporter) provision.ReleaseWatch {
	return provision.ReleaseWatch{
		Began: func(task string, limit time.Duration) {
			rep.note("release-command: task %s is at work, for %s at most; Ctrl-C stops it, and %s shows its log elsewhere", shortID(task), minutes(limit), hint.Command("logs", "--follow", "--task", shortID(task)))
		},
		Line: func(l provision.OutputLine) { rep.note("release-command: %s", l.Text) },
	}
}

// yes formats a switch in a note.
var yes = map[string]string{"true": "yes", "false": "no"}

// restored applies the settings of a snapshot's database, and over them the given flags.
// The note describes that database, and what of it changes.
func restored(u *upFlags, flags *pflag.FlagSet, from provision.Snapshot, want *provision.Settings) (note string) {
	had, unknown := from.Restored(*want)
	*want = had
	u.over(flags, want)
	var kept, changed []string
	for _, row := range provision.Table() {
		if row.Restored == "" {
			continue
		}
		have, wanted := row.Value.Format(had), row.Value.Format(*want)
		if _, onOff := row.Value.(provision.Switch); onOff {
			have, wanted = yes[have], yes[wanted]
		}
		if kept = append(kept, row.Restored+" "+have); have != wanted {
			changed = append(changed, fmt.Sprintf("%s %s, not %s", row.Restored, wanted, have))
		}
	}
	note = "it is made as it was then: " + strings.Join(kept, ", ")
	if changed != nil {
		note += "; but, as this command says: " + strings.Join(changed, ", ")
	}
	if unknown != nil {
		note += "; the snapshot does not have its " + strings.Join(unknown, ", ") + ": the defaults are used"
	}
	return note
}

// dataNote describes where the data of a new database comes from, or that --restore has no
// effect on one that was restored from the same snapshot, which is origin; otherwise it is empty.
func (p *preparation) dataNote(ctx context.Context, from *provision.Snapshot, origin string) (hint.Message, error) {
	switch {
	case p.spec.NoDatabase:
		return hint.Message{}, nil
	case p.have.HasData() && from != nil && origin != "":
		return hint.New("the database was restored from snapshot %s before, and keeps its present data: --restore does not change it; %s", origin, beside(p.spec.Stack, *from)), nil
	case p.have.HasData():
		return hint.Message{}, nil
	case from != nil:
		return hint.New("the database starts with the data of snapshot %s (%s, %d GiB, made %s)", from.ID, from.What(), from.GiB, ago(from.Created)), nil
	}
	kept, err := p.have.Snapshots(ctx, p.target.clients.RDS, p.spec.Stack)
	if err != nil {
		return hint.Message{}, fmt.Errorf("look for snapshots of the stack: %w", err)
	}
	return emptyNote(kept), nil
}

// beside is the next step for data of a snapshot that does not get into the stack's database.
// Deleting the database first is none: its automated snapshots go with it.
func beside(stack string, from provision.Snapshot) hint.Message {
	other := naming.Beside(stack)
	return hint.New("%s creates a stack beside this one with the data of the snapshot, and %s exports it from there",
		hint.Command("up", "--stack", other, "--restore", from.Name()), hint.Command("db", "dump", "--stack", other, "FILE"))
}

// emptyNote describes what a new, empty database could have started with.
func emptyNote(kept []provision.Snapshot) hint.Message {
	from, backup := provision.Restorable(kept), provision.FromBackup(kept)
	var copied *provision.Snapshot                                                 // the newest
	kept = slices.DeleteFunc(slices.Clone(kept), func(s provision.Snapshot) bool { // another database's data
		if s.Kind != provision.CopiedSnapshot && s.Region == "" {
			return false
		}
		if s.Kind != provision.RetainedBackup { // which --restore does not take
			copied = &s
		}
		return true
	})
	switch {
	case from == "latest":
		newest := kept[0]
		for _, s := range kept {
			if s.Taken() {
				newest = s
			}
		}
		return hint.New("the database starts empty, and the stack has kept data (%d, the newest %s); %s in its place starts from that", len(kept), newest.ID, hint.Command("up", "--restore", from))
	case copied != nil && copied.Region != "":
		return hint.New("the database starts empty, and snapshot %s (%s) is of region %s; %s in its place starts from that", copied.ID, copied.Status, copied.Region, hint.Command("up", "--restore", copied.ID))
	case copied != nil: // by a restore that was cut off, or a database that is gone
		which := copied.ID
		if copied.Status != "available" && copied.Source != "" {
			which = copied.Source // whose restore waits for the copy, or makes it again
		}
		return hint.New("the database starts empty, and snapshot %s (%s) was copied for the stack; %s in its place starts from that", copied.ID, copied.Status, hint.Command("up", "--restore", which))
	case !backup.Empty():
		return hint.New("the database starts empty, and RDS retains a backup of the stack's former one, which --restore does not take: %s", backup)
	}
	return hint.Message{}
}

// run creates what is missing, and repairs drift.
func (p *preparation) run(ctx context.Context, s streams, rep reporter, doing string) (*provision.Stack, graph.Report, error) {
	run := changing(s, p.target, p.spec, doing)
	run.Recheck = p.target.unchanged(p.spec.Stack, p.have)
	run.Begin, run.Observe = rep.begin, rep.event
	run.Warn = func(text string) { rep.note("note: %s", text) }
	run.Allow = func(found []graph.Finding) error {
		for _, f := range found {
			if text := retainedText(f.Retained); text != "" {
				rep.note("note: %s: %s", f.Name, text)
			}
		}
		return p.portsAreFree(found)
	}
	return run.Up(ctx)
}

// builtHere reports whether bookctl builds the image and so chooses its files.
func builtHere(s provision.Settings) bool { return s.Dockerfile == "" && !image.IsArchive(s.From) }

// preparation is what up and plan read and check before anything is changed.
type preparation struct {
	target *target
	have   provision.Deployed
	spec   provision.Spec
	source *source // nil where a ready image is deployed
	// warnings are about what may fail later and can't be checked now.
	warnings []hint.Message
	// sources are where the settings that the image decides are from, by their flags; nil
	// if no image was read.
	sources map[string]string
	// supportThen and supportNow are when the standard support of the database's version
	// ends, after the run and now.
	supportThen, supportNow time.Time
	// archFrom is where the tasks' architecture is from, if the image decides it.
	archFrom string
}

// prepare checks everything that can be checked in seconds and would otherwise fail after
// minutes. It changes nothing. Note is called with the reason for a long wait, and report
// with the state of the build.
func prepare(ctx context.Context, t *target, g *globals, u *upFlags, flags *pflag.FlagSet, note func(string, ...any), report func(build)) (_ *preparation, err error) {
	have, err := provision.ReadDeployed(ctx, t.clients, g.stack)
	if err != nil {
		return nil, fmt.Errorf("read what is deployed: %w", err)
	}
	g.deployed = have.Running != ""
	p := &preparation{target: t, have: have}
	if !g.borrowed.Empty() {
		p.warnings = append(p.warnings, g.borrowed)
	}
	if !have.Paused.IsZero() {
		p.warnings = append(p.warnings, hint.New("the stack is paused since %s, and %s starts it again: database, tasks and scaling change for that", have.Paused.UTC().Format(minute), hint.Command("up")))
	}
	want := have.Settings
	// In the local cloud, tasks run on this machine, which has one architecture and whose
	// ports can be in use.
	if t.local && have.Running == "" {
		want.Arch = runtime.GOARCH
	}
	if t.local && !have.Ported {
		if want.Port, err = freePort(); err != nil {
			return nil, err
		}
	}
	if err := p.have.GiveUnserved(ctx, t.clients, &want); err != nil { // what was set before a first release
		return nil, err
	}
	for _, name := range u.env.unset {
		if !slices.Contains(slices.Concat(want.Env.Names(), want.Secrets.Names()), name) {
			p.warnings = append(p.warnings, hint.New("the stack has no variable or secret %s to unset", name))
		}
	}
	u.over(flags, &want)
	var (
		from *provision.Snapshot
		asIt string
		// origin is the snapshot that the database was restored from, if this is a repetition.
		origin string
	)
	if !want.NoDatabase {
		if err := have.CheckGoing(ctx, t.clients.RDS, g.stack, u.restore); err != nil {
			return nil, err
		}
	}
	if u.restore != "" {
		s, err := provision.SnapshotToRestore(ctx, t.clients.RDS, t.account, g.stack, u.restore)
		if err != nil {
			return nil, err
		}
		origin, err = have.CheckRestore(ctx, t.clients.RDS, g.stack, u.restore, s)
		if other := (*provision.RestoredError)(nil); errors.As(err, &other) {
			return nil, hint.With(err, "leave --restore out to go on with the data that is there; or %s; a destroy of this stack would delete the automated snapshots", beside(g.stack, s))
		}
		if err != nil {
			return nil, err
		}
		if from = &s; !have.HasData() {
			asIt = restored(u, flags, s, &want)
		}
	}
	if t.local && want.Secure() && !have.Secure() && !flags.Changed("https-port") {
		if want.HTTPSPort, err = freePort(); err != nil {
			return nil, err
		}
	}
	if err := want.Check(); err != nil {
		return nil, usageError{err}
	}
	if t.local {
		if err := runsHere(want.Arch); err != nil {
			return nil, err
		}
	}
	if want.Image == "" {
		if err := p.findSource(ctx, u, flags, &want, note, report); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			p.source.close()
		}
	}()
	var ready image.Info
	if want.Image != "" && (flags.Changed("image") || flags.Changed("registry-secret") || returns(flags)) {
		if ready, err = pinImage(ctx, t, want, note); err != nil {
			return nil, err
		}
		want.Image = ready.Reference
		if p.followsArch(ready.Architectures, want.Arch, flags) {
			want.Arch = "arm64"
		}
		config, err := ready.Config(want.Arch)
		if err != nil {
			return nil, err
		}
		if err := p.follow(&want, config); err != nil {
			return nil, err
		}
		p.sources["arch"] = p.archFrom
		if err := want.Check(); err != nil { // what the image says too
			return nil, usageError{err}
		}
	}
	if want.Image != "" && u.authorities != nil {
		return nil, ownAuthorities()
	}
	if err := want.Check(); err != nil { // with what the image says
		return nil, usageError{err}
	}
	env, err := preflight.Check(ctx, t.clients, preflight.Intent{
		Stack: g.stack, Settings: want, Deployed: have, Region: t.region, Account: t.account, Caller: t.caller, Restore: u.restore, Snapshot: from, ImageArchs: ready.Architectures,
	})
	if err != nil {
		return nil, err
	}
	notes := env.Warnings
	if u.restore == "" { // else the snapshot says
		notes = append(notes, have.Lost(want)...)
	}
	for _, w := range notes {
		p.warnings = append(p.warnings, hint.New("%s", w))
	}
	if most := max(want.Count, want.Max); want.Spot && most <= want.SpotBase {
		p.warnings = append(p.warnings, hint.New("all tasks run on demand: there are at most %d, and --spot is for those beyond --spot-base %d", most, want.SpotBase))
	}
	want.DBVersion, want.Subnets, want.DBSubnets = env.DBVersion, env.Subnets, env.DBSubnets
	p.spec = provision.Spec{
		Stack: g.stack, Version: version(), Settings: want, Running: have.Running, Zones: env.Zones, Restore: u.restore, Deployed: &have,
		Said: said(flags), UpgradeFrom: env.UpgradeFrom, NewDatabase: !have.HasData(),
	}
	if p.source != nil {
		p.spec.Source = p.source
	}
	if env.Snapshot != nil {
		// "latest" is resolved now: later snapshots are not meant.
		p.spec.Restore = env.Snapshot.ID
		if env.Snapshot.Elsewhere() && !have.HasData() {
			p.spec.CopyFrom = env.Snapshot
			p.warnings = append(p.warnings, env.Snapshot.Copied())
		}
	}
	data, err := p.dataNote(ctx, env.Snapshot, origin)
	if err != nil {
		return nil, err
	}
	if !data.Empty() {
		p.warnings = append(p.warnings, data)
	}
	if asIt != "" {
		p.warnings = append(p.warnings, hint.New("%s", asIt))
	}
	p.warnings = append(p.warnings, shiftNotes(have, want, t.region, t.local)...)
	return p, nil
}

// returns reports whether a setting was returned to the image, which then has to be read.
func returns(f *pflag.FlagSet) bool {
	return slices.ContainsFunc(provision.Table(), func(row provision.Setting) bool {
		return row.Derived && f.Changed(row.Flag) && row.Returns(f.Lookup(row.Flag).Value.String())
	})
}

// follow applies the image's values to the settings that the user did not choose; nil is an
// image that can't be read. It fails for an image of which no container can be started.
func (p *preparation) follow(want *provision.Settings, config *v1.ConfigFile) error {
	p.sources = map[string]string{}
	for _, d := range image.Defaults(config) {
		switch {
		case d.Setting == image.LocatesDatabase:
			want.LocatesDatabase = d.Value == "true"
		case d.Setting == image.ReadyPath:
			want.ReadyPath = d.Value
		case d.Setting == image.Drain:
			if err := want.FollowDrain(d.Value); err != nil {
				p.warnings = append(p.warnings, hint.New("%v", err))
			}
		case d.Setting == image.DatabaseAuthority:
			want.DatabaseAuthority = d.Value
		case p.have.Database && (d.Setting == "db-name" || d.Setting == "db-user"): // what exists keeps its own
		case want.Follow(d.Setting, d.Value):
			p.sources[d.Setting] = d.Source
		default:
			p.sources[d.Setting] = "chosen"
		}
	}
	check := image.CheckOf(config)
	seconds := func(d time.Duration) int32 { return int32(min(math.Ceil(d.Seconds()), math.MaxInt32)) }
	want.CheckTimes = provision.CheckTimes{Interval: seconds(check.Interval), Timeout: seconds(check.Timeout), Retries: int32(min(max(check.Retries, 0), 10))}
	for _, warning := range image.Warnings(config) {
		p.warnings = append(p.warnings, hint.New("%s", warning))
	}
	return image.CheckCommand(config, want.Command)
}

// findSource finds what the image is built from, and applies its values to the settings.
// There is none if the deployed image stays: it was built from a file that is not on this
// machine, and no other was given.
func (p *preparation) findSource(ctx context.Context, u *upFlags, flags *pflag.FlagSet, want *provision.Settings, note func(string, ...any), report func(build)) error {
	switch {
	case !builtHere(*want) && u.authorities != nil:
		return ownAuthorities()
	case builtHere(*want) && u.authorities == nil && !p.target.local && !image.HasDatabaseCA(p.target.region): // the local cloud shows its tasks its own
		return hint.With(usageError{fmt.Errorf("the image that bookctl builds does not trust the databases of region %s", p.target.region)},
			"give the region's authorities with --db-ca FILE (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html has them), or an image with --image that trusts them")
	}
	from := imageOrigin{Settings: *want, authorities: u.authorities, system: systemOf(p.target.local, runtime.GOOS), note: note, report: report}
	found, err := from.open(ctx)
	if other := (*image.ArchError)(nil); errors.As(err, &other) && p.followsArch(other.Have, want.Arch, flags) {
		want.Arch = "arm64"
		from.Settings = *want
		found, err = from.open(ctx)
	}
	said := slices.ContainsFunc([]string{"image", "source", "package", "dockerfile"}, flags.Changed)
	running := p.have.Running
	switch {
	case err != nil && running != "" && !said && from.From+from.Dockerfile != "" && from.From != "." && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, image.ErrNoSource)):
		p.warnings = append(p.warnings, hint.New("%s, of which the deployed image was made, is not here: the image is kept", cmp.Or(from.Dockerfile, from.From)))
		return nil
	case err != nil && running != "" && !said && from.Package != "" && errors.Is(err, image.ErrNoSource):
		return hint.With(err, "the stack runs %s, which is not here: run in its directory, deploy what is here with --source ., or choose another stack with --stack", from.Package)
	case err != nil && running != "" && from.Dockerfile != "" && errors.Is(err, image.ErrNoSource):
		return hint.With(err, "%s; or keep the image that was deployed last, with --image %s", hint.Of(err), running)
	case err != nil && running != "" && errors.Is(err, image.ErrNoSource):
		return hint.With(err, "run in the module's directory or name it with --source DIR; or keep the image that was deployed last, with --image %s", running)
	case err != nil:
		return err
	}
	// The current directory is not recorded for bookapi, so that another program is not
	// deployed because somebody ran up in its directory. For any other program the package
	// is kept.
	if runsOurs := p.have.From == "" && p.have.Image == "" && p.have.Package == "" && p.have.Dockerfile == ""; found.program != "" && running != "" && !said && runsOurs {
		found.close()
		return hint.With(fmt.Errorf("the stack runs bookapi, and this directory contains %s", found.program), "deploy it in its place with %s, or alongside it as a stack of its own with --stack", hint.Command("up", "--source", "."))
	}
	if want.Package == "" {
		want.Package = found.program
	}
	config, err := found.config()
	if err != nil {
		found.close()
		return err
	}
	if err := p.follow(want, config); err != nil {
		found.close()
		return err
	}
	p.source = found
	p.sources["arch"] = p.archFrom
	return nil
}

// followsArch reports whether tasks become arm64 because the image is only for that and
// nobody chose another architecture, and notes it. In the local cloud they can't.
func (p *preparation) followsArch(have []string, tasks string, flags *pflag.FlagSet) bool {
	if p.target.local || flags.Changed("arch") || tasks == "arm64" || !slices.Equal(slices.Compact(slices.Clone(have)), []string{"arm64"}) {
		return false
	}
	p.archFrom = "the image"
	p.warnings = append(p.warnings, hint.New("the image is for arm64 alone, and so the tasks are arm64"))
	return true
}

// ownAuthorities is the error for --db-ca with an image that bookctl does not build.
func ownAuthorities() error {
	return hint.With(usageError{errors.New("--db-ca is for the image that bookctl builds, and a ready image has to trust the stack's databases by itself")},
		"leave --db-ca out, or build with --image build")
}

// portsAreFree fails if the load balancer is to listen on a port of this machine that
// another program uses, before anything is changed: the port is recorded and opened before
// the listener takes it. Ports that the stack has already are its own.
func (p *preparation) portsAreFree(found []graph.Finding) error {
	if !p.target.local || slices.ContainsFunc(found, func(f graph.Finding) bool { return f.Err != nil }) {
		return nil // a listener whose load balancer can't be looked at seems absent
	}
	ports := map[string]int32{"listener": p.spec.Port, "listener-https": p.spec.HTTPSPort}
	for _, f := range found {
		port, listens := ports[f.Name]
		moves := slices.ContainsFunc(f.Drift, func(c graph.Change) bool { return c.Field == "port" })
		if !listens || f.Phase != graph.Absent && !moves {
			continue
		}
		if err := portIsFree(port); err != nil {
			return err
		}
	}
	return nil
}

// runsHere fails for tasks of another architecture than this machine's, on which those of
// the local cloud run.
func runsHere(arch string) error {
	if arch == runtime.GOARCH {
		return nil
	}
	return hint.With(usageError{fmt.Errorf("this machine is %s, and can't run tasks for %s", runtime.GOARCH, arch)}, "say --arch %s", runtime.GOARCH)
}

// freePort finds a free port on localhost.
func freePort() (int32, error) {
	for tries := 10; ; tries-- {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, fmt.Errorf("find a free port: %w", err)
		}
		port := int32(l.Addr().(*net.TCPAddr).Port)
		_ = l.Close() // nobody has come by
		if err := portIsFree(port); err == nil || tries == 0 {
			return port, err
		}
	}
}

// portIsFree returns why the local cloud can't serve localhost on a port, or nil. Its load
// balancers listen on the IPv4 address; a program that has the port on the IPv6 address
// would answer in their place.
func portIsFree(port int32) error {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err == nil {
		_ = l.Close() // nobody has come by
		if l, err = net.Listen("tcp", fmt.Sprintf("[::1]:%d", port)); err == nil {
			return l.Close()
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil // there is no IPv6 here
		}
	}
	if errors.Is(err, os.ErrPermission) {
		return hint.With(usageError{fmt.Errorf("port %d can't be used by this user", port)}, "choose one above 1023 with --port, or none at all")
	}
	return hint.With(usageError{fmt.Errorf("port %d is in use on this machine", port)}, "choose another with --port, or none at all: a free one is found")
}

// summary prints what was done, and the URL alone on the last line.
func (p *preparation) summary(s streams, g *globals, stack *provision.Stack, report graph.Report, took time.Duration) error {
	reads, writes := p.target.calls.counts()
	created, updated := report.Count(graph.Created), report.Count(graph.Updated)
	if g.output == "json" {
		return encode(s.out, upDocument{
			head: headOf("result"), place: placeOf(g, p.target), Command: "up", URL: stack.URL(), Created: created, Updated: updated, Checked: len(report.Steps),
			APIReads: reads, APIWrites: writes, Seconds: took.Seconds(),
		})
	}
	if !g.quiet {
		if created+updated == 0 {
			fmt.Fprintf(s.err, "Up to date: %d checked, 0 changed, %s.\n", len(report.Steps), rounded(took))
		} else {
			fmt.Fprintf(s.err, "%d created, %d updated, %d unchanged, %s.\n", created, updated, len(report.Steps)-created-updated, rounded(took))
		}
	}
	_, err := fmt.Fprintln(s.out, stack.URL())
	return err
}
