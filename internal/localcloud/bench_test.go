package localcloud_test

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/bookctl/bookctl/internal/localcloud"
)

// BenchmarkCall is one API call from the SDK through the wire and back.
func BenchmarkCall(b *testing.B) {
	c, err := localcloud.Open(b.Context(), localcloud.Config{StateDir: stateDir(b)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close(context.Background()) })
	client := sts.NewFromConfig(clientConfig(c))
	for b.Loop() {
		if _, err := client.GetCallerIdentity(b.Context(), nil); err != nil {
			b.Fatal(err)
		}
	}
}
