package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision"
)

func newAlarm(s streams, g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "alarm",
		Short: "List and test the alarms of the stack",
		Long: `List and test the alarms of the stack, which 'bookctl up --alarm-email' creates:

  no-healthy-target     no task is healthy behind the load balancer
  server-errors         more than 5 % of the requests are answered with 5xx
  database-cpu          the database uses more than 90 % of its CPU
  database-storage      less than 10 % of its storage is free
  database-connections  it has nearly as many connections as its class allows
  failed-release        ECS ended the rollout of a release as failed`,
		Example: `  bookctl up --alarm-email ops@example.com
  bookctl alarm list
  bookctl alarm test`,
	}
	cmd.AddCommand(newAlarmList(s, g), newAlarmTest(s, g))
	return cmd
}

func newAlarmList(s streams, g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the alarms, their states and who is notified",
		Example: `  bookctl alarm list
  bookctl alarm list --output json | jq -r '.alarms[] | select(.state == "ALARM").name'`,
		Args: cobra.NoArgs,
		RunE: within(g, func(ctx context.Context, _ []string) error {
			t, err := connect(ctx, s, g)
			if err != nil {
				return err
			}
			list, _, err := readAlarms(ctx, t, g)
			if err != nil {
				return err
			}
			if g.output == "json" {
				return encode(s.out, alarmsDocument{headOf("alarms"), placeOf(g, t), list})
			}
			fmt.Fprintf(s.out, "Alarms of stack %s in %s, sent to %s\n", g.stack, t.place, list.To)
			for _, a := range list.Alarms {
				state := a.State
				if state == "" {
					state = "event"
				}
				fmt.Fprintf(s.out, "  %-21s %-18s %s\n", a.Name, state, a.Description)
			}
			for _, text := range undelivered(list.To, list.AlarmAudience) {
				fmt.Fprintln(s.out, text)
			}
			return nil
		}),
	}
}

func newAlarmTest(s streams, g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "test [NAME...]",
		Short: "Raise alarms for a moment, to check that notifications arrive",
		Long: `Raise all alarms, or the named ones, for a moment: each sends the same
notifications as in a real failure, and then that it is over. The stack itself is
not changed.`,
		Example: `  bookctl alarm test
  bookctl alarm test no-healthy-target`,
		RunE: within(g, func(ctx context.Context, names []string) error { return testAlarms(ctx, s, g, names) }),
	}
}

// testAlarms raises the named alarms, or all for no name, and takes them back.
func testAlarms(ctx context.Context, s streams, g *globals, names []string) error {
	t, err := connect(ctx, s, g)
	if err != nil {
		return err
	}
	list, settings, err := readAlarms(ctx, t, g)
	if err != nil {
		return err
	}
	var known []string
	for _, a := range list.Alarms {
		known = append(known, a.Name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return usageError{fmt.Errorf("the stack has no alarm %q; it has %s", name, strings.Join(known, ", "))}
		}
	}
	if len(names) == 0 {
		names = known
	}
	tested := []string{}
	for _, name := range names {
		if err := provision.TestAlarm(ctx, t.clients, g.stack, settings, name, t.caller); err != nil {
			return err
		}
		tested = append(tested, name)
		if g.output != "json" {
			fmt.Fprintf(s.out, "%-21s raised and reset: sent to %s\n", name, list.To)
		}
	}
	if g.output == "json" {
		return encode(s.out, alarmTestDocument{headOf("alarm-test"), placeOf(g, t), list.To, list.AlarmAudience, tested})
	}
	for _, text := range undelivered(list.To, list.AlarmAudience) {
		fmt.Fprintln(s.out, text)
	}
	return nil
}

// readAlarms lists the alarms of the stack, with the settings that it has.
func readAlarms(ctx context.Context, t *target, g *globals) (provision.AlarmList, provision.Settings, error) {
	have, err := t.deployed(ctx, g)
	if err != nil {
		return provision.AlarmList{}, have.Settings, err
	}
	list, err := provision.ReadAlarms(ctx, t.clients, g.stack, have.Settings)
	if !have.Found && err != nil {
		err = notDeployed(ctx, t, g, err, hint.New("%s creates it", hint.Command("up")))
	}
	return list, have.Settings, err
}

// undelivered returns what keeps the notifications of alarms from arriving.
func undelivered(to string, a provision.AlarmAudience) []string {
	var out []string
	if a.Pending {
		out = append(out, to+" is not notified yet: it has to follow the link in the mail 'AWS Notification - Subscription Confirmation' (after two days the next up sends another)")
	}
	if a.Unsubscribed {
		out = append(out, to+" is not notified: it has ended its subscription, as by the link at the end of a mail (SNS takes the address again within three days, and the next up after that asks it)")
	}
	if a.Problem != "" {
		out = append(out, a.Problem)
	}
	if a.Silent {
		out = append(out, "nobody is notified of alarms now: their actions are disabled, as they are while the stack is paused and before it first serves")
	}
	return out
}
