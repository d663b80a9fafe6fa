package postgres

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// Verifier is a password as PostgreSQL stores it: enough to check the password
// and not enough to log in with.
type Verifier string

// scramIterations is PostgreSQL's own default.
const scramIterations = 4096

// NewVerifier hashes a password for SCRAM-SHA-256 with a fresh salt, in the form
// that CREATE ROLE takes (RFC 5803; PostgreSQL's pg_authid page). RDS takes only
// printable ASCII in a password, for which SASLprep changes nothing.
func NewVerifier(password string) (Verifier, error) {
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("hash the password: %w", err)
	}
	return verifier(password, salt, scramIterations)
}

func verifier(password string, salt []byte, iterations int) (Verifier, error) {
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("hash the password: %w", err)
	}
	stored := sha256.Sum256(sign(salted, "Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return Verifier(fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s",
		iterations, encode(salt), encode(stored[:]), encode(sign(salted, "Server Key")))), nil
}

func sign(key []byte, message string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(message)) // never fails, says package hash
	return mac.Sum(nil)
}
