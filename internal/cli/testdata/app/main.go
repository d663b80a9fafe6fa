// Command app is a service that is not bookapi: it answers every request but that of /nope
// with 200, and has the commands that people run alongside a service.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	args := os.Args[1:]
	if len(args) == 0 {
		serve()
		return
	}
	switch args[0] {
	case "-healthcheck":
	case "say":
		fmt.Println(strings.Join(args[1:], " "))
	case "env":
		fmt.Println(os.Getenv(args[1]))
	case "exit":
		fmt.Fprintln(os.Stderr, "going to exit")
		code, err := strconv.Atoi(args[1])
		if err != nil {
			panic(err)
		}
		os.Exit(code)
	case "sleep":
		d, err := time.ParseDuration(args[1])
		if err != nil {
			panic(err)
		}
		fmt.Println("sleeping")
		time.Sleep(d)
		fmt.Println("slept")
	case "wait":
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		fmt.Println("waiting")
		<-ctx.Done()
		fmt.Println("stopping")
		os.Exit(3)
	default:
		fmt.Fprintln(os.Stderr, "no such command: "+args[0])
		os.Exit(64)
	}
}

func serve() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	server := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/nope" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintln(w, "ready")
	})}
	go func() {
		<-ctx.Done()
		_ = server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
