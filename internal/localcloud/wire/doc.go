// Package wire turns AWS's requests into the SDK's input structs and its output
// structs into answers, for the protocols EC2 query, query, JSON 1.1 and REST
// XML (https://smithy.io/2.0/aws/protocols/index.html).
//
// It is one generic codec over a table of wire names per service
// (models/*.json), which wiregen trims from AWS's published API models to the
// operations in operations.txt. To add an operation, add its line there and run
//
//	AWS_MODELS=DIR go generate ./internal/localcloud/wire
//
// where DIR holds the models as botocore has them, SERVICE/VERSION/service-2.json
// (.gz), for instance botocore's own data directory.
//
// What the table does not know is refused, never ignored: a parameter that the
// local cloud would drop silently could hide a bug of its caller.
package wire
