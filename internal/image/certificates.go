package image

import (
	"bytes"
	_ "embed" // for the certificates of RDS
	"encoding/pem"
	"regexp"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// rdsBundle is described in its own first lines.
//
//go:embed data/rds-global-bundle.pem
var rdsBundle []byte

// HasDatabaseCA says whether the image trusts the databases of a region. In a
// region that it does not know, bookapi could not connect.
func HasDatabaseCA(region string) bool {
	return regexp.MustCompile(`(?m)^# ` + regexp.QuoteMeta(region) + ` RSA2048 G1$`).Match(rdsBundle)
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
