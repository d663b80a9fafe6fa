// Command bookapi stands for the real one where a test is not about it.
package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "-healthcheck" {
		return
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "Hello from", os.Getuid())
	})
	fmt.Println(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
	os.Exit(1)
}
