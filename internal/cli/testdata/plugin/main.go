// Command plugin stands in for AWS's session-manager-plugin: it takes the same arguments,
// says the same lines, ends with 0 whatever happens, and ends a session of a shell at the
// end of its standard input.
// https://github.com/aws/session-manager-plugin/tree/mainline/src/sessionmanagerplugin/session
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

type request struct {
	DocumentName string
	Parameters   map[string][]string
}

var answer struct{ SessionID, TokenValue, StreamURL string }

func main() {
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		fmt.Println(cmp.Or(os.Getenv("PLUGIN_VERSION"), "1.2.896.0"))
		return
	}
	var in request
	if err := errors.Join(json.Unmarshal([]byte(os.Getenv(os.Args[1])), &answer), json.Unmarshal([]byte(os.Args[5]), &in)); err != nil {
		fmt.Println("Cannot perform start session:", err)
		return
	}
	fmt.Printf("\nStarting session with SessionId: %s\n", answer.SessionID)
	if err := credentials(); err != nil { // with which the real one signs, or else waits for ever
		fmt.Println("Cannot perform start session:", err)
		return
	}
	if in.DocumentName != "" {
		forward(in.Parameters)
		return
	}
	typed := make(chan string, 1)
	go func() {
		all := bufio.NewReader(os.Stdin)
		text, err := all.ReadString(4) // Ctrl-D on the terminal of the command
		if err == nil {
			typed <- strings.TrimRight(text, "\x04")
			text, err = all.ReadString(4)
		}
		if err != nil {
			fmt.Println("Cannot perform start session:", err)
			os.Exit(0)
		}
	}()
	console, err := url.Parse(answer.StreamURL)
	if err != nil {
		panic(err)
	}
	switch command := console.Query().Get("command"); command {
	case "cat":
		fmt.Print(<-typed)
	case "slow":
		time.Sleep(time.Second)
		fmt.Println("done")
	case "broken":
		fmt.Println("Cannot perform start session: unable to determine SessionType")
		return
	default:
		end(fmt.Sprintf("SessionId: %s : Unable to start command: Failed to start pty: fork/exec %s: no such file or directory\n", answer.SessionID, command))
	}
	end("")
}

// credentials finds credentials where version 1 of the SDK for Go does, which knows no
// session of 'aws login' and asks for no code of a device.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
func credentials() error {
	if os.Getenv("AWS_ACCESS_KEY_ID") != "" && os.Getenv("AWS_SECRET_ACCESS_KEY") != "" {
		return nil
	}
	at := os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
	if at == "" {
		return errors.New("NoCredentialProviders: no valid providers in chain")
	}
	ask := func(token string) (int, map[string]any, error) {
		request, err := http.NewRequest(http.MethodGet, at, http.NoBody)
		if err != nil {
			return 0, nil, err
		}
		request.Header.Set("Authorization", token)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0, nil, err
		}
		defer response.Body.Close()
		got := map[string]any{}
		err = json.NewDecoder(response.Body).Decode(&got)
		return response.StatusCode, got, err
	}
	if code, _, _ := ask("somebody else"); code != http.StatusForbidden {
		return fmt.Errorf("whoever asks %s is answered %d", at, code)
	}
	code, got, err := ask(os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN"))
	if err != nil || code != http.StatusOK {
		return fmt.Errorf("answer %d: %w", code, err)
	}
	if got["AccessKeyId"] == "" || got["SecretAccessKey"] == "" || got["Token"] != "" && got["Expiration"] == nil { // those of a session expire
		return errors.New("an answer without all of the credentials")
	}
	return nil
}

// end ends a session as the service asks the plugin to.
func end(why string) {
	if why == "" {
		why = fmt.Sprintf("Exiting session with sessionId: %s.", answer.SessionID)
	}
	fmt.Printf("\n\n%s\n\n", why)
	os.Exit(0)
}

// idle is how the service ends a session that was not used.
func idle() string {
	return fmt.Sprintf("SessionId: %s : The session was terminated: it was idle for 20 minutes", answer.SessionID)
}

// forward is a session of a port. The file "tunnel" in the home says what becomes of it.
func forward(to map[string][]string) {
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	order := func() string {
		text, _ := os.ReadFile(filepath.Join(os.Getenv("HOME"), "tunnel")) // none: it goes on
		return strings.TrimSpace(string(text))
	}
	if order() == "denied" {
		return // it ended before the handshake, of which the plugin says nothing
	}
	host := os.Getenv("SSM_PLUGIN_LOCAL_HOST") // https://github.com/aws/session-manager-plugin/pull/133
	if host == "" {
		host = "localhost"
	}
	listener, err := net.Listen("tcp", host+":"+to["localPortNumber"][0])
	if err != nil {
		fmt.Println("Cannot perform start session:", err)
		return
	}
	fmt.Printf("Port %s opened for sessionId %s.\nWaiting for connections...\n", to["localPortNumber"][0], answer.SessionID)
	go func() {
		for n := 1; ; n++ {
			near, err := listener.Accept()
			if err != nil {
				panic(err)
			}
			switch {
			case order() == "end in use" && n > 1: // the first connection is to see whether it is open
				end(idle())
			case order() == "unreachable":
				fmt.Print("\nConnection to destination port failed, check SSM Agent logs.\n")
				_ = near.Close()
				continue
			}
			far, err := net.Dial("tcp", net.JoinHostPort(to["host"][0], to["portNumber"][0]))
			if err != nil {
				fmt.Print("\nConnection to destination port failed, check SSM Agent logs.\n")
				continue
			}
			go func() { _, _ = io.Copy(far, near); _ = far.Close() }()
			go func() { _, _ = io.Copy(near, far); _ = near.Close() }()
		}
	}()
	for {
		select {
		case <-interrupted:
			fmt.Println("Terminate signal received, exiting.")
			end("")
		case <-time.After(50 * time.Millisecond):
			if order() == "end" {
				end(idle())
			}
		}
	}
}
