package architecture_test

import (
	"go/ast"
	"go/token"
	"strings"
	"testing"
)

// TestClientsOfTestsReadFastResponses holds that every SDK client that a test points at a
// server of this machine has requestbody.Readable, as bookctl's own clients have: the
// response to a call comes so fast here that the SDK closes the connection under it, on a
// busy machine several times a minute.
func TestClientsOfTestsReadFastResponses(t *testing.T) {
	t.Parallel()
	clients := 0
	eachFile(t, func(path string) bool { return strings.HasSuffix(path, "_test.go") }, func(files *token.FileSet, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			config, ok := n.(*ast.CompositeLit)
			if !ok || name(config.Type) != "aws.Config" {
				return true
			}
			local, readable := false, false
			ast.Inspect(config, func(n ast.Node) bool {
				if e, ok := n.(ast.Expr); ok {
					key, _ := e.(*ast.Ident)
					local = local || key != nil && key.Name == "BaseEndpoint"
					readable = readable || name(e) == "requestbody.Readable"
				}
				return true
			})
			if !local {
				return true
			}
			clients++
			if !readable {
				t.Errorf("%s: add requestbody.Readable to the client's APIOptions", files.Position(config.Pos()))
			}
			return true
		})
	})
	if clients < 20 {
		t.Errorf("found only %d clients: the tests and this one have parted", clients)
	}
}
