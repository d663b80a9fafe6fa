// Command app is the program in the images of this package's tests.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	port := os.Getenv("PORT")
	if len(os.Args) == 2 && os.Args[1] == "health" {
		resp, err := http.Get("http://127.0.0.1:" + port + "/healthz")
		if err != nil || resp.StatusCode != http.StatusOK {
			os.Exit(1)
		}
		return
	}
	if len(os.Args) == 2 && os.Args[1] == "fail" {
		os.Exit(1)
	}
	fmt.Println("starting", os.Getenv("VERSION"))
	switch os.Getenv("MODE") {
	case "crash":
		fmt.Println("no database")
		os.Exit(3)
	case "once":
		fmt.Println("done", len(os.Getenv("PASSWORD")))
		return
	}
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if os.Getenv("MODE") == "sick" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("/exit", func(_ http.ResponseWriter, r *http.Request) {
		code, err := strconv.Atoi(r.FormValue("code"))
		if err != nil {
			code = 1
		}
		os.Exit(code)
	})
	http.HandleFunc("/burn", func(_ http.ResponseWriter, r *http.Request) {
		for start := time.Now(); time.Since(start) < 100*time.Millisecond && r.Context().Err() == nil; {
		}
	})
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		if os.Getenv("MODE") == "broken" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		fmt.Fprint(w, os.Getenv("VERSION"))
	})
	server := &http.Server{Addr: "127.0.0.1:" + port}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		if err := server.ListenAndServe(); err != http.ErrServerClosed {
			fmt.Println(err)
			os.Exit(1)
		}
	}()
	<-ctx.Done()
	if os.Getenv("MODE") == "linger" {
		time.Sleep(2 * time.Second)
	}
	if err := server.Shutdown(context.Background()); err != nil {
		fmt.Println(err)
	}
	fmt.Println("stopped in good order")
}
