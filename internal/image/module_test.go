package image_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/image"
)

// tree writes files below a new directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const aMain = "package main\n\nfunc main() {}\n"

func TestTheOnlyProgramOfAModuleIsFound(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		files       map[string]string
		in, pkg     string // of the source
		path, build string
		name        string
	}{
		"in the root": {map[string]string{"go.mod": "module example.com/shop/v2\n", "main.go": aMain}, "", "", "example.com/shop/v2", ".", "shop"},
		"below, alongside other packages": {map[string]string{
			"go.mod": "module example.com/shop\n\ngo 1.21\n", "shop.go": "package shop\n", "cmd/server/main.go": aMain, "cmd/server/main_test.go": "package main\n",
			"tools/gen.go": "//go:build ignore\n\npackage main\n", "testdata/x/main.go": aMain,
		}, "", "", "example.com/shop/cmd/server", "./cmd/server", "server"},
		"of several, the one that the directory is": {map[string]string{"go.mod": "module example.com/shop\n", "a/main.go": aMain, "b/main.go": aMain, "b/c/main.go": aMain}, "b", "", "example.com/shop/b", ".", "b"},
		"of several, the one that is named":         {map[string]string{"go.mod": "module example.com/shop\n", "a/main.go": aMain, "b/main.go": aMain}, "", "./b", "example.com/shop/b", "./b", "b"},
		"named by its import path":                  {map[string]string{"go.mod": "module example.com/shop\n", "a/main.go": aMain, "b/main.go": aMain}, "", "example.com/shop/a", "example.com/shop/a", "./a", "a"},
		"in a workspace": {map[string]string{
			"go.work": "go 1.26\n\nuse ./lib\nuse ./app\n", "lib/go.mod": "module example.com/lib\n\ngo 1.26\n", "lib/lib.go": "package lib\n\nconst X = 1\n",
			"app/go.mod": "module example.com/app\n\ngo 1.26\n", "app/main.go": "package main\n\nimport \"example.com/lib\"\n\nfunc main() { _ = lib.X }\n",
		}, "", "", "example.com/app", "./app", "app"},
	} {
		dir := tree(t, c.files)
		p, err := image.FindProgram(t.Context(), filepath.Join(dir, c.in), c.pkg, "amd64")
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if p.Path != c.path || p.Package != c.build || p.Name() != c.name || p.Own || p.Dir != filepath.Join(dir, c.in) {
			t.Errorf("%s: found %+v, called %s; want %s as %s, called %s", what, p, p.Name(), c.path, c.build, c.name)
		}
		if built, err := image.Build(t.Context(), image.Source{Dir: p.Dir, Package: p.Package, Name: p.Name(), Arch: "amd64"}); err != nil {
			t.Errorf("%s: %v", what, err)
		} else if config, err := built.OCI.ConfigFile(); err != nil || !slices.Equal(config.Config.Entrypoint, []string{"/" + c.name}) || config.Config.Healthcheck != nil {
			t.Errorf("%s: the image is %+v, %v", what, config.Config, err)
		}
	}
}

func TestASourceThatCantBeMeantIsRefused(t *testing.T) {
	t.Parallel()
	usesC := "package main\n\n// int two() { return 2; }\nimport \"C\"\n\nfunc main() { println(C.two()) }\n"
	for what, c := range map[string]struct {
		files           map[string]string
		pkg, want, next string
	}{
		"two main packages":      {map[string]string{"go.mod": "module example.com/shop\n", "cmd/a/main.go": aMain, "cmd/b/main.go": aMain}, "", "2 main packages: ./cmd/a, ./cmd/b", "--package ./cmd/a"},
		"no main package":        {map[string]string{"go.mod": "module example.com/shop\n", "shop.go": "package shop\n"}, "", "has no main package", "--source DIR"},
		"no module":              {map[string]string{"main.py": "print()"}, "", "there is no Go module in", "--dockerfile FILE"},
		"a Dockerfile alone":     {map[string]string{"Dockerfile": "FROM scratch"}, "", "but a Dockerfile, which --dockerfile builds", "--dockerfile FILE"},
		"an app of Node":         {map[string]string{"package.json": "{}"}, "", "; a Node app (package.json) needs a Dockerfile", "--dockerfile FILE"},
		"a package that is none": {map[string]string{"go.mod": "module example.com/shop\n", "a/main.go": aMain}, "./b", "package ./b in ", "--package"},
		"a library":              {map[string]string{"go.mod": "module example.com/shop\n", "a/a.go": "package a\n"}, "./a", "it is no main package", "--package"},
		"a newer Go":             {map[string]string{"go.mod": "module example.com/shop\n\ngo 1.999.0\n", "main.go": aMain}, "", "1.999.0", "the module wants Go 1.999.0: install it"},
		"it does not compile":    {map[string]string{"go.mod": "module example.com/shop\n", "main.go": "package main\n\nfunc main() { x }\n"}, "", "undefined: x", "fix the source"},
		"it is written in C":     {map[string]string{"go.mod": "module example.com/shop\n", "main.go": usesC}, "", "does not compile", "parts in C (example.com/shop), and bookctl builds static programs without: build it in a Dockerfile"},
		"a stale vendor directory": {map[string]string{
			"go.mod": "module example.com/shop\n\ngo 1.26\n\nrequire example.com/x v1.0.0\n", "main.go": "package main\n\nimport _ \"example.com/x\"\n\nfunc main() {}\n", "vendor/modules.txt": "# nothing\n",
		}, "", "inconsistent vendoring", "go mod vendor"},
	} {
		dir := tree(t, c.files)
		p, err := image.FindProgram(t.Context(), dir, c.pkg, "amd64")
		if err == nil {
			_, err = image.Build(t.Context(), image.Source{Dir: p.Dir, Package: p.Package, Name: p.Name(), Arch: "amd64"})
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(hint.Of(err).String(), c.next) {
			t.Errorf("%s: error %v, next %q; want %q and %q", what, err, hint.Of(err), c.want, c.next)
		}
	}
	if _, err := image.FindProgram(t.Context(), filepath.Join(t.TempDir(), "none"), "", "amd64"); !errors.Is(err, image.ErrNoSource) {
		t.Errorf("a directory that is not there: %v", err)
	}
}

// TestAModuleIsBuiltTheSameAnywhere builds what has a vendor directory, twice in two
// places, with the environment of somebody who builds otherwise.
func TestAModuleIsBuiltTheSameAnywhere(t *testing.T) {
	files := map[string]string{
		"go.mod": "module example.com/shop\n\ngo 1.26\n\nrequire example.com/x v1.0.0\n", "main.go": "package main\n\nimport \"example.com/x\"\n\nfunc main() { println(x.X) }\n",
		"vendor/modules.txt": "# example.com/x v1.0.0\n## explicit; go 1.26\nexample.com/x\n", "vendor/example.com/x/x.go": "package x\n\nconst X = 1\n",
	}
	var digests []string
	for _, flags := range []string{"", "-mod=mod -tags=other"} {
		t.Setenv("GOFLAGS", flags)
		dir := tree(t, files)
		p, err := image.FindProgram(t.Context(), dir, "", "arm64")
		if err != nil {
			t.Fatal(err)
		}
		built, err := image.Build(t.Context(), image.Source{Dir: p.Dir, Package: p.Package, Name: p.Name(), Arch: "arm64"})
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, built.Digest)
	}
	if digests[0] != digests[1] {
		t.Errorf("the images are %v", digests)
	}
}
