package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/image"
	"github.com/bookctl/bookctl/internal/provision"
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
	// set is where the flags are defined, and knows which were given.
	set *pflag.FlagSet
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
	u.set = f
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

// applyTo applies the given flags to the deployed settings.
func (u *upFlags) applyTo(s *provision.Settings) {
	was := s.Image
	s.Overlay(u.Settings, u.given)
	s.GiveEnvironment(u.env.values, u.env.secrets, u.env.unset)
	s.GiveTags(u.tags.values, u.tags.gone)
	if s.Max != 0 && !u.given("count") { // a bound that moves takes along where scaling starts
		s.Count = min(max(s.Count, s.Min), max(s.Min, s.Max))
	}
	// A login is sent only to the registry that it was given for.
	if !u.given("registry-secret") && image.RegistryOf(s.Image) != image.RegistryOf(was) {
		s.RegistrySecret = ""
	}
}

// given reports whether a flag was given.
func (u *upFlags) given(flag string) bool { return u.set.Changed(flag) }

// givenFlags are the flags that were given.
func (u *upFlags) givenFlags() map[string]bool {
	out := map[string]bool{}
	u.set.Visit(func(flag *pflag.Flag) { out[flag.Name] = true })
	return out
}

// check fails for what is wrong without asking the cloud. A setting that is not given is
// unknown until the cloud is asked what is deployed, unless nothing is: then it is the
// default.
func (u *upFlags) check(nothing bool) error {
	if err := errors.Join(u.env.read(), u.tags.read()); err != nil {
		return usageError{err}
	}
	for _, pair := range [][2]string{{"image", "source"}, {"image", "package"}, {"image", "dockerfile"}, {"package", "dockerfile"}} {
		if u.given(pair[0]) && u.given(pair[1]) && u.Image != "build" {
			return hint.With(usageError{fmt.Errorf("--%s and --%s name two images", pair[0], pair[1])}, "give one of them")
		}
	}
	s := provision.DefaultSettings()
	u.applyTo(&s)
	if err := s.CheckOf(func(setting string) bool { return nothing || u.given(setting) }); err != nil {
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
