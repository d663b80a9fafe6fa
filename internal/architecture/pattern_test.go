package architecture_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestPatternsCompile compiles each regular expression that the program compiles only
// when it first uses it, and keeps the others out of what is done before main: those
// of bookctl took a third of the time of 'bookctl version'. internal/api is a program
// of its own, which runs for months.
func TestPatternsCompile(t *testing.T) {
	t.Parallel()
	compiled := 0
	eachFile(t, func(path string) bool {
		return !strings.HasSuffix(path, "_test.go") && !strings.HasPrefix(path, "../api/")
	}, func(files *token.FileSet, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || name(call.Fun) != "pattern.New" {
				return true
			}
			text, ok := constant(call.Args[0])
			if !ok {
				t.Errorf("%s: write the whole pattern here, so that this test can compile it", files.Position(call.Pos()))
			} else if _, err := regexp.Compile(text); err != nil {
				t.Errorf("%s: %v", files.Position(call.Pos()), err)
			}
			compiled++
			return true
		})
		for _, d := range file.Decls {
			if v, ok := d.(*ast.GenDecl); ok && v.Tok == token.VAR {
				ast.Inspect(v, func(n ast.Node) bool {
					if _, later := n.(*ast.FuncLit); later {
						return false
					}
					if call, ok := n.(*ast.CallExpr); ok && strings.HasPrefix(name(call.Fun), "regexp.") {
						t.Errorf("%s: use pattern.New, which compiles it when it is first used", files.Position(call.Pos()))
					}
					return true
				})
			}
		}
	})
	if compiled < 100 {
		t.Errorf("found only %d patterns: package pattern and this test have parted", compiled)
	}
}

// eachFile parses the Go files of the program and its tests whose path is in.
func eachFile(t *testing.T, in func(path string) bool, look func(*token.FileSet, *ast.File)) {
	t.Helper()
	for _, root := range []string{"..", "../../cmd"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || !in(path) {
				return err
			}
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			look(files, file)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// name is the name of a function of another package, such as "regexp.MustCompile".
func name(e ast.Expr) string {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	of, ok := s.X.(*ast.Ident)
	if !ok {
		return ""
	}
	return of.Name + "." + s.Sel.Name
}

// constant is the text of literals that are joined.
func constant(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		x, okX := constant(e.X)
		y, okY := constant(e.Y)
		return x + y, okX && okY
	}
	return "", false
}
