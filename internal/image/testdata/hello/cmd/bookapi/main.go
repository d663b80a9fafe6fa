// Command bookapi stands for the real one where a test is not about it. It has
// no HTTP package, which takes long to compile.
package main

import (
	"fmt"
	"net"
	"os"
)

var version = "none"

func main() {
	if len(os.Args) == 2 && os.Args[1] == "-healthcheck" {
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		_, _ = conn.Read(make([]byte, 4096)) // whatever is asked
		_, _ = fmt.Fprintf(conn, "HTTP/1.0 200 OK\r\n\r\nHello from %d, version %s\n", os.Getuid(), version)
		_ = conn.Close()
	}
}
