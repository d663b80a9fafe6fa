package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAComposeFileIsOutOfScopeAndWhatWouldBeTakenOfItIsSaid(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.must("local", "start")
	before := s.inventory()
	dir := t.TempDir()
	file := filepath.Join(dir, "docker-compose.yml")
	if err := os.WriteFile(file, []byte(`services:
  web:
    build: {context: ./web, dockerfile: deploy/Dockerfile}
    ports: ["127.0.0.1:8000:3000/tcp"]
    user: "1000"
    environment:
      SESSION_KEY: hunter2
      LEVEL: debug
    healthcheck:
      test: ["CMD", "curl", "-f", "http://localhost:3000/up"]
  worker:
    image: ghcr.io/example/worker:1
    command: ["run", "jobs"]
    environment: [QUEUE=default]
  db:
    image: postgres:17-alpine
`), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"up", "--local"}, {"plan", "--local"}, {"init"}, {"up", "--local", "--source", "docker-compose.yml"}, {"init", "--source", "docker-compose.yml"}, {"up", "--local", "--source", "."}} {
		r := s.in(dir, args...)
		r.says(t, 1, "docker-compose.yml is of 3 containers (web, worker, db): bookctl deploys one container and its database",
			"of web it would take --dockerfile web/deploy/Dockerfile --source web --container-port 3000 --user 1000 --health-command ",
			`\"curl\",\"-f\",\"http://localhost:3000/up\"`, "environment, by --env or bookctl secret: ", "SESSION_KEY, LEVEL",
			"of worker it would take --image ghcr.io/example/worker:1 --command ", "QUEUE", "db becomes the stack's database", "next: deploy one of them, as by 'bookctl up ")
		if strings.Contains(r.err, "hunter2") {
			t.Errorf("%v shows a value:\n%s", args, r.err)
		}
	}
	if after := s.inventory(); strings.Join(before, "\n") != strings.Join(after, "\n") {
		t.Errorf("refused, it left %v", after)
	}
	if err := os.WriteFile(file, []byte("services: [\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.in(dir, "init").says(t, 1, "docker-compose.yml: line ")
}
