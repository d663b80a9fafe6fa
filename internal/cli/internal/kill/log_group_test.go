package kill_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	logs "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision"
)

// TestAProtectedLogGroupBlocksADestroy has somebody protect each log group of the stack. The check
// finds it before anything else is deleted. Without the check, the error says how to go on.
func TestAProtectedLogGroupBlocksADestroy(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		ctx := t.Context()
		before, err := a.inventory(ctx)
		if err != nil {
			t.Fatal(err)
		}
		protect := func(name string, on bool) {
			if _, err := c.Logs.PutLogGroupDeletionProtection(ctx, &logs.PutLogGroupDeletionProtectionInput{LogGroupIdentifier: &name, DeletionProtectionEnabled: &on}); err != nil {
				t.Fatal(err)
			}
		}
		named := func(err error, name string) {
			const command = "aws logs put-log-group-deletion-protection --no-deletion-protection-enabled"
			if err == nil || !strings.Contains(err.Error(), "log group "+name) {
				t.Errorf("the destroy ended with %v", err)
			}
			if next := hint.Of(err).String(); !strings.Contains(next, strings.Replace(command, "protection --no", "protection --log-group-identifier "+name+" --no", 1)) {
				t.Errorf("the next step is %q", next)
			}
		}
		for _, name := range []string{"/bookctl/book", "/aws/rds/instance/book-database/postgresql"} {
			protect(name, true)
			err := a.wholeDestroy(ctx)
			named(err, name)
			if !errors.Is(err, provision.ErrProtected) {
				t.Errorf("it is no protection: %v", err)
			}
			if after, err := a.inventory(ctx); err != nil || !slices.Equal(before, after) {
				t.Errorf("it has changed the account: %v\n%v\n%v", err, before, after)
			}
			protect(name, false)
		}
		protect("/bookctl/book", true)
		named(a.run(&wire{}, a.spec, func(r provision.Run) error { // without the check
			_, err := r.Destroy(ctx, true, time.Second)
			return err
		}), "/bookctl/book")
		protect("/bookctl/book", false)
		if err := a.run(&wire{}, a.spec, func(r provision.Run) error {
			_, err := r.Destroy(ctx, true, time.Minute)
			return err
		}); err != nil {
			t.Error(err)
		}
	})
}

// TestALogGroupThatRDSMadeIsTakenOver has RDS make its log group again, without tags: of a stack
// that runs, since somebody has deleted it, and after a destroy.
func TestALogGroupThatRDSMadeIsTakenOver(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		ctx, name := t.Context(), aws.String("/aws/rds/instance/book-database/postgresql")
		found := func() (tags map[string]string, days int32) {
			out, err := c.Logs.DescribeLogGroups(ctx, &logs.DescribeLogGroupsInput{LogGroupIdentifiers: []string{*name}})
			if err != nil || len(out.LogGroups) != 1 {
				t.Fatalf("log groups: %v, %v", out, err)
			}
			of, err := c.Logs.ListTagsForResource(ctx, &logs.ListTagsForResourceInput{ResourceArn: out.LogGroups[0].LogGroupArn})
			if err != nil {
				t.Fatal(err)
			}
			return of.Tags, aws.ToInt32(out.LogGroups[0].RetentionInDays)
		}
		wanted, days := found()
		again := func() {
			if _, err := c.Logs.CreateLogGroup(ctx, &logs.CreateLogGroupInput{LogGroupName: name}); err != nil {
				t.Fatal(err)
			}
		}
		same := func(err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
			if now, kept := found(); now["bookctl:stack"] != "book" || now["bookctl:resource"] != wanted["bookctl:resource"] || kept != days {
				t.Errorf("its tags are %v, not %v, and it keeps for %d days, not %d", now, wanted, kept, days)
			}
		}
		if _, err := c.Logs.DeleteLogGroup(ctx, &logs.DeleteLogGroupInput{LogGroupName: name}); err != nil {
			t.Fatal(err)
		}
		again()
		time.Sleep(time.Minute)
		same(a.up(ctx, &wire{}))
		if err := a.wholeDestroy(ctx); err != nil {
			t.Fatal(err)
		}
		again()
		if _, err := c.Logs.PutRetentionPolicy(ctx, &logs.PutRetentionPolicyInput{LogGroupName: name, RetentionInDays: aws.Int32(3653)}); err != nil {
			t.Fatal(err)
		}
		if err := a.up(ctx, &wire{}); err == nil || !strings.Contains(err.Error(), "not managed by this stack") {
			t.Errorf("with a group that somebody has given a retention: %v", err)
		}
		if _, err := c.Logs.DeleteLogGroup(ctx, &logs.DeleteLogGroupInput{LogGroupName: name}); err != nil {
			t.Fatal(err)
		}
		again()
		time.Sleep(time.Minute)
		same(a.up(ctx, &wire{}))
	})
}
