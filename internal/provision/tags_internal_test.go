package provision

import (
	"regexp"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// TestAWSAcceptsTheTagsOfEveryResource checks the tags of all resources of a stack
// against the documented rules.
// https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html
func TestAWSAcceptsTheTagsOfEveryResource(t *testing.T) {
	t.Parallel()
	settings := DefaultSettings()
	settings.Domain, settings.Max, settings.Min = "books.example.com", 2, 1
	s, err := NewStack(NewClients(aws.Config{Region: "us-east-1"}), Spec{Stack: "abcdefghijklmnopqrst", Zones: [2]string{"a", "b"}, Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	allowed := regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]{0,256}$`)
	checked := 0
	for _, r := range s.Resources() {
		named, ok := r.(interface{ Name() string })
		if !ok {
			t.Errorf("%T has no name", r)
			continue
		}
		for k, v := range (identity{stack: "abcdefghijklmnopqrst", settings: s.spec.record()}).tags(named.Name()) {
			if checked++; !allowed.MatchString(k) || len(k) > 128 || !allowed.MatchString(v) {
				t.Errorf("%s: AWS accepts no tag %s=%s", named.Name(), k, v)
			}
		}
	}
	if checked < 4*30 {
		t.Errorf("only %d tags were checked", checked)
	}
}
