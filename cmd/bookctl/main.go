// Command bookctl takes a small team from nothing to a running,
// database-backed HTTP service on AWS, and back to nothing.
package main

import (
	"os"

	"github.com/bookctl/bookctl/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
