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

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/image"
	"github.com/bookctl/bookctl/internal/preflight"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// apply creates what is missing, and repairs drift.
func (p *preparation) apply(ctx context.Context, s streams, rep reporter, doing string) (*provision.Stack, graph.Report, error) {
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

// bookctlBuilds reports whether bookctl builds the image and so chooses its files.
func bookctlBuilds(s provision.Settings) bool { return s.Dockerfile == "" && !image.IsArchive(s.From) }

// preparation is what up and plan read and check before anything is changed.
type preparation struct {
	in     prepareInput
	target *target
	have   provision.Deployed
	// want are the settings after the run, and spec is complete at the end of prepare.
	want   provision.Settings
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

// prepareInput is what a preparation starts from.
type prepareInput struct {
	target  *target
	globals *globals
	up      *upFlags
	// note is called with the reason for a long wait, and report with the state of the build.
	note   func(format string, args ...any)
	report func(build)
}

// restoreChoice is the snapshot of --restore.
type restoreChoice struct {
	snapshot *provision.Snapshot // nil without --restore
	// origin is the snapshot that the database was restored from, if this is a repetition.
	origin string
	// note describes the database of the snapshot, if it is restored now.
	note string
}

// prepare checks everything that can be checked in seconds and would otherwise fail after
// minutes. It changes nothing.
func (in prepareInput) prepare(ctx context.Context) (_ *preparation, err error) {
	p := &preparation{in: in, target: in.target}
	if err := p.readDeployed(ctx); err != nil {
		return nil, err
	}
	if err := p.applyLocalDefaults(); err != nil {
		return nil, err
	}
	if err := p.applyFlags(ctx); err != nil {
		return nil, err
	}
	restore, err := p.chooseSnapshot(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.chooseLocalHTTPSPort(); err != nil {
		return nil, err
	}
	if err := p.want.Check(); err != nil {
		return nil, usageError{err}
	}
	if p.target.local {
		if err := runsHere(p.want.Arch); err != nil {
			return nil, err
		}
	}
	if p.want.Image == "" {
		if err := p.findSource(ctx); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			p.source.close()
		}
	}()
	ready, err := p.pinReadyImage(ctx)
	if err != nil {
		return nil, err
	}
	if p.want.Image != "" && in.up.authorities != nil {
		return nil, errDBCANeedsBuild()
	}
	if err := p.want.Check(); err != nil { // with what the image says
		return nil, usageError{err}
	}
	env, err := p.checkPlace(ctx, restore, ready)
	if err != nil {
		return nil, err
	}
	p.fillSpec(env)
	if err := p.addDataNotes(ctx, env.Snapshot, restore); err != nil {
		return nil, err
	}
	p.warnings = append(p.warnings, shiftNotes(p.have, p.want, p.target.region, p.target.local)...)
	return p, nil
}

// warn adds a warning, unless it is empty.
func (p *preparation) warn(warning hint.Message) {
	if !warning.Empty() {
		p.warnings = append(p.warnings, warning)
	}
}

// readDeployed reads what is deployed.
func (p *preparation) readDeployed(ctx context.Context) (err error) {
	g := p.in.globals
	if p.have, err = p.target.deployed(ctx, g); err != nil {
		return err
	}
	p.want = p.have.Settings
	g.hadService = p.have.Running != ""
	p.warn(g.otherFileNote)
	if !p.have.Paused.IsZero() {
		p.warn(hint.New("the stack is paused since %s, and %s starts it again: database, tasks and scaling change for that", p.have.Paused.UTC().Format(minute), hint.Command("up")))
	}
	return nil
}

// applyLocalDefaults chooses what is different in the local cloud: tasks run on this machine,
// which has one architecture and whose ports can be in use.
func (p *preparation) applyLocalDefaults() (err error) {
	if !p.target.local {
		return nil
	}
	if p.have.Running == "" {
		p.want.Arch = runtime.GOARCH
	}
	if !p.have.PortRecorded {
		p.want.Port, err = freePort()
	}
	return err
}

// applyFlags applies the given flags to what is deployed.
func (p *preparation) applyFlags(ctx context.Context) error {
	if err := p.have.AddUnservedSecrets(ctx, p.target.clients, &p.want); err != nil { // what was set before a first release
		return err
	}
	for _, name := range p.in.up.env.unset {
		if !slices.Contains(slices.Concat(p.want.Env.Names(), p.want.Secrets.Names()), name) {
			p.warn(hint.New("the stack has no variable or secret %s to unset", name))
		}
	}
	p.in.up.applyTo(&p.want)
	return nil
}

// chooseSnapshot finds the snapshot of --restore, and applies the settings of its database.
func (p *preparation) chooseSnapshot(ctx context.Context) (restoreChoice, error) {
	stack, database, name := p.in.globals.stack, p.target.clients.RDS, p.in.up.restore
	if !p.want.NoDatabase {
		if err := p.have.CheckDatabaseNotDeleting(ctx, database, stack, name); err != nil {
			return restoreChoice{}, err
		}
	}
	if name == "" {
		return restoreChoice{}, nil
	}
	s, err := provision.SnapshotToRestore(ctx, database, p.target.account, stack, name)
	if err != nil {
		return restoreChoice{}, err
	}
	origin, err := p.have.CheckRestore(ctx, database, stack, name, s)
	if other := (*provision.RestoredError)(nil); errors.As(err, &other) {
		return restoreChoice{}, hint.With(err, "leave --restore out to go on with the data that is there; or %s; a destroy of this stack would delete the automated snapshots", restoreIntoOtherStack(stack, s))
	}
	if err != nil {
		return restoreChoice{}, err
	}
	choice := restoreChoice{snapshot: &s, origin: origin}
	if !p.have.HasData() {
		choice.note = p.applySnapshotSettings(s)
	}
	return choice, nil
}

// chooseLocalHTTPSPort chooses a free port for a stack of the local cloud that gets HTTPS.
func (p *preparation) chooseLocalHTTPSPort() (err error) {
	if p.target.local && p.want.Secure() && !p.have.Secure() && !p.in.up.given("https-port") {
		p.want.HTTPSPort, err = freePort()
	}
	return err
}

// pinReadyImage finds the digest of an image that bookctl does not build, and applies its
// values to the settings.
func (p *preparation) pinReadyImage(ctx context.Context) (image.Info, error) {
	u := p.in.up
	if p.want.Image == "" || !u.given("image") && !u.given("registry-secret") && !u.anyFollowsImageAgain() {
		return image.Info{}, nil
	}
	ready, err := pinImage(ctx, p.target, p.want, p.in.note)
	if err != nil {
		return image.Info{}, err
	}
	p.want.Image = ready.Reference
	if p.switchToARM64(ready.Architectures) {
		p.want.Arch = "arm64"
	}
	config, err := ready.Config(p.want.Arch)
	if err != nil {
		return image.Info{}, err
	}
	if err := p.applyImageDefaults(config); err != nil {
		return image.Info{}, err
	}
	p.sources["arch"] = p.archFrom
	if err := p.want.Check(); err != nil { // what the image says too
		return image.Info{}, usageError{err}
	}
	return ready, nil
}

// checkPlace checks whether the stack can be created there, and adds the warnings about that.
func (p *preparation) checkPlace(ctx context.Context, restore restoreChoice, ready image.Info) (preflight.Environment, error) {
	t, want := p.target, p.want
	env, err := preflight.Check(ctx, t.clients, preflight.Intent{
		Stack: p.in.globals.stack, Settings: want, Deployed: p.have, Region: t.region, Account: t.account, Caller: t.caller,
		Restore: p.in.up.restore, Snapshot: restore.snapshot, ImageArchs: ready.Architectures,
	})
	if err != nil {
		return env, err
	}
	notes := env.Warnings
	if p.in.up.restore == "" { // else the snapshot says
		notes = append(notes, p.have.Lost(want)...)
	}
	for _, w := range notes {
		p.warn(hint.New("%s", w))
	}
	if most := max(want.Count, want.Max); want.Spot && most <= want.SpotBase {
		p.warn(hint.New("all tasks run on demand: there are at most %d, and --spot is for those beyond --spot-base %d", most, want.SpotBase))
	}
	return env, nil
}

// fillSpec completes the settings and the spec with what the checks found.
func (p *preparation) fillSpec(env preflight.Environment) {
	p.want.DBVersion, p.want.Subnets, p.want.DBSubnets = env.DBVersion, env.Subnets, env.DBSubnets
	p.spec = provision.Spec{
		Stack: p.in.globals.stack, Version: version(), Settings: p.want, Running: p.have.Running, Zones: env.Zones, Restore: p.in.up.restore, Deployed: &p.have,
		GivenFlags: p.in.up.givenFlags(), UpgradeFrom: env.UpgradeFrom, NewDatabase: !p.have.HasData(),
	}
	if p.source != nil {
		p.spec.Source = p.source
	}
	if env.Snapshot == nil {
		return
	}
	// "latest" is resolved now: later snapshots are not meant.
	p.spec.Restore = env.Snapshot.ID
	if env.Snapshot.Elsewhere() && !p.have.HasData() {
		p.spec.CopyFrom = env.Snapshot
		p.warn(env.Snapshot.Copied())
	}
}

// addDataNotes adds what the database starts with.
func (p *preparation) addDataNotes(ctx context.Context, from *provision.Snapshot, restore restoreChoice) error {
	data, err := p.dataNote(ctx, from, restore.origin)
	if err != nil {
		return err
	}
	p.warn(data)
	if restore.note != "" {
		p.warn(hint.New("%s", restore.note))
	}
	return nil
}

// anyFollowsImageAgain reports whether a setting was returned to the image, which then has
// to be read.
func (u *upFlags) anyFollowsImageAgain() bool {
	return slices.ContainsFunc(provision.Table(), func(row provision.Setting) bool {
		return row.Derived && u.given(row.Flag) && row.FollowsImageAgain(u.set.Lookup(row.Flag).Value.String())
	})
}

// applyImageDefaults applies the image's values to the settings that the user did not choose; nil is an
// image that can't be read. It fails for an image of which no container can be started.
func (p *preparation) applyImageDefaults(config *v1.ConfigFile) error {
	want := &p.want
	p.sources = map[string]string{}
	for _, d := range image.Defaults(config) {
		switch {
		case d.Setting == image.LocatesDatabase:
			want.LocatesDatabase = d.Value == "true"
		case d.Setting == image.ReadyPath:
			want.ReadyPath = d.Value
		case d.Setting == image.Drain:
			if err := want.FollowDrain(d.Value); err != nil {
				p.warn(hint.New("%v", err))
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
		p.warn(hint.New("%s", warning))
	}
	return image.CheckCommand(config, want.Command)
}

// findSource finds what the image is built from, and applies its values to the settings.
// There is none if the deployed image stays: it was built from a file that is not on this
// machine, and no other was given.
func (p *preparation) findSource(ctx context.Context) error {
	u := p.in.up
	switch {
	case !bookctlBuilds(p.want) && u.authorities != nil:
		return errDBCANeedsBuild()
	case bookctlBuilds(p.want) && u.authorities == nil && !p.target.local && !image.HasDatabaseCA(p.target.region): // the local cloud shows its tasks its own
		return hint.With(usageError{fmt.Errorf("the image that bookctl builds does not trust the databases of region %s", p.target.region)},
			"give the region's authorities with --db-ca FILE (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html has them), or an image with --image that trusts them")
	}
	from := imageOrigin{Settings: p.want, authorities: u.authorities, system: systemOf(p.target.local, runtime.GOOS), note: p.in.note, report: p.in.report}
	found, err := from.open(ctx)
	if other := (*image.ArchError)(nil); errors.As(err, &other) && p.switchToARM64(other.Have) {
		p.want.Arch = "arm64"
		from.Settings = p.want
		found, err = from.open(ctx)
	}
	imageGiven := slices.ContainsFunc([]string{"image", "source", "package", "dockerfile"}, u.given)
	if err != nil {
		return p.sourceError(err, from, imageGiven)
	}
	// The current directory is not recorded for bookapi, so that another program is not
	// deployed because somebody ran up in its directory. For any other program the package
	// is kept.
	deployedIsBookapi := p.have.From == "" && p.have.Image == "" && p.have.Package == "" && p.have.Dockerfile == ""
	if found.program != "" && p.have.Running != "" && !imageGiven && deployedIsBookapi {
		found.close()
		return hint.With(fmt.Errorf("the stack runs bookapi, and this directory contains %s", found.program), "deploy it in its place with %s, or alongside it as a stack of its own with --stack", hint.Command("up", "--source", "."))
	}
	if p.want.Package == "" {
		p.want.Package = found.program
	}
	config, err := found.config()
	if err != nil {
		found.close()
		return err
	}
	if err := p.applyImageDefaults(config); err != nil {
		found.close()
		return err
	}
	p.source = found
	p.sources["arch"] = p.archFrom
	return nil
}

// sourceError adds to the error of a source that can't be opened what to do for the image
// that is deployed. It is nil, with a warning, if that image stays.
func (p *preparation) sourceError(err error, from imageOrigin, imageGiven bool) error {
	running, noSource := p.have.Running, errors.Is(err, image.ErrNoSource)
	switch {
	case running == "":
		return err
	case !imageGiven && from.From+from.Dockerfile != "" && from.From != "." && (errors.Is(err, fs.ErrNotExist) || noSource):
		p.warn(hint.New("%s, of which the deployed image was made, is not here: the image is kept", cmp.Or(from.Dockerfile, from.From)))
		return nil
	case !noSource:
		return err
	case !imageGiven && from.Package != "":
		return hint.With(err, "the stack runs %s, which is not here: run in its directory, deploy what is here with --source ., or choose another stack with --stack", from.Package)
	case from.Dockerfile != "":
		return hint.With(err, "%s; or keep the image that was deployed last, with --image %s", hint.Of(err), running)
	}
	return hint.With(err, "run in the module's directory or name it with --source DIR; or keep the image that was deployed last, with --image %s", running)
}

// switchToARM64 reports whether tasks become arm64 because the image is only for that and
// nobody chose another architecture, and notes it. In the local cloud they can't.
func (p *preparation) switchToARM64(have []string) bool {
	if p.target.local || p.in.up.given("arch") || p.want.Arch == "arm64" || !slices.Equal(slices.Compact(slices.Clone(have)), []string{"arm64"}) {
		return false
	}
	p.archFrom = "the image"
	p.warn(hint.New("the image is for arm64 alone, and so the tasks are arm64"))
	return true
}

// errDBCANeedsBuild is the error for --db-ca with an image that bookctl does not build.
func errDBCANeedsBuild() error {
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
