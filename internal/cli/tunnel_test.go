package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// newMoon is a stack in a region whose databases bookctl does not trust by itself, as on
// AWS, and the file of their authorities.
func newMoon(t *testing.T) (s *shell, trust string) {
	t.Helper()
	home := newShell(t)
	home.must("local", "start", "--region", "eu-moon-1")
	home.up("--exec")
	var info struct{ TrustBundle string }
	decode(t, home.must("local", "status", "--output", "json"), &info)
	return home.onAWS(t), info.TrustBundle
}

// write writes a file of a test.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDatabasesOfAnUnknownAuthorityAreTrustedByAFile goes through a tunnel to a database
// whose authority is in no bundle, with psql, pg_dump and pg_restore.
func TestDatabasesOfAnUnknownAuthorityAreTrustedByAFile(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, trust := newMoon(t)
	file := filepath.Join(s.dir, "books.dump")
	s.run("db", "psql", "--", "-tAc", "select 1").says(t, 64, "does not trust the databases of region eu-moon-1", "next: give the region's authorities with --db-ca FILE", "global-bundle.pem has them")
	s.run("db", "dump", file, "--db-ca", file).says(t, 64, "--db-ca "+file, "no such file")
	if out := s.must("db", "psql", "--db-ca", trust, "--", "-tAc", "select 1"); out != "1\n" {
		t.Errorf("psql says %q", out)
	}
	s.run("db", "dump", file, "--db-ca", trust).says(t, 0, "Dumped the database")
	s.run("db", "load", file, "--db-ca", trust).says(t, 1, "and the database is unchanged", "--clean' drops that first")

	// The file of the app names it for all commands.
	s.at = t.TempDir()
	text, err := os.ReadFile(trust)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(s.at, "ca.pem"), string(text))
	write(t, filepath.Join(s.at, "bookctl.yaml"), "stack: book\ndb-ca: ca.pem\n")
	s.must("db", "load", file, "--clean", "--yes")
}

// TestTheBundleOfAPartition asks where the authorities of databases are, which each
// partition says at another place.
func TestTheBundleOfAPartition(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	for region, bundle := range map[string]string{
		"us-gov-west-1": "https://truststore.pki.us-gov-west-1.rds.amazonaws.com/global/global-bundle.pem",
		"cn-north-1":    "https://rds-truststore.s3.cn-north-1.amazonaws.com.cn/global/global-bundle.pem",
	} {
		s := newShell(t)
		s.must("local", "start", "--region", region)
		s.up(imageless()...)
		var shown struct{ Authorities string }
		decode(t, s.onAWS(t).must("db", "--output", "json"), &shown)
		if !strings.HasSuffix(shown.Authorities, bundle) {
			t.Errorf("%s: %s", region, shown.Authorities)
		}
	}
}
