// Command anyapp is somebody's own service in this package's tests: it knows nothing
// of bookctl, and reads what others read.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "check" {
		resp, err := http.Get("http://127.0.0.1:" + os.Getenv("PORT") + "/up")
		if err != nil || resp.StatusCode != http.StatusNoContent {
			os.Exit(1)
		}
		return
	}
	http.HandleFunc("/up", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	http.HandleFunc("/args", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Join(os.Args[1:], "|")) })
	http.HandleFunc("/task", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getpid()) })
	var waiting atomic.Int32
	http.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		waiting.Add(1)
		seconds, _ := strconv.Atoi(r.FormValue("seconds"))
		time.Sleep(time.Duration(seconds) * time.Second)
		fmt.Fprint(w, "done")
	})
	http.HandleFunc("/waiting", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, waiting.Load()) })
	http.HandleFunc("/env", func(w http.ResponseWriter, r *http.Request) {
		value, set := os.LookupEnv(r.FormValue("name"))
		if !set {
			w.WriteHeader(http.StatusNotFound)
		}
		fmt.Fprint(w, value)
	})
	http.HandleFunc("/db", func(w http.ResponseWriter, r *http.Request) {
		at := os.Getenv("DATABASE_URL")
		if r.FormValue("by") == "libpq" { // which takes all from PGHOST and its like
			at = ""
		}
		conn, err := pgx.Connect(r.Context(), at)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer conn.Close(r.Context())
		var name, user string
		var secure bool
		if err := conn.QueryRow(r.Context(), "select current_database(), current_user, ssl from pg_stat_ssl where pid = pg_backend_pid()").Scan(&name, &user, &secure); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, name, user, secure)
	})
	server := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT")}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		if err := server.ListenAndServe(); err != http.ErrServerClosed {
			fmt.Println(err)
			os.Exit(1)
		}
	}()
	<-ctx.Done()
	if err := server.Shutdown(context.Background()); err != nil {
		fmt.Println(err)
	}
}
