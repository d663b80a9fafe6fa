// Package database connects to PostgreSQL, brings its schema forward, and says what
// its errors mean.
package database

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// connectTimeout bounds a login. A primary that vanished without a word is
	// noticed after it.
	connectTimeout = 3 * time.Second
	// connectionLife lets tasks drift back to a balanced set of connections
	// after a failover, and ends what a DNS change has outdated.
	connectionLife = 30 * time.Minute
)

// ErrNoAddress reports that it is not known yet where the database is.
var ErrNoAddress = errors.New("the database has no address yet")

// Config describes where the database is, and how to log in.
type Config struct {
	Host, Name, User, Password string
	// Port of the server, 1 to 65535.
	Port int
	// Locate says host and port where Host is empty, those of a database which
	// may still be in the making: its error is ErrNoAddress until then. It is
	// asked for each new connection, so it should remember.
	Locate func(context.Context) (host string, port int, err error)
	// SSLMode is libpq's: verify-full, verify-ca, require or disable
	// (https://www.postgresql.org/docs/current/libpq-ssl.html).
	SSLMode string
	// RootCert is a PEM file of the authorities that the two verify modes trust;
	// empty means those of the system.
	RootCert string
	// Connections is the most that are open at once, at least 2.
	Connections int
}

// Open creates the pool. It does not connect yet.
func (d Config) Open() (*pgxpool.Pool, error) {
	config, err := d.config()
	if err != nil {
		return nil, err
	}
	if d.Host == "" {
		config.BeforeConnect = func(ctx context.Context, login *pgx.ConnConfig) error {
			located, err := d.located(ctx)
			if err == nil {
				*login = *located.ConnConfig
			}
			return err
		}
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, errors.New("set up the database's connection pool") // its text may hold the configuration
	}
	return pool, nil
}

// located is config with the address that is known by now.
func (d Config) located(ctx context.Context) (*pgxpool.Config, error) {
	if d.Host == "" {
		ctx, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		var err error
		if d.Host, d.Port, err = d.Locate(ctx); err != nil {
			return nil, fmt.Errorf("find the database: %w", err)
		}
	}
	return d.config()
}

func (d Config) config() (*pgxpool.Config, error) {
	settings := url.Values{"sslmode": {d.SSLMode}}
	if strings.HasPrefix(d.SSLMode, "verify-") && d.RootCert != "" {
		settings.Set("sslrootcert", d.RootCert)
	}
	dsn := url.URL{Scheme: "postgres", User: url.User(d.User), Host: net.JoinHostPort(d.Host, strconv.Itoa(d.Port)), Path: "/" + d.Name, RawQuery: settings.Encode()}
	config, err := pgxpool.ParseConfig(dsn.String())
	if err != nil {
		return nil, fmt.Errorf("configure the database connection: %w", err) // the DSN holds no password
	}
	// Set apart from the DSN, so that no error about the DSN can hold it.
	config.ConnConfig.Password = d.Password
	config.ConnConfig.ConnectTimeout = connectTimeout
	config.ConnConfig.RuntimeParams = map[string]string{
		"application_name": "bookapi",
		// The server's own limits, for what this side no longer waits for.
		"statement_timeout": "5000", "lock_timeout": "3000", "idle_in_transaction_session_timeout": "10000",
		// Every statement here has its index. A plan made while the table was
		// small must not go on scanning it when it has grown.
		"enable_seqscan": "off",
		// One plan per statement and connection, made once.
		"plan_cache_mode": "force_generic_plan",
	}
	// After a failover a connection may lead to a server that only reads.
	keep := config.ConnConfig.OnPgError
	config.ConnConfig.OnPgError = func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		return err.Code != readOnlyTransaction && keep(conn, err)
	}
	config.MaxConns = int32(max(2, d.Connections))
	config.MinIdleConns = 1
	config.MaxConnLifetime, config.MaxConnLifetimeJitter = connectionLife, connectionLife/4
	config.MaxConnIdleTime = 5 * time.Minute
	config.HealthCheckPeriod = 15 * time.Second
	return config, nil
}
