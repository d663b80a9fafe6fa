package kernel

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/localcloud/atomicfile"
	"github.com/bookctl/bookctl/internal/pattern"
)

// StateFile returns the path of the file with the state.
func StateFile(stateDir string) string { return filepath.Join(stateDir, "state.json") }

// savedEndpoint is the port of a cloud's endpoint and its region. The state file contains them
// next to the stores.
type savedEndpoint struct {
	Port   int    `json:"port"`
	Region string `json:"region,omitempty"`
}

// Load reads the saved state into the stores, and sets the region. It is no error if
// there is no saved state yet.
func (k *Kernel) Load() error {
	if err := k.read(); err != nil {
		return err
	}
	had := k.saved.Region
	if had == "" && k.saved.Port != 0 {
		had = "us-east-1" // the state is of a version that had no other region
	}
	if k.region != "" && had != "" && k.region != had {
		return hint.With(fmt.Errorf("the local cloud in %s is region %s, and can't be %s", k.stateDir, had, k.region),
			"leave --region out, or remove all that is in it: %s; BOOKCTL_LOCAL_DIR names a directory for another one", hint.Command("local", "stop", "--purge"))
	}
	k.region = cmp.Or(k.region, had, "us-east-1")
	if !regionName.MatchString(k.region) {
		return hint.With(fmt.Errorf("region %q is no name of a region", k.region), "name one such as eu-central-1")
	}
	return nil
}

var regionName = pattern.New(`^[a-z]{2,4}(-[a-z]+)+-[0-9]+$`)

func (k *Kernel) read() error {
	file := StateFile(k.stateDir)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the local cloud's state: %w", err)
	}
	failed := func(err error) error {
		return hint.With(fmt.Errorf("read the local cloud's state %s: %w", file, err), "%s removes it", hint.Command("local", "stop", "--purge"))
	}
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(text, &parts); err != nil {
		return failed(err)
	}
	if err := json.Unmarshal(text, &k.saved); err != nil {
		return failed(err)
	}
	delete(parts, "port")
	delete(parts, "region")
	for name, part := range parts {
		s, known := k.stores[name]
		if !known {
			return failed(fmt.Errorf("it is of another version of bookctl: this one has no service %q", name))
		}
		if err := json.Unmarshal(part, s.pointer()); err != nil {
			return failed(fmt.Errorf("the state of %s: %w", name, err))
		}
	}
	return nil
}

// save writes the state. The lock must be held. If saving fails, the cloud continues:
// its responses are still correct while it runs.
func (k *Kernel) save() {
	if k.cfg.Ephemeral {
		return
	}
	parts := map[string]any{"port": k.saved.Port}
	if k.saved.Region != "" {
		parts["region"] = k.saved.Region
	}
	for name, s := range k.stores {
		parts[name] = s.pointer()
	}
	text, err := json.Marshal(parts)
	if err == nil {
		err = atomicfile.Write(StateFile(k.stateDir), text, 0o600)
	}
	k.saveFailed = err != nil
	if err != nil {
		k.log.Error("the state could not be saved", "error", err)
	}
}

// Port is the port in the saved state, or 0 for a new state.
func (k *Kernel) Port() int { return k.saved.Port }

// SetEndpoint sets the endpoint. It must be called once, before the first call. If the
// state is new, it calls seed, which may be nil, to create what every account has.
func (k *Kernel) SetEndpoint(endpoint string, port int, seed func(*Tx)) {
	k.endpoint = endpoint
	k.Update(func(tx *Tx) {
		if k.saved.Port == 0 && seed != nil {
			seed(tx)
		}
		k.saved = savedEndpoint{Port: port, Region: k.region}
	})
}
