package cli_test

import "testing"

// TestARegionOfAnUnknownAuthorityTakesItFromAFile plans for a region whose databases
// the image would not trust.
func TestARegionOfAnUnknownAuthorityTakesItFromAFile(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil, "--region", "eu-moon-1")
	s.env = append(s.env, "AWS_ENDPOINT_URL="+h.endpoint, "AWS_REGION=eu-moon-1", "AWS_ACCESS_KEY_ID=hand", "AWS_SECRET_ACCESS_KEY=hand")
	s.run("plan").says(t, 64, "does not trust the databases of region eu-moon-1", "next: give the region's authorities with --db-ca FILE")
	var info struct{ TrustBundle string }
	decode(t, s.must("local", "status", "--output", "json"), &info)
	s.run("plan", "--db-ca", info.TrustBundle).says(t, 2)
}
