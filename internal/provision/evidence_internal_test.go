package provision

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	static "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/requestbody"
)

// TestAnEmptyPageIsNotTheEndOfALog answers with pages of a log, the newest of which are empty.
func TestAnEmptyPageIsNotTheEndOfALog(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		pages []string // as events
		want  []string
		calls int
	}{
		"the first is full":         {[]string{`[{"message":"why\n"}]`}, []string{"why"}, 1},
		"the first two are empty":   {[]string{`[]`, `[]`, `[{"message":"first"},{"message":"second"}]`}, []string{"first", "second"}, 3},
		"all are empty":             {[]string{`[]`, `[]`}, nil, 3},
		"no end of what is empty":   {slices.Repeat([]string{`[]`}, 50), nil, emptyPages},
		"there is nothing but that": {[]string{`[]`}, nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var in struct{ NextToken string }
				_ = json.NewDecoder(r.Body).Decode(&in)
				events, back := "[]", in.NextToken // at the end it is the token that was passed in
				if calls < len(tc.pages) {
					events, back = tc.pages[calls], fmt.Sprintf("b/%d", calls)
				}
				calls++
				w.Header().Set("Content-Type", "application/x-amz-json-1.1")
				fmt.Fprintf(w, `{"events":%s,"nextBackwardToken":%q,"nextForwardToken":"f/1"}`, events, back)
			}))
			defer srv.Close()
			l := &LogGroup{group: "/bookctl/book", logsAccess: logsAccess{identity: identity{stack: "book"}, logs: cloudwatchlogs.NewFromConfig(aws.Config{
				Region: "us-east-1", BaseEndpoint: &srv.URL, Credentials: static.NewStaticCredentialsProvider("a", "b", ""),
				APIOptions: []func(*middleware.Stack) error{requestbody.Readable},
			})}}
			got, err := l.tail(t.Context(), "app/app/1", 10)
			if err != nil || !slices.Equal(got, tc.want) || calls != tc.calls {
				t.Errorf("%q after %d calls, %v; want %q after %d", got, calls, err, tc.want, tc.calls)
			}
		})
	}
}

// TestATaskThatStopsHasATime reads a task that is on its way to its end.
func TestATaskThatStopsHasATime(t *testing.T) {
	t.Parallel()
	stopping, stopped := time.Date(2026, 12, 1, 3, 0, 0, 0, time.UTC), time.Date(2026, 12, 1, 3, 0, 30, 0, time.UTC)
	if got := asTask(types.Task{LastStatus: aws.String("STOPPING"), StoppingAt: &stopping}).End(); !got.Equal(stopping) {
		t.Errorf("while it stops: %s", got)
	}
	if got := asTask(types.Task{LastStatus: aws.String("STOPPED"), StoppingAt: &stopping, StoppedAt: &stopped}).End(); !got.Equal(stopped) {
		t.Errorf("once it has stopped: %s", got)
	}
}
