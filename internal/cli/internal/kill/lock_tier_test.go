package kill_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/provision"
)

// TestTheLockCostsNothing has an account whose parameters are advanced where a request does not
// say otherwise, with a lock that was made before that, and one that an earlier version made.
func TestTheLockCostsNothing(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		tiers := func() map[ssmtypes.ParameterTier]int {
			out, err := c.SSM.DescribeParameters(t.Context(), &ssm.DescribeParametersInput{})
			if err != nil {
				t.Fatal(err)
			}
			found := map[ssmtypes.ParameterTier]int{}
			for _, p := range out.Parameters {
				found[p.Tier]++
			}
			return found
		}
		a.SetFaults(localcloud.Faults{AdvancedParameters: true})
		a.spec.Count = 2
		if err := a.up(t.Context(), &wire{}); err != nil {
			t.Fatal(err)
		}
		if found := tiers(); found[ssmtypes.ParameterTierStandard] == 0 || found[ssmtypes.ParameterTierAdvanced] > 0 {
			t.Errorf("after a change: %v", found)
		}
		if err := a.destroy(t.Context(), &wire{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // the name of the lock is free again
		if err := a.up(t.Context(), &wire{}); err != nil {
			t.Fatal(err)
		}
		if found := tiers(); found[ssmtypes.ParameterTierStandard] == 0 || found[ssmtypes.ParameterTierAdvanced] > 0 {
			t.Errorf("after a first up: %v", found)
		}

		out, err := c.SSM.DescribeParameters(t.Context(), &ssm.DescribeParametersInput{})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range out.Parameters {
			is, err := c.SSM.GetParameter(t.Context(), &ssm.GetParameterInput{Name: p.Name})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.SSM.PutParameter(t.Context(), &ssm.PutParameterInput{Name: p.Name, Value: is.Parameter.Value, Overwrite: aws.Bool(true), Tier: ssmtypes.ParameterTierAdvanced}); err != nil {
				t.Fatal(err)
			}
		}
		a.spec.Count = 1
		if err := a.up(t.Context(), &wire{}); err != nil {
			t.Errorf("with an advanced parameter: %v", err)
		}
	})
}
