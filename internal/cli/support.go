package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/pricing"
	"github.com/bookctl/bookctl/internal/provision"
)

// supportNotice is how long before its end the standard support of a version is told of.
const supportNotice = 365 * 24 * time.Hour

// supportNote says that the standard support of a version of PostgreSQL ends soon, or is
// over, and what RDS charges then. It is empty while there is time, and where nobody says
// when that ends.
func supportNote(version, class string, multiAZ bool, ends, now time.Time) hint.Message {
	if ends.IsZero() || ends.Sub(now) > supportNotice {
		return hint.Message{}
	}
	cost := "an hour and CPU of the database"
	if monthly, ok := pricing.ExtendedSupport(class, multiAZ, ends, now); ok {
		cost = fmt.Sprintf("about $%.2f a month for %s", monthly, class)
	}
	major, _, _ := strings.Cut(version, ".")
	day := ends.UTC().Format(time.DateOnly)
	if now.After(ends) {
		return hint.New("the standard support of PostgreSQL %s ended on %s: RDS charges extended support, %s; %s upgrades it", major, day, cost, hint.Command("up", "--db-version", "N"))
	}
	return hint.New("the standard support of PostgreSQL %s ends on %s: from then on RDS charges extended support, %s; %s upgrades it", major, day, cost, hint.Command("up", "--db-version", "N"))
}

// support is supportNote of what is planned.
func (p *preparation) support(ctx context.Context) (hint.Message, error) {
	s := p.spec.Settings
	if s.NoDatabase {
		return hint.Message{}, nil
	}
	ends, err := provision.StandardSupportEnds(ctx, p.target.clients.RDS, s.DBVersion)
	if err != nil {
		return hint.Message{}, err
	}
	return supportNote(s.DBVersion, s.DBClass, s.DBMultiAZ, ends, time.Now()), nil
}
