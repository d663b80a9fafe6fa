package main

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/provision"
)

func newPolicy(s streams, g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "policy",
		Short: "Print the least IAM policy that bookctl needs",
		Long: `Print, as JSON for IAM, the least policy with which the stack can be made,
changed, looked at and destroyed. With --account and --region it asks nobody,
and so needs no credentials. With --output json the policy is a field of what is
printed, as of every command.`,
		Example: `  bookctl policy > policy.json
  bookctl policy --stack staging --account 111122223333 --region eu-central-1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			account, region := g.account, g.region
			if account == "" || region == "" {
				ctx, cancel := deadline(cmd.Context(), g)
				defer cancel()
				t, err := connect(ctx, s, g)
				if err != nil {
					return err
				}
				account, region = t.account, t.region
			}
			text, err := provision.Policy(account, region, g.stack)
			if err != nil {
				return usageError{err}
			}
			if g.output == "json" {
				return json.NewEncoder(s.out).Encode(map[string]any{
					"schema": schema, "type": "policy", "stack": g.stack, "account": account, "region": region, "policy": json.RawMessage(text),
				})
			}
			_, err = s.out.Write(text)
			return err
		},
	}
}
