package hint_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/bookctl/bookctl/internal/hint"
)

// ofDemo shows commands as for a stack called demo, where there are no quotas.
func ofDemo(i hint.Invocation) (string, bool) {
	return "<" + i.Program + " " + strings.Join(i.Words, " ") + " --stack demo>", i.Words[0] != "service-quotas"
}

func TestAMessageShowsItsCommandsForTheStackAtHand(t *testing.T) {
	t.Parallel()
	raise := hint.Optional(", or ask for %d: %s", 5, hint.AWS("service-quotas", "raise"))
	for _, c := range []struct {
		m            hint.Message
		plain, shown string
	}{
		{hint.Message{}, "", ""},
		{hint.New("check the network"), "check the network", "check the network"},
		{hint.New("%s makes %d of it", hint.Command("up", "--count", "2"), 2), "'bookctl up --count 2' makes 2 of it", "<bookctl up --count 2 --stack demo> makes 2 of it"},
		{hint.New("either %s", hint.Join(" or ", hint.New("%s", hint.Command("up")), hint.Message{}, hint.New("%s", hint.Command("plan")))),
			"either 'bookctl up' or 'bookctl plan'", "either <bookctl up --stack demo> or <bookctl plan --stack demo>"},
		{hint.New("remove some%s", raise), "remove some, or ask for 5: 'aws service-quotas raise'", "remove some"},
		{hint.New("it failed: %v", hint.Errorf("no %s", hint.Command("up"))), "it failed: no 'bookctl up'", "it failed: no <bookctl up --stack demo>"},
	} {
		if c.m.String() != c.plain || c.m.Show(ofDemo) != c.shown || c.m.Empty() != (c.plain == "") {
			t.Errorf("%q, shown as %q; want %q and %q", c.m, c.m.Show(ofDemo), c.plain, c.shown)
		}
	}
}

func TestAnErrorKeepsItsHintAndTheCommandsOfItsText(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	refused := hint.Errorf("%w: use %s", cause, hint.Command("destroy"))
	err := fmt.Errorf("vpc: %w", errors.Join(errors.New("first"), hint.With(refused, "then %s", hint.Command("up"))))
	if !errors.Is(err, cause) || hint.Of(err).Show(ofDemo) != "then <bookctl up --stack demo>" {
		t.Errorf("%v, next %q", err, hint.Of(err))
	}
	if want := "vpc: first\ncause: use 'bookctl destroy'"; err.Error() != want {
		t.Errorf("the error reads %q, want %q", err, want)
	}
	if got, want := hint.Text(err, ofDemo), "vpc: first\ncause: use <bookctl destroy --stack demo>"; got != want {
		t.Errorf("the error is shown as %q, want %q", got, want)
	}
	if hint.With(nil, "do it") != nil || !errors.Is(hint.Add(cause, hint.Message{}), cause) || !hint.Of(cause).Empty() {
		t.Error("a hint comes from nothing")
	}
}
