package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"runtime"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/pflag"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/image"
	"github.com/bookctl/bookctl/internal/preflight"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

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
	have, err := t.deployed(ctx, g)
	if err != nil {
		return nil, err
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
	if t.local && !have.PortRecorded {
		if want.Port, err = freePort(); err != nil {
			return nil, err
		}
	}
	if err := p.have.AddUnservedSecrets(ctx, t.clients, &want); err != nil { // what was set before a first release
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
		if err := have.CheckDatabaseNotDeleting(ctx, t.clients.RDS, g.stack, u.restore); err != nil {
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
		GivenFlags: said(flags), UpgradeFrom: env.UpgradeFrom, NewDatabase: !have.HasData(),
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
		return row.Derived && f.Changed(row.Flag) && row.FollowsImageAgain(f.Lookup(row.Flag).Value.String())
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
