package api

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
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
	// queryTimeout bounds one statement, waiting for a connection included. It
	// is what a request waits at most when the database hangs.
	queryTimeout = 4 * time.Second
	// connectionLife lets tasks drift back to a balanced set of connections
	// after a failover, and ends what a DNS change has outdated.
	connectionLife = 30 * time.Minute
)

// ErrNoAddress says that it is not known yet where the database is.
var ErrNoAddress = errors.New("the database has no address yet")

// Database says where the database is.
type Database struct {
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

// open makes the pool. It does not connect yet.
func (d Database) open() (*pgxpool.Pool, error) {
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
func (d Database) located(ctx context.Context) (*pgxpool.Config, error) {
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

func (d Database) config() (*pgxpool.Config, error) {
	if d.RootCert != "" && d.verifies() {
		pem, err := os.ReadFile(d.RootCert)
		if err != nil {
			return nil, fmt.Errorf("read the database's certificate authorities: %w", err)
		}
		if !x509.NewCertPool().AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read the database's certificate authorities: %s holds no PEM certificate", d.RootCert)
		}
	}
	settings := map[string]string{
		"host": d.Host, "port": strconv.Itoa(d.Port), "dbname": d.Name, "user": d.User, "sslmode": d.SSLMode,
	}
	if d.RootCert != "" && d.verifies() {
		settings["sslrootcert"] = d.RootCert
	}
	var dsn []string
	for name, value := range settings {
		dsn = append(dsn, name+"='"+strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value)+"'")
	}
	config, err := pgxpool.ParseConfig(strings.Join(dsn, " "))
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
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return direct(c), nil
	}
	config.MaxConns = int32(max(2, d.Connections))
	config.MinIdleConns = 1
	config.MaxConnLifetime, config.MaxConnLifetimeJitter = connectionLife, connectionLife/4
	config.MaxConnIdleTime = 5 * time.Minute
	config.HealthCheckPeriod = 15 * time.Second
	return config, nil
}

func (d Database) verifies() bool { return strings.HasPrefix(d.SSLMode, "verify-") }

// evict closes a connection that must not be used again: after a failover it
// may lead to a server that only reads, and a shutdown leaves it half dead.
func evict(conn *pgx.Conn, err error) {
	state := sqlState(err)
	if state == readOnlyTransaction || strings.HasPrefix(state, "57P") || state == "26000" || state == "0A000" {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = conn.Close(ctx) // it is given up anyhow
	}
}

// reason is why a connection can't be made, for the log: without the address
// list of every attempt, and never with the password, which pgx leaves out.
func reason(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		if pg.Code == invalidPassword {
			return "the database rejects DB_PASSWORD (SQLSTATE 28P01): start the task again to get the current one"
		}
		return pg.Message + " (SQLSTATE " + pg.Code + ")"
	}
	return err.Error()
}
