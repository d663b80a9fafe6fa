// Package wire decodes AWS's requests into the SDK's input structs and encodes its
// output structs as responses, for the protocols EC2 query, query, JSON 1.1 and REST
// XML (https://smithy.io/2.0/aws/protocols/index.html).
//
// It is one generic codec. Each service has a table of the names in its requests and
// responses (models/*.json.gz). Wiregen generates the tables from AWS's published API
// models, for the operations in operations.txt. To add an operation, add its line
// there and run
//
//	AWS_MODELS=DIR go generate ./internal/localcloud/wire
//
// where DIR contains the models as SERVICE/VERSION/service-2.json(.gz), for example
// botocore's own data directory.
//
// A name that is not in the table is an error, and never ignored: a parameter that the
// local cloud ignored could hide a bug of its caller.
package wire
