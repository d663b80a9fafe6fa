// Command bookapi serves the books API, configured by its environment:
//
//	DB_HOST, DB_PORT, DB_NAME, DB_USERNAME, DB_PASSWORD   the database; all required
//	DB_SECRET_ARN    in place of DB_HOST and DB_PORT, of a database that is still being
//	                 made: the secret in AWS Secrets Manager that says both once it is there
//	DB_SSLMODE       verify-full (default), verify-ca, require or disable
//	DB_SSLROOTCERT   PEM file of the database's authorities; default: those of
//	                 Amazon RDS where the image has them, else the system's
//	DB_POOL          most connections to the database, default 10
//	PORT             to listen on, default 8080
//	SHUTDOWN_DRAIN   how long to serve after SIGTERM, default TASK_DRAIN or 5s
//	TASK_DRAIN       how long the load balancer needs to notice that, in seconds
//	TASK_CPU         the container's share of CPU, in units of 1/1024
//	TASK_MEMORY      the container's memory in MiB
//	LOG_LEVEL        debug, info (default), warn or error; warn leaves out the access log
//	OTEL_EXPORTER_OTLP_ENDPOINT and its relatives   where traces go; default: nowhere
//
// With the argument -healthcheck it asks the server of the same environment
// whether it is up, for containers that have no other program to do so.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/bookctl/bookctl/internal/api"
)

// version is set by the linker.
var version = "dev"

func main() {
	os.Exit(run(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

func run(args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	var err error
	switch command := strings.TrimLeft(strings.Join(args, " "), "-"); command {
	case "":
		err = serve(getenv, stderr)
	case "healthcheck":
		err = healthcheck(getenv)
	case "version":
		_, err = fmt.Fprintln(stdout, "bookapi", version)
	default:
		err = fmt.Errorf("unknown argument %q: bookapi takes -healthcheck, -version or nothing", args[0])
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "bookapi:", err) // there is nowhere else to report it
		return 1
	}
	return 0
}

func serve(getenv func(string) string, stderr io.Writer) error {
	c, err := readConfig(getenv)
	if err != nil {
		return err
	}
	tuneRuntime(c, getenv)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		cancel()
		// The second one ends the process at once. Its own handler is needed:
		// the kernel gives the first process of a container no default one.
		<-signals
		_, _ = fmt.Fprintln(stderr, "bookapi: ended at once by a second signal")
		os.Exit(1)
	}()
	out := newLogWriter(stderr)
	defer out.Close()
	server, err := api.New(api.Options{
		Database: c.database,
		Log:      slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: c.level})),
		Drain:    c.drain,
		Version:  version,
		Traces:   c.traces,
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(c.port)))
	if err != nil {
		return fmt.Errorf("listen on PORT: %w", err)
	}
	return server.Serve(ctx, listener)
}

// tuneRuntime sets the limits of Go's runtime to the container's share. Go takes at least 2 threads
// from a CPU quota, however small; with a quarter of a CPU one was measured to
// be faster by a tenth.
func tuneRuntime(c config, getenv func(string) string) {
	if c.cpu > 0 && getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(min(runtime.NumCPU(), (c.cpu+1023)/1024))
	}
	// The server keeps next to nothing, and would collect garbage every 4 MB.
	if getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if c.memory > 0 && getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(c.memory) << 20 * 9 / 10)
	}
}

func healthcheck(getenv func(string) string) error {
	e := &environment{get: getenv}
	port := e.port()
	if len(e.problems) > 0 {
		return fmt.Errorf("environment: %s", e.problems[0])
	}
	client := http.Client{Timeout: 3 * time.Second}
	response, err := client.Get("http://127.0.0.1:" + strconv.Itoa(port) + "/healthz")
	if err != nil {
		return err
	}
	_ = response.Body.Close() // only its status counts
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("/healthz answers %s", response.Status)
	}
	return nil
}
