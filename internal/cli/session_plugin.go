package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision"
)

// pluginName is the name of AWS's session-manager-plugin.
const pluginName = "session-manager-plugin"

// firstPlugin is the first version that reads AWS's answer from the environment. Older
// versions take it as an argument, where every user of this machine could read its token.
// https://docs.aws.amazon.com/systems-manager/latest/userguide/plugin-version-history.html
const firstPlugin = "1.2.536"

// supportedPlugin is the first version that AWS supports, since it signs its request to open
// a session: "Session Manager will soon stop supporting earlier versions".
// https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html
const supportedPlugin = "1.2.764"

// pluginFor finds the plugin, before the first call to AWS. The local cloud needs none.
func pluginFor(ctx context.Context, s streams, g *globals) (string, error) {
	if g.local {
		return "", nil
	}
	install := hint.New("install it: https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html")
	path, err := exec.LookPath(pluginName)
	if err != nil {
		return "", hint.Add(fmt.Errorf("%s is not installed on this machine, and only it can open a session", pluginName), install)
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return "", hint.Add(fmt.Errorf("ask %s for its version: %w", path, err), install)
	}
	have, err := pluginVersion(string(out))
	if err != nil {
		return "", hint.Add(fmt.Errorf("%s says that it is version %q", path, strings.TrimSpace(string(out))), install)
	}
	if older(have, firstPlugin) {
		return "", hint.Add(fmt.Errorf("%s is version %s, too old to be given a session safely", path, strings.TrimSpace(string(out))), install)
	}
	if older(have, supportedPlugin) {
		g.note(s, "%s is version %s: AWS supports %s and newer ones, and may let it open no session", pluginName, strings.TrimSpace(string(out)), supportedPlugin)
	}
	return path, nil
}

func older(have [3]int, than string) bool {
	first, _ := pluginVersion(than)
	return slices.Compare(have[:], first[:]) < 0
}

func pluginVersion(text string) (v [3]int, err error) {
	_, err = fmt.Sscanf(text, "%d.%d.%d", &v[0], &v[1], &v[2])
	return v, err
}

// inPlugin is the command of the plugin for a session, and end is called after it. The plugin
// signs its requests to open the session, and to resume it, with credentials that it is lent. A
// plugin with this change listens for a tunnel where the user's environment says, and not where
// bookctl looks for it: https://github.com/aws/session-manager-plugin/pull/133
func inPlugin(ctx context.Context, g *globals, plugin string, credentials aws.CredentialsProvider, session provision.Session) (cmd *exec.Cmd, end func(), err error) {
	const variable = "AWS_SSM_START_SESSION_RESPONSE"
	lent, end, err := lend(credentials)
	if err != nil {
		return nil, nil, err
	}
	g.unattended.Store(true) // the terminal is the session's
	cmd = exec.CommandContext(ctx, plugin, variable, session.Region, "StartSession", "", session.Request, session.Endpoint)
	cmd.Env = append(append(os.Environ(), variable+"="+session.Response, "SSM_PLUGIN_LOCAL_HOST=localhost"), lent...)
	return cmd, end, nil
}

// tail is the end of what a program has said.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// longestTail is more than the plugin says at the end of a session.
const longestTail = 4096

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-longestTail):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// last is the last line that is not empty.
func (t *tail) last() string {
	text := strings.TrimSpace(t.String())
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}

// failure is how the plugin says that the session ended otherwise than by its command, or
// "". It exits with 0 in any case.
// https://github.com/aws/session-manager-plugin/blob/mainline/src/sessionmanagerplugin/session/session.go
// and HandleChannelClosedMessage in
// https://github.com/aws/session-manager-plugin/blob/mainline/src/datachannel/streaming.go
func (t *tail) failure(session provision.Session) string {
	text := t.String()
	const of = "\nSessionId: "
	if i := strings.LastIndex(text, of+session.ID+" : "); i >= 0 {
		return strings.Join(strings.Fields(text[i+len(of)+len(session.ID)+len(" : "):]), " ")
	}
	line := t.last()
	if strings.HasPrefix(line, "Cannot perform start session: ") || line == "Session: "+session.ID+" timed out." {
		return line
	}
	return ""
}
