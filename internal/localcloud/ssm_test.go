package localcloud_test

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/bookctl/bookctl/internal/localcloud"
)

func TestOneOfManyPutsAParameterWithoutOverwriting(t *testing.T) {
	t.Parallel()
	c, ctx := ssm.NewFromConfig(clientConfig(openCloud(t, localcloud.Config{}))), t.Context()
	var wait sync.WaitGroup
	errs := make([]error, 10)
	for i := range errs {
		wait.Go(func() {
			_, errs[i] = c.PutParameter(ctx, &ssm.PutParameterInput{Name: aws.String("/bookctl/book/lock"), Type: types.ParameterTypeString, Value: aws.String(strconv.Itoa(i))})
		})
	}
	wait.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err != nil:
			refused(t, err, "ParameterAlreadyExists", "The parameter already exists.")
		case winner >= 0:
			t.Errorf("both %d and %d have the lock", winner, i)
		default:
			winner = i
		}
	}
	p := must[*ssm.GetParameterOutput](t)(c.GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String("/bookctl/book/lock")})).Parameter
	if *p.Value != strconv.Itoa(winner) || p.Version != 1 {
		t.Errorf("the lock is %s's, version %d; %d has put it", *p.Value, p.Version, winner)
	}
}

func TestParametersAreFoundByPathTagAndVersion(t *testing.T) {
	t.Parallel()
	c, ctx := ssm.NewFromConfig(clientConfig(openCloud(t, localcloud.Config{}))), t.Context()
	for name, tag := range map[string]string{"/a/one": "x", "/a/two": "y", "/a/b/three": "x", "/other": "x"} {
		must[*ssm.PutParameterOutput](t)(c.PutParameter(ctx, &ssm.PutParameterInput{
			Name: &name, Type: types.ParameterTypeString, Value: aws.String("1"), Tags: []types.Tag{{Key: aws.String("stack"), Value: &tag}},
		}))
	}
	must[*ssm.PutParameterOutput](t)(c.PutParameter(ctx, &ssm.PutParameterInput{Name: aws.String("/a/one"), Value: aws.String("2"), Overwrite: aws.Bool(true)}))
	for recursive, want := range map[bool]int{false: 2, true: 3} {
		n := 0
		pages := ssm.NewGetParametersByPathPaginator(c, &ssm.GetParametersByPathInput{Path: aws.String("/a"), Recursive: &recursive, MaxResults: aws.Int32(1)})
		for pages.HasMorePages() {
			n += len(must[*ssm.GetParametersByPathOutput](t)(pages.NextPage(ctx)).Parameters)
		}
		if n != want {
			t.Errorf("recursive=%t: %d parameters below /a, want %d", recursive, n, want)
		}
	}
	tagged := must[*ssm.DescribeParametersOutput](t)(c.DescribeParameters(ctx, &ssm.DescribeParametersInput{ParameterFilters: []types.ParameterStringFilter{
		{Key: aws.String("tag:stack"), Values: []string{"x"}}, {Key: aws.String("Name"), Option: aws.String("BeginsWith"), Values: []string{"/a"}},
	}})).Parameters
	if len(tagged) != 2 {
		t.Errorf("tagged: %+v", tagged)
	}
	for selector, want := range map[string]string{"/a/one": "2", "/a/one:1": "1"} {
		if p := must[*ssm.GetParameterOutput](t)(c.GetParameter(ctx, &ssm.GetParameterInput{Name: &selector})).Parameter; *p.Value != want {
			t.Errorf("%s is %s, want %s", selector, *p.Value, want)
		}
	}
	must[*ssm.DeleteParameterOutput](t)(c.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: aws.String("/a/one")}))
	_, err := c.GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String("/a/one")})
	refused(t, err, "ParameterNotFound", "")
}

// TestTheNameOfADeletedParameterIsNotFreeAtOnce makes a parameter again.
func TestTheNameOfADeletedParameterIsNotFreeAtOnce(t *testing.T) {
	t.Parallel()
	cloud := openCloud(t, localcloud.Config{Faults: localcloud.Faults{ParameterSeconds: 0.5}})
	c, ctx := ssm.NewFromConfig(once(cloud)), t.Context()
	put := func() error {
		_, err := c.PutParameter(ctx, &ssm.PutParameterInput{Name: aws.String("/a"), Type: types.ParameterTypeString, Value: aws.String("1")})
		return err
	}
	if err := put(); err != nil {
		t.Fatal(err)
	}
	must[*ssm.DeleteParametersOutput](t)(c.DeleteParameters(ctx, &ssm.DeleteParametersInput{Names: []string{"/a"}}))
	refused(t, put(), "TooManyUpdates", "stale tags")
	time.Sleep(600 * time.Millisecond)
	if err := put(); err != nil {
		t.Errorf("after a while: %v", err)
	}
	cloud.SetFaults(localcloud.Faults{TooManyUpdates: 1})
	refused(t, put(), "TooManyUpdates", "")
}
