// Package api is bookapi, the books service.
package api
