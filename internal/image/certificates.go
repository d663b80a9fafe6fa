package image

import (
	"bytes"
	"crypto/x509"
	_ "embed" // for the certificates of RDS
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// rdsBundle is described in its own first lines.
//
//go:embed data/rds-global-bundle.pem
var rdsBundle []byte

// HasDatabaseCA reports whether the image trusts the databases of a region. In a
// region that it does not know, bookapi could not connect.
func HasDatabaseCA(region string) bool {
	return regexp.MustCompile(`(?m)^# ` + regexp.QuoteMeta(region) + ` RSA2048 G1$`).Match(rdsBundle)
}

// DatabaseAuthorities are the certificate authorities of all databases of RDS, in PEM.
func DatabaseAuthorities() []byte { return bytes.Clone(rdsBundle) }

// ParseAuthorities reads certificate authorities from PEM, to be added to those that
// the image trusts for databases. What else the text holds is left out.
func ParseAuthorities(text []byte) ([]byte, error) {
	var out bytes.Buffer
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("it holds a %s, and only certificates are taken", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read a certificate of it: %w", err)
		}
		if !c.IsCA {
			return nil, fmt.Errorf("%s is not a certificate authority", c.Subject)
		}
		if err := pem.Encode(&out, &pem.Block{Type: block.Type, Bytes: block.Bytes}); err != nil {
			return nil, err
		}
	}
	if out.Len() == 0 {
		return nil, errors.New("it holds no certificate in PEM")
	}
	return out.Bytes(), nil
}

// publicRoots is Mozilla's list of certificate authorities as the Go project
// keeps it. Those trusted only for what they issued before some day are left
// out, since a PEM file can't say so.
func publicRoots() ([]byte, error) {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}
