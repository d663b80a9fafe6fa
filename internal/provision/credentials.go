package provision

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/bookctl/bookctl/internal/hint"

	"github.com/aws/aws-sdk-go-v2/aws"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
)

// credentials is what the secret holds: JSON with the keys that AWS's own rotation
// functions use, and whatever else somebody keeps there.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html
type credentials struct {
	Engine, Host, DBName, Username, Password string
	Port                                     int
	// urls reports whether it has the connection as URLs as well, or is to, and url and
	// verifiedURL are those that it has.
	urls             bool
	url, verifiedURL string
	// extra are the keys that are not ours. They are kept.
	extra map[string]json.RawMessage
}

// errNoPassword is wrapped by the error of a secret that contains no password.
var errNoPassword = errors.New("it contains no password")

// parseCredentials reads the value of a secret, which people edit: as JSON, with the
// port as a number or, as in AWS's own examples, a string, or as the password in plain
// text. Its error holds nothing of the value. What it could read comes with it.
func parseCredentials(text string) (credentials, error) {
	var c credentials
	if plain := strings.TrimSpace(text); !strings.HasPrefix(plain, "{") {
		if plain == "" {
			return c, errNoPassword
		}
		c.Password = strings.TrimRight(text, "\r\n") // which an editor adds
		return c, nil
	}
	fields := map[string]json.RawMessage{}
	if json.Unmarshal([]byte(text), &fields) != nil {
		return c, fmt.Errorf("it is not valid JSON, and %w", errNoPassword)
	}
	c.extra = maps.Clone(fields)
	port := ""
	for key, to := range map[string]*string{
		keyURL: &c.url, keyVerifiedURL: &c.verifiedURL,
		"engine": &c.Engine, "host": &c.Host, "port": &port, "dbname": &c.DBName, "username": &c.Username, "password": &c.Password,
	} {
		*to = scalar(fields[key])
		delete(c.extra, key)
	}
	c.urls = c.url != "" || c.verifiedURL != ""
	if port == "" {
		port = strconv.Itoa(postgresPort) // as AWS's page says
	}
	if n, err := strconv.ParseUint(port, 10, 16); err == nil {
		c.Port = int(n)
	}
	if c.Password == "" {
		return c, errNoPassword
	}
	return c, nil
}

// scalar is a JSON value as text: that of a string, and a number as it is written.
func scalar(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var number json.Number
	if json.Unmarshal(raw, &number) == nil {
		return number.String()
	}
	return ""
}

// value is the JSON to put into the secret.
func (c credentials) value() (string, error) {
	all := map[string]any{}
	for key, raw := range c.extra {
		all[key] = raw
	}
	maps.Copy(all, map[string]any{
		"engine": c.Engine, "host": c.Host, "port": c.Port, "dbname": c.DBName, "username": c.Username, "password": c.Password,
	})
	if c.urls && c.Host != "" {
		all[keyURL], all[keyVerifiedURL] = c.asURL("require"), c.asURL(verifyFull)
	}
	text, err := json.Marshal(all)
	return string(text), err
}

// connection is everything but the password, for comparing and showing; "" where the
// secret has a password alone.
func (c credentials) connection() string {
	if !slices.ContainsFunc([]string{c.Engine, c.Host, c.DBName, c.Username}, func(s string) bool { return s != "" }) {
		return ""
	}
	text := fmt.Sprintf("%s://%s@%s:%d/%s", c.Engine, c.Username, c.Host, c.Port, c.DBName)
	if c.urls && (c.url != c.asURL("require") || c.verifiedURL != c.asURL(verifyFull)) {
		text += ", and no URL of it"
	}
	return text
}

// The keys of the secret that have the connection as a URL. They are for programs that
// read it from one variable; which of them a task gets depends on its image, and the
// secret is one for all.
const (
	keyURL         = "url"
	keyVerifiedURL = "url_verify_full"
)

// asURL is the connection as libpq and others take it: SQLAlchemy knows postgresql://
// alone. https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
func (c credentials) asURL(mode string) string {
	u := url.URL{
		Scheme: "postgresql", User: url.UserPassword(c.Username, c.Password), Host: net.JoinHostPort(c.Host, strconv.Itoa(c.Port)), Path: "/" + c.DBName,
		RawQuery: "sslmode=" + mode,
	}
	return u.String()
}

// at is c with the address of an instance, where RDS says it already.
func (c credentials) at(e *rdstypes.Endpoint) credentials {
	if e != nil {
		c.Host, c.Port = aws.ToString(e.Address), int(aws.ToInt32(e.Port))
	}
	return c
}

// String keeps the password out of whatever might print credentials.
func (c credentials) String() string { return c.connection() }

// GoString does the same for %#v.
func (c credentials) GoString() string { return c.connection() }

// badPassword returns the reason why RDS takes no such password; "" where it does.
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html
func badPassword(password string) string {
	switch {
	case len(password) < 8 || len(password) > 128:
		return "RDS takes passwords of 8 to 128 characters"
	case strings.ContainsFunc(password, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`/@"`, r) }):
		return `RDS takes no / @ " in a password, no space, and nothing but ASCII`
	}
	return ""
}

// newPassword is what to do about a secret whose password is of no use.
func newPassword() hint.Message {
	return hint.New("%s gives secret and database a new password", hint.Command("db", "rotate-password"))
}
