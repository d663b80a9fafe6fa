package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/pattern"
)

// Program is a main package of a Go module.
type Program struct {
	// Dir is where the go tool is run, and Package what it builds there.
	Dir, Package string
	// Path is the import path of the package.
	Path string
	// Own reports whether it is bookapi, of bookctl's own module.
	Own bool
}

// Name is what the program is called in the image, as 'go install' would call it.
func (p Program) Name() string {
	name := path.Base(p.Path)
	if versionElement.MatchString(name) && path.Dir(p.Path) != "." {
		name = path.Base(path.Dir(p.Path))
	}
	return name
}

// versionElement ends the path of a module of a later major version
// (https://go.dev/ref/mod#major-version-suffixes).
var versionElement = pattern.New(`^v[0-9]+$`)

// FindProgram finds what to build in dir, which is in a Go module or the root of a
// workspace: the package with the given name, as the go tool takes it in dir, or
// without a name the only main package in dir and below. In bookctl's own module that
// is bookapi. It runs the go tool, and writes nothing. The errors are ErrNoSource,
// ErrNoGo, and what the go tool says.
func FindProgram(ctx context.Context, dir, pkg, arch string) (Program, error) {
	at, err := filepath.Abs(dir)
	if err != nil {
		return Program{}, fmt.Errorf("find the source: %w", err)
	}
	if info, err := os.Stat(at); err != nil || !info.IsDir() {
		return Program{}, hint.With(fmt.Errorf("%w: there is no directory %s", ErrNoSource, at), "%s", otherWays)
	}
	root, own := rootOf(at)
	switch {
	case root == "":
		return Program{}, hint.With(fmt.Errorf("%w: there is no Go module in %s or above it%s", ErrNoSource, at, otherSourceNote(at)), "%s", otherWays)
	case own && (pkg == "" || pkg == "./"+program || pkg == modulePath+"/"+program):
		return Program{Dir: root, Package: "./" + program, Path: modulePath + "/" + program, Own: true}, nil
	}
	patterns := []string{pkg}
	if pkg == "" {
		if patterns, err = packagePatterns(ctx, at, root, arch); err != nil {
			return Program{}, err
		}
	}
	found, err := list(ctx, at, arch, patterns...)
	if err != nil {
		return Program{}, err
	}
	mains := mainPackages(found)
	if pkg == "" && at != root { // somebody who names a main package means that one
		if i := slices.IndexFunc(mains, func(p goPackage) bool { return p.Dir == at }); i >= 0 {
			mains = mains[i : i+1]
		}
	}
	if pkg != "" && len(mains) == 0 {
		why := "it is no main package"
		if len(found) == 1 && found[0].Error != nil {
			why = found[0].Error.Err
		}
		return Program{}, hint.With(fmt.Errorf("%w: package %s in %s: %s", ErrNoSource, pkg, at, why), "name a main package with --package, such as ./cmd/server")
	}
	return chooseProgram(at, root, mains)
}

// mainPackages are those of the packages that are programs.
func mainPackages(all []goPackage) []goPackage {
	var mains []goPackage
	for _, p := range all {
		if p.Name == "main" {
			mains = append(mains, p)
		}
	}
	return mains
}

// chooseProgram returns the program if there is one main package.
func chooseProgram(dir, root string, mains []goPackage) (Program, error) {
	switch {
	case len(mains) == 0:
		return Program{}, hint.With(fmt.Errorf("%w: the Go module in %s has no main package in %s", ErrNoSource, root, dir), "%s", otherWays)
	case len(mains) > 1:
		var names []string
		for _, p := range mains {
			names = append(names, p.from(dir))
		}
		return Program{}, hint.With(fmt.Errorf("%w: %s has %d main packages: %s", errSeveral, dir, len(mains), strings.Join(names, ", ")), "choose one with --package, as in --package %s", names[0])
	}
	return Program{Dir: dir, Package: mains[0].from(dir), Path: mains[0].ImportPath}, nil
}

// errSeveral reports that it is ambiguous which program is meant.
var errSeveral = errors.New("several programs match")

// otherWays is what to do where there is no source.
const otherWays = "name the directory of a Go module with --source DIR, a Dockerfile with --dockerfile FILE, or an image with --image REF (docker-archive:FILE and oci:DIR too)"

// rootOf is the directory in at or above it that has a module or a workspace, or "";
// and whether that is bookctl's own.
func rootOf(at string) (root string, own bool) {
	for ; ; at = filepath.Dir(at) {
		if name, err := moduleOf(at); err == nil {
			return at, name == modulePath
		}
		if _, err := os.Stat(filepath.Join(at, "go.work")); err == nil {
			return at, false
		}
		if at == filepath.Dir(at) {
			return "", false
		}
	}
}

// otherSourceNote says what else that can be deployed is in a directory without a Go module.
func otherSourceNote(dir string) string {
	for _, name := range []string{"Dockerfile", "Containerfile"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return ", but a " + name + ", which --dockerfile builds"
		}
	}
	for _, other := range []struct{ file, app string }{{"package.json", "Node"}, {"pyproject.toml", "Python"}, {"requirements.txt", "Python"}, {"Gemfile", "Ruby"}} {
		if _, err := os.Stat(filepath.Join(dir, other.file)); err == nil {
			return "; a " + other.app + " app (" + other.file + ") needs a Dockerfile"
		}
	}
	return ""
}

// packagePatterns returns the patterns of all packages in dir and below it; in the root of a
// workspace, those of all of its modules.
func packagePatterns(ctx context.Context, dir, root, arch string) ([]string, error) {
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
		return []string{"./..."}, nil
	}
	out, err := runGo(ctx, dir, arch, "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return nil, err
	}
	var patterns []string
	for line := range strings.Lines(out) {
		patterns = append(patterns, strings.TrimSpace(line)+"/...")
	}
	return patterns, nil
}

// goPackage is what the go tool says of a package.
type goPackage struct {
	ImportPath, Name, Dir string
	Standard              bool
	CgoFiles              []string
	Error                 *struct{ Err string }
}

// from names a package as it is typed in a directory.
func (p goPackage) from(dir string) string {
	rel, err := filepath.Rel(dir, p.Dir)
	switch {
	case err != nil:
		return p.ImportPath
	case rel == ".":
		return "."
	case strings.HasPrefix(rel, ".."):
		return p.ImportPath
	}
	return "./" + filepath.ToSlash(rel)
}

// list asks the go tool for packages. It contains which ones can't be loaded.
func list(ctx context.Context, dir, arch string, args ...string) ([]goPackage, error) {
	out, err := runGo(ctx, dir, arch, append([]string{"list", "-e", "-json=ImportPath,Name,Dir,Standard,CgoFiles,Error"}, args...)...)
	if err != nil {
		return nil, err
	}
	var all []goPackage
	for from := json.NewDecoder(strings.NewReader(out)); ; {
		var p goPackage
		switch err := from.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("read what 'go list' says: %w", err)
		}
		all = append(all, p)
	}
}

// runGo runs the go tool for a look at a module that is not ours.
func runGo(ctx context.Context, dir, arch string, args ...string) (string, error) {
	tool, err := findGo()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Dir = dir
	// With cgo, so that what needs it is seen.
	cmd.Env = append(Source{Arch: arch, Package: "."}.compilerEnv(os.Environ()), "CGO_ENABLED=1")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", goError(dir, "go "+args[0], err, errs.String())
	}
	return out.String(), nil
}

func findGo() (string, error) {
	tool, err := exec.LookPath("go")
	if err != nil {
		return "", hint.With(ErrNoGo, "install Go from https://go.dev/dl, or use a ready image with --image REF")
	}
	return tool, nil
}

// newerGo is what the go tool says of a module that wants a newer one, which it may not
// fetch, or can't (https://go.dev/doc/toolchain).
var newerGo = pattern.New(`requires go >= ([0-9][0-9a-z.]*) \(running go|go: download go([0-9][0-9a-z.]*): |cannot find "go([0-9][0-9a-z.]*)" in PATH`)

// goError is the error of a go command, with what to do.
func goError(dir, command string, err error, output string) error {
	failed := fmt.Errorf("%w in %s: '%s': %w\n%s", errCompile, dir, command, err, tail(output, 20))
	if m := newerGo.FindStringSubmatch(output); m != nil {
		return hint.With(failed, "the module wants Go %s: install it from https://go.dev/dl, or let the go tool fetch it, with GOTOOLCHAIN=auto", m[1]+m[2]+m[3])
	}
	switch {
	case strings.Contains(output, "inconsistent vendoring"):
		return hint.With(failed, "run 'go mod vendor' in %s ('go work vendor' in a workspace), and the same command again", dir)
	case strings.Contains(output, "missing go.sum entry"), strings.Contains(output, "updates to go.mod needed"):
		return hint.With(failed, "run 'go mod tidy' in %s, and the same command again", dir)
	}
	return hint.With(failed, "fix the source and run the same command again")
}

// needsC are the packages that a program is made of and that have parts in C, but for
// the standard library's, which has the same in Go. Some do without, and some fail when
// they run.
func (s Source) needsC(ctx context.Context) []string {
	all, err := list(ctx, s.Dir, s.Arch, "-deps", s.Package)
	if err != nil {
		return nil // the compiler says the same
	}
	var out []string
	for _, p := range all {
		if !p.Standard && len(p.CgoFiles) > 0 {
			out = append(out, p.ImportPath)
		}
	}
	return out
}
