// Package postgres runs real PostgreSQL servers: one per database instance of
// the local cloud, with snapshots.
//
// As on RDS, the superuser is rdsadmin, which the customer can't become, and the
// master user is an ordinary role with the powers of rds_superuser. Here
// rdsadmin logs in over a Unix socket by the operating system's word (peer), so
// it has no password. The master user's password arrives as a SCRAM verifier:
// it is never written in clear.
package postgres
