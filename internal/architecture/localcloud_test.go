package architecture_test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestServicesOfTheLocalCloudAreApart keeps each service's state its own: what a
// service needs of another is an interface that it declares, and package
// localcloud alone knows who is behind it.
func TestServicesOfTheLocalCloudAreApart(t *testing.T) {
	t.Parallel()
	const services = module + "internal/localcloud/service/"
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Deps \" \"}}", services+"...").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		seen++
		for _, dep := range fields[1:] {
			if strings.HasPrefix(dep, services) && dep != fields[0] || dep == module+"internal/localcloud" {
				t.Errorf("%s imports %s: declare an interface of what is needed, and pass it in localcloud/wiring.go", fields[0], dep)
			}
		}
	}
	if seen < 14 {
		t.Errorf("there are only %d packages of services", seen)
	}
}
