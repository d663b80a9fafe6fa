// Package localcloud is a small AWS on the loopback interface: an http.Handler
// that speaks the AWS wire protocols, with real things behind them. An RDS
// instance is a PostgreSQL process, a Fargate task is a process of the pushed
// image, a load balancer is a reverse proxy with health checks, ECR is an OCI
// registry.
//
// Each service is one file, named like its counterpart in package provision
// where there is one. Its methods take and return the SDK's own input and
// output structs; package wire turns bytes into them and back from a table of
// wire names made of AWS's published API models. Adding an operation is one
// method and one line in the service's operations, and its name in the
// generator's list (wire/operations.txt).
//
// A request passes, in serve.go: the Host (loopback names only), the credential
// scope of its signature (which service, our region?), the faults in force
// (faults.go), the decoder, the operation, the encoder. Open brings a cloud up
// and Close ends it; Run, Running and Stop are a cloud in the background.
//
// How it is locked: every operation runs with Cloud.mu held, so it is atomic
// and must not block. What takes time is started with spawn and changes the
// state through update, which takes the lock. State is saved after each write.
package localcloud
