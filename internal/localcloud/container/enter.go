package container

import (
	"fmt"
	"net/url"
	"strings"
)

// consoleScheme begins the addresses of consoles.
const consoleScheme = "engine"

// Console is an address by which Enter finds the container.
func (c *Container) Console() string {
	u := url.URL{Scheme: consoleScheme, Host: c.engine.place.kind, Path: "/" + c.id}
	if socket := c.engine.place.socket; socket != "" {
		u.RawQuery = url.Values{"socket": {socket}}.Encode()
	}
	return u.String()
}

// Enter is the engine's command that runs another one, which is to be appended, in
// the container of a console; with a terminal if there is one.
func Enter(console string, terminal bool) ([]string, error) {
	u, err := url.Parse(console)
	if err != nil || u.Scheme != consoleScheme {
		return nil, fmt.Errorf("%q is not the address of a container", console)
	}
	command := []string{u.Host}
	if socket := u.Query().Get("socket"); socket != "" {
		option := map[string]string{Docker: "--host", Podman: "--url"}[u.Host]
		command = append(command, option, "unix://"+socket)
	}
	command = append(command, "exec", "--interactive")
	if terminal {
		command = append(command, "--tty")
	}
	return append(command, strings.TrimPrefix(u.Path, "/")), nil
}
