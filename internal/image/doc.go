// Package image makes the container image of bookapi from its source, without
// Docker, and pushes it: a static program on an empty base with the certificates
// that it needs. The same source, Go release and bookctl give the same digest.
package image
