package localcloud_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/localcloud/container"
)

// daemonDir, when set, makes the test program a cloud in the background.
const daemonDir = "BOOKCTL_TEST_DAEMON_DIR"

// daemonEngine is its engine.
const daemonEngine = "BOOKCTL_TEST_DAEMON_ENGINE"

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == relayWord {
		if err := container.Relay(os.Args[2], os.Args[3]); err != nil {
			println(err.Error())
			os.Exit(1)
		}
		return
	}
	if dir := os.Getenv(daemonDir); dir != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if err := localcloud.Run(ctx, localcloud.Config{StateDir: dir, Version: "test", Engine: os.Getenv(daemonEngine), Relay: []string{os.Args[0], relayWord}}, nil); err != nil {
			println(err.Error())
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func startDaemon(t *testing.T, dir string, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(append(os.Environ(), daemonDir+"="+dir), env...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may be gone
		_ = cmd.Wait()         // and waited for
	})
	return cmd
}

func waitRunning(t *testing.T, dir string) localcloud.Info {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		info, running, err := localcloud.Running(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if running {
			return info
		}
	}
	t.Fatal("the cloud did not come up in a minute")
	return localcloud.Info{}
}

func TestACloudInTheBackgroundIsFoundAndStopped(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(stateDir(t), "state")
	if _, running, err := localcloud.Running(t.Context(), dir); running || err != nil {
		t.Fatalf("there is a cloud before there is one: %t, %v", running, err)
	}
	cmd := startDaemon(t, dir)
	info := waitRunning(t, dir)
	if info.PID != cmd.Process.Pid || info.Version != "test" || info.Region != "us-east-1" {
		t.Errorf("it says of itself %+v; its process is %d", info, cmd.Process.Pid)
	}
	for _, name := range []string{"running.json", "state.json", "secret.key"} {
		file, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if file.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", name, file.Mode().Perm())
		}
	}
	stopped, err := localcloud.Stop(t.Context(), dir)
	if err != nil || !stopped {
		t.Fatalf("stop: %t, %v", stopped, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "running.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its info file is still there: %v", err)
	}
	if stopped, err := localcloud.Stop(t.Context(), dir); err != nil || stopped {
		t.Errorf("a second stop: %t, %v", stopped, err)
	}
}

func TestAKilledCloudIsNotFoundAndCanRestart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(stateDir(t), "state")
	cmd := startDaemon(t, dir)
	before := waitRunning(t, dir)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if info, running, err := localcloud.Running(t.Context(), dir); running || err != nil {
		t.Fatalf("it is found dead: %+v, %v", info, err)
	}
	again := startDaemon(t, dir)
	after := waitRunning(t, dir)
	if after.Endpoint != before.Endpoint || after.PID != again.Process.Pid {
		t.Errorf("it was %+v and is %+v", before, after)
	}
	if _, err := localcloud.Stop(t.Context(), dir); err != nil {
		t.Error(err)
	}
}
