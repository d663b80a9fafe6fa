package rds

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// defaultPort is PostgreSQL's, which an instance has unless it was given another.
const defaultPort = 5432

// locate gives a new instance an address of its own, as on AWS, so that several can
// have the same port. Linux has a whole net of loopback addresses; elsewhere
// there is one, and the instance gets any free port of it.
func (db *instance) locate(port *int32) {
	if runtime.GOOS != "linux" {
		return
	}
	part := func() int { return 1 + rand.IntN(253) }              //nolint:gosec // an address and no secret
	db.Host = fmt.Sprintf("127.%d.%d.%d", part(), part(), part()) // never 127.0.x.y, where others listen
	db.Port = cmp.Or(int(aws.ToInt32(port)), defaultPort)
}

// host is what the instance's endpoint says, and listens where its server listens.
func (db *instance) host() string { return cmp.Or(db.Host, "localhost") }

func (db *instance) listens() string { return cmp.Or(db.Host, "127.0.0.1") }

// Endpoints are where the databases are reached by a program that has a network of
// its own, and where they listen on this machine. A database whose port was taken
// here by another program, and so has another one, is found on its own port too:
// many programs are given an address only.
func (s *Service) Endpoints() map[string]string {
	out := map[string]string{}
	s.view(func(a tx) {
		for _, db := range a.state().Instances {
			if db.Port == 0 {
				continue
			}
			real := net.JoinHostPort(db.listens(), strconv.Itoa(db.Port))
			out[real] = real
			if usual := net.JoinHostPort(db.listens(), strconv.Itoa(defaultPort)); out[usual] == "" {
				out[usual] = real
			}
		}
	})
	return out
}
