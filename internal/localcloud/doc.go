// Package localcloud is a small AWS on the loopback interface: an http.Handler
// that speaks the AWS wire protocols, with real things behind them. An RDS
// instance is a PostgreSQL process, a Fargate task is a container or a process of
// the pushed image, a load balancer is a reverse proxy with health checks, ECR is an OCI
// registry.
//
// Package kernel has what all services stand on: the state and its transactions,
// faults, latencies, and the way of a request to its operation. Each service is a
// package below service/. Its operations take and return the SDK's own input and
// output structs; package wire turns bytes into them and back from a table of
// wire names made of AWS's published API models. Adding an operation is one
// method and one line in the service's API, and its name in the generator's list
// (wire/operations.txt).
//
// No service imports another one, nor what runs behind it: it declares by small
// interfaces what it needs, and wiring.go passes it. What runs behind services is
// in postgres, task, container, balancer, registry and authority; network has the values
// that services share about their networks.
//
// Open brings a cloud up and Close ends it; Run, Running and Stop are a cloud in
// the background. ServeHTTP passes requests on to the kernel and the registry.
package localcloud
