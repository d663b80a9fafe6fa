// Package browser drives a real Chromium in tests, over WebDriver
// (https://www.w3.org/TR/webdriver2/).
package browser

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Browser is a Chromium with one page.
type Browser struct {
	t       testing.TB
	session string
}

// limit is how long something may take to show.
const limit = time.Minute

// Open starts one that reaches this machine only, until the test ends. Where there is
// none, the test is skipped.
func Open(t testing.TB) *Browser {
	t.Helper()
	if testing.Short() {
		t.Skip("starts Chromium")
	}
	driver, err := exec.LookPath("chromedriver")
	if err != nil {
		t.Skip("chromedriver is not installed: apt-get install chromium-driver")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	cmd := exec.Command(driver, fmt.Sprintf("--port=%d", port))
	cmd.Env = append(os.Environ(), "HOME="+home)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := &Browser{t: t}
	t.Cleanup(func() {
		if b.session != "" {
			if _, err := b.try(http.MethodDelete, "", nil); err != nil {
				t.Error(err)
			}
		}
		_ = cmd.Process.Kill() // it runs
		_ = cmd.Wait()
	})
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	b.Until("the driver answers", func() bool {
		response, err := http.Get(url + "/status")
		if err == nil {
			_ = response.Body.Close()
		}
		return err == nil
	})
	b.session = url
	var made struct{ SessionID string }
	b.do(http.MethodPost, "/session", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{
		"goog:chromeOptions": map[string]any{"args": []string{
			"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run", "--disable-component-update", "--disable-sync",
			"--window-size=1000,1100", "--user-data-dir=" + filepath.Join(home, "data"),
			// Nothing but this machine can be resolved.
			"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--disable-background-networking",
		}},
		"goog:loggingPrefs": map[string]string{"browser": "ALL"},
	}}}, &made)
	b.session = url + "/session/" + made.SessionID
	return b
}

func (b *Browser) try(method, path string, body any) ([]byte, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequest(method, b.session+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // was read
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("WebDriver %s %s: %s %.500s", method, path, response.Status, answer)
	}
	return answer, err
}

// do runs a command, whose value goes into out unless that is nil.
func (b *Browser) do(method, path string, body, out any) {
	b.t.Helper()
	answer, err := b.try(method, path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	if out != nil {
		value := struct{ Value any }{out}
		if err := json.Unmarshal(answer, &value); err != nil {
			b.t.Fatalf("%v: %s", err, answer)
		}
	}
}

// Until waits for a condition that comes about by itself.
func (b *Browser) Until(what string, condition func() bool) {
	b.t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if condition() {
			return
		}
	}
	b.t.Fatalf("not within %s: %s", limit, what)
}

// Go opens a page.
func (b *Browser) Go(url string) {
	b.t.Helper()
	b.do(http.MethodPost, "/url", map[string]string{"url": url}, nil)
}

// find is the element of a CSS selector, once it is there.
func (b *Browser) find(selector string) string {
	b.t.Helper()
	var found []map[string]string
	b.Until("there is "+selector, func() bool {
		b.do(http.MethodPost, "/elements", map[string]string{"using": "css selector", "value": selector}, &found)
		return len(found) > 0
	})
	for _, id := range found[0] {
		return "/element/" + id
	}
	return ""
}

// Find waits until there is an element of a CSS selector.
func (b *Browser) Find(selector string) {
	b.t.Helper()
	b.find(selector)
}

// Click clicks an element.
func (b *Browser) Click(selector string) {
	b.t.Helper()
	b.do(http.MethodPost, b.find(selector)+"/click", struct{}{}, nil)
}

// Fill types a text into a field, in place of what was there.
func (b *Browser) Fill(selector, text string) {
	b.t.Helper()
	element := b.find(selector)
	b.do(http.MethodPost, element+"/clear", struct{}{}, nil)
	b.do(http.MethodPost, element+"/value", map[string]string{"text": text}, nil)
}

// Text is what can be read of an element.
func (b *Browser) Text(selector string) (text string) {
	b.t.Helper()
	b.do(http.MethodGet, b.find(selector)+"/text", nil, &text)
	return text
}

// Run runs a script, a function's body, in the page. What it returns goes into out
// unless that is nil.
func (b *Browser) Run(script string, out any) {
	b.t.Helper()
	b.do(http.MethodPost, "/execute/sync", map[string]any{"script": script, "args": []any{}}, out)
}

// Resize makes the window, as the page sees it, another size.
func (b *Browser) Resize(width, height int) {
	b.t.Helper()
	b.devtools("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false})
}

// Prefer sets a media feature, such as prefers-color-scheme.
func (b *Browser) Prefer(feature, value string) {
	b.t.Helper()
	b.devtools("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": feature, "value": value}}})
}

// Scripts turns the scripts of pages that are opened from now on off, or on.
func (b *Browser) Scripts(on bool) {
	b.t.Helper()
	b.devtools("Emulation.setScriptExecutionDisabled", map[string]any{"value": !on})
}

// devtools runs a command of the browser's own protocol
// (https://chromedevtools.github.io/devtools-protocol/).
func (b *Browser) devtools(command string, params map[string]any) {
	b.t.Helper()
	b.do(http.MethodPost, "/goog/cdp/execute", map[string]any{"cmd": command, "params": params}, nil)
}

// Errors are what the console says is wrong.
func (b *Browser) Errors() (all []string) {
	b.t.Helper()
	var lines []struct{ Level, Message string }
	b.do(http.MethodPost, "/se/log", map[string]string{"type": "browser"}, &lines)
	for _, line := range lines {
		if line.Level == "SEVERE" {
			all = append(all, line.Message)
		}
	}
	return all
}

// Screenshot keeps a picture in the directory that SCREENSHOTS names, if it names one.
func (b *Browser) Screenshot(name string) {
	b.t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	var picture string
	b.do(http.MethodGet, "/screenshot", nil, &picture)
	data, err := base64.StdEncoding.DecodeString(picture)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), data, 0o600); err != nil {
		b.t.Fatal(err)
	}
}
