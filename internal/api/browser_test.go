package api_test

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
	"strings"
	"testing"
)

// browser is a real Chromium, driven over WebDriver
// (https://www.w3.org/TR/webdriver2/).
type browser struct {
	t       *testing.T
	session string
}

// openBrowser starts one that reaches this machine only.
func openBrowser(t *testing.T) *browser {
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
	b := &browser{t: t}
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
	eventually(t, "driving", func() bool {
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
			"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1000,1100", "--user-data-dir=" + filepath.Join(home, "data"),
			// Nothing but this machine can be resolved.
			"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--disable-background-networking",
		}},
		"goog:loggingPrefs": map[string]string{"browser": "ALL"},
	}}}, &made)
	b.session = url + "/session/" + made.SessionID
	return b
}

func (b *browser) try(method, path string, body any) ([]byte, error) {
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
func (b *browser) do(method, path string, body, out any) {
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

func (b *browser) open(url string) {
	b.t.Helper()
	b.do(http.MethodPost, "/url", map[string]string{"url": url}, nil)
}

// find is the element of a CSS selector, once it is there.
func (b *browser) find(selector string) string {
	b.t.Helper()
	var found []map[string]string
	eventually(b.t, "showing "+selector, func() bool {
		b.do(http.MethodPost, "/elements", map[string]string{"using": "css selector", "value": selector}, &found)
		return len(found) > 0
	})
	for _, id := range found[0] {
		return "/element/" + id
	}
	return ""
}

func (b *browser) click(selector string) {
	b.t.Helper()
	b.do(http.MethodPost, b.find(selector)+"/click", struct{}{}, nil)
}

func (b *browser) fill(selector, text string) {
	b.t.Helper()
	element := b.find(selector)
	b.do(http.MethodPost, element+"/clear", struct{}{}, nil)
	b.do(http.MethodPost, element+"/value", map[string]string{"text": text}, nil)
}

func (b *browser) text(selector string) (text string) {
	b.t.Helper()
	b.do(http.MethodGet, b.find(selector)+"/text", nil, &text)
	return text
}

// errors are what the console says is wrong.
func (b *browser) errors() (all []string) {
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

// screenshot keeps a picture, where the environment asks for it.
func (b *browser) screenshot(name string) {
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

func TestTheDocsPageTriesOutTheAPIInABrowserWithoutInternet(t *testing.T) {
	t.Parallel()
	b := openBrowser(t)
	s := serve(t, newDatabase(t))
	b.open(s.url + "/docs")
	b.screenshot("docs")
	b.click("#create-book summary")
	b.fill("#create-book-body", `{"name":"Tried <b>out</b>","author":"a browser"}`)
	b.click("#form-create-book button")
	if got := b.text("#result-create-book h3"); !strings.HasPrefix(got, "201") {
		t.Fatalf("the answer is %q", b.text("#result-create-book"))
	}
	b.screenshot("docs-created")
	stored := listed(t, s, "author=a+browser")
	if len(stored) != 1 || stored[0].Name != "Tried <b>out</b>" {
		t.Fatalf("stored: %+v", stored)
	}

	b.click("#get-book-by-name summary")
	b.fill("#get-book-by-name-name", "Tried <b>out</b>")
	b.click("#form-get-book-by-name button")
	if got := b.text("#result-get-book-by-name .answer"); !strings.Contains(got, `"author": "a browser"`) {
		t.Errorf("the book is shown as %s", got)
	}
	b.click("#change-book summary")
	b.fill("#change-book-id", fmt.Sprint(stored[0].ID))
	b.fill("#change-book-If-Match", "*")
	b.fill("#change-book-body", `{"author":"someone else"}`)
	b.click("#form-change-book button")
	if got := b.text("#result-change-book h3"); !strings.HasPrefix(got, "200") {
		t.Errorf("the answer is %q", b.text("#result-change-book"))
	}
	if wrong := b.errors(); len(wrong) > 0 {
		t.Errorf("the console says: %v", wrong)
	}
}

func TestTheHomePageAddsABookInABrowser(t *testing.T) {
	t.Parallel()
	b := openBrowser(t)
	s := serve(t, newDatabase(t))
	b.open(s.url)
	b.fill("#name", "A Browser's Book")
	b.fill("#author", "Me & <you>")
	b.click("form button")
	if got := b.text(".books li"); got != "A Browser's Book by Me & <you>" {
		t.Errorf("the page lists %q", got)
	}
	b.screenshot("home")
	b.click("a[href='/docs']")
	b.find("#create-book")
	if wrong := b.errors(); len(wrong) > 0 {
		t.Errorf("the console says: %v", wrong)
	}
}
