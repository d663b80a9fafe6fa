package localcloud

import (
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/localcloud/container"
	"github.com/bookctl/bookctl/internal/localcloud/iamcheck"
	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/localcloud/process"
)

// ErrInUse is wrapped by the error of Open when another cloud has the state
// directory.
var ErrInUse = errors.New("another local cloud uses this state directory")

// Open brings the cloud of cfg.StateDir up, or a new one: it serves when Open
// returns, and what ran before is on its way back. ctx bounds the opening only;
// Close ends the cloud.
func Open(ctx context.Context, cfg Config) (_ *Cloud, err error) {
	cfg.Account = cmp.Or(cfg.Account, "000000000000")
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	c := &Cloud{cfg: cfg}
	c.admin = c.adminHandler()
	defer func() {
		if err != nil {
			if c.kernel != nil {
				c.kernel.Stop()
			}
			c.unlock()
		}
	}()
	// Databases and tasks run as other users, who must get through to their own
	// directories below; what is secret is closed to them file by file.
	if err := os.MkdirAll(cfg.StateDir, 0o711); err != nil {
		return nil, fmt.Errorf("make the local cloud's state directory: %w", err)
	}
	if err := c.lockState(); err != nil {
		return nil, err
	}
	if c.storage, err = openFileServices(cfg, registryRules{c}); err != nil {
		return nil, err
	}
	if cfg.Runtimes != nil {
		c.runtimes = cfg.Runtimes(c.storage.registry.Images)
	} else if c.runtimes, err = openRuntimes(ctx, cfg, c.reachableAddresses); err != nil {
		return nil, err
	}
	stateCipher, err := openStateKey(filepath.Join(cfg.StateDir, "secret.key"))
	if err != nil {
		return nil, err
	}
	c.kernel = kernel.New(ctx, cfg.kernel(stateCipher))
	c.kernel.SetFaults(cfg.Faults)
	c.makeServices(c.kernel)
	if err := c.kernel.Load(); err != nil {
		return nil, err
	}
	if err := c.kernel.Serve(c.apis()...); err != nil {
		return nil, err
	}
	c.kernel.SetAuthorization(c.tasks, roleSessions{c}, func(t *kernel.Tx) iamcheck.Account { return accountState{t, c} })
	serve, port, err := c.listen()
	if err != nil {
		return nil, err
	}
	c.kernel.SetEndpoint("http://"+net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), port, func(t *kernel.Tx) {
		if !cfg.Faults.NoServiceLinkedRoles {
			c.roles.SeedLinkedRoles(t)
		}
	})
	c.network.Start()
	serve()
	// Tasks come last: they pull from the registry and talk to the databases.
	c.databases.Start()
	c.balancers.Start()
	c.tasks.Start()
	c.scaling.Start()
	c.alarms.Start()
	return c, nil
}

// listen binds the endpoint to the port that clients already know. What it returns
// begins to serve.
func (c *Cloud) listen() (serve func(), port int, err error) {
	port = cmp.Or(c.cfg.Port, c.kernel.Port())
	if c.cfg.Runtimes != nil {
		return func() {}, cmp.Or(port, 4566), nil
	}
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, 0, hint.With(fmt.Errorf("the local cloud's port %d is in use by another program: %w", port, err), "end that program, or choose another port: %s", hint.Command("local", "start", "--port", "N"))
	case err != nil:
		return nil, 0, fmt.Errorf("listen for the local cloud: %w", err)
	}
	c.server = &http.Server{Handler: c, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(c.kernel.Log().Handler(), slog.LevelWarn)}
	serve = func() {
		c.kernel.Go(func(context.Context) {
			if err := c.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				c.kernel.Log().Error("the endpoint failed", "error", err)
			}
		})
	}
	return serve, l.Addr().(*net.TCPAddr).Port, nil
}

// TrustBundle is a PEM file with the authority of all certificates here.
func (c *Cloud) TrustBundle() string { return c.storage.authority.BundleFile() }

// Close ends everything that runs and keeps the state for the next Open. ctx
// bounds how long things may take to end in good order.
func (c *Cloud) Close(ctx context.Context) error {
	err := c.closeEndpoint(ctx)
	c.kernel.Stop()
	c.tasks.Close(ctx)
	c.balancers.Close()
	c.kernel.Drain()
	err = errors.Join(err, c.runtimes.Engine.Close(ctx))
	served := false
	c.kernel.Update(func(t *kernel.Tx) { served = c.tasks.HasServices(t) }) // saves the last events' times too
	if !served {                                                            // what its tasks would run is pulled again for the next
		err = errors.Join(err, c.runtimes.Containers.Clear(ctx))
	}
	err = errors.Join(err, c.runtimes.Containers.Close(ctx))
	c.unlock()
	if err != nil {
		return fmt.Errorf("close the local cloud: %w", err)
	}
	return nil
}

// closeEndpoint ends the endpoint.
func (c *Cloud) closeEndpoint(ctx context.Context) error {
	if c.server == nil {
		return nil
	}
	grace, stop := context.WithTimeout(ctx, 2*time.Second)
	defer stop()
	err := c.server.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = c.server.Close() // a call under way is cut off, as by a crash
	}
	return err
}

// StateDirs are the directories that Purge would remove: the state's, that which lies
// apart from it for users who can't enter it (see process.DataDir), and those of
// clouds whose own state directory somebody has removed, which are of no use
// without it.
func StateDirs(stateDir string) ([]string, error) {
	apart, err := process.SystemDataDir(stateDir)
	if err != nil {
		return nil, err
	}
	orphans, err := process.OrphanedDataDirs()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, dir := range append([]string{stateDir, apart}, orphans...) {
		if _, err := os.Stat(dir); err == nil && !slices.Contains(out, dir) {
			out = append(out, dir)
		}
	}
	return out, nil
}

// Purge removes everything of a closed cloud, and all else that StateDirs names. A
// cloud that is open is refused with ErrInUse.
func Purge(stateDir string) error {
	dirs, err := StateDirs(stateDir)
	if err != nil {
		return err
	}
	if _, err := os.Stat(stateDir); err == nil {
		c := &Cloud{cfg: Config{StateDir: stateDir}}
		if err := c.lockState(); err != nil {
			return err
		}
		defer c.unlock()
	}
	if err := container.Purge(context.Background(), stateDir); err != nil {
		return fmt.Errorf("remove the local cloud's containers: %w", err)
	}
	var errs []error
	for _, dir := range dirs {
		errs = append(errs, os.RemoveAll(dir))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove the local cloud's state: %w", err)
	}
	return nil
}

// lockState makes sure of being the only cloud of the state directory. The
// kernel gives the lock up with the process, however that ends.
func (c *Cloud) lockState() error {
	f, err := os.OpenFile(filepath.Join(c.cfg.StateDir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("lock the local cloud's state: %w", err)
	}
	locked, err := process.Lock(f)
	if err == nil && !locked {
		err = ErrInUse
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return fmt.Errorf("lock %s: %w", c.cfg.StateDir, err)
	}
	c.lock = f
	return nil
}

func (c *Cloud) unlock() {
	if c.lock != nil {
		process.Unlock(c.lock)
		_ = c.lock.Close()
	}
}

// openStateKey loads the key that the state's secrets are encrypted with, or makes
// one that only its owner can read.
func openStateKey(path string) (cipher.AEAD, error) {
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key = make([]byte, 32)
		_, _ = rand.Read(key) // never fails: https://pkg.go.dev/crypto/rand#Read
		err = os.WriteFile(path, key, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("open the key of the local cloud's secrets: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("the key of the local cloud's secrets in %s is damaged: %w", path, err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}
