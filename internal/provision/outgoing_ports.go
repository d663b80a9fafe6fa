package provision

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/bookctl/bookctl/internal/pattern"
	"github.com/bookctl/bookctl/internal/sorted"
)

// portRange is the ports from the first to the last.
type portRange struct{ first, last int32 }

func (p portRange) String() string {
	if p.first == p.last {
		return strconv.Itoa(int(p.first))
	}
	return fmt.Sprintf("%d-%d", p.first, p.last)
}

const (
	// allPorts is --outgoing-ports with all ports and protocols.
	allPorts = "all"
	// httpsPort is the port that tasks always may connect to: that of AWS's APIs.
	httpsPort = 443
	// mostOutgoing is how many ranges of ports are taken: a security group has at most 60
	// rules of each direction, some of which lead to the database
	// (https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html).
	mostOutgoing = 40
)

var rangeText = pattern.New(`^([0-9]{1,5})(?:-([0-9]{1,5}))?$`)

// parsePorts reads --outgoing-ports. The result is sorted, and no two ranges of it
// touch. The text allPorts has none.
func parsePorts(text string) ([]portRange, error) {
	var all []portRange
	if text == allPorts {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		m := rangeText.FindStringSubmatch(part)
		if m == nil {
			return nil, fmt.Errorf("%q is neither a port nor a range such as 8000-8100", part)
		}
		p := portRange{*number(m[1]), *number(cmp.Or(m[2], m[1]))}
		if p.first < 1 || p.first > p.last || p.last > 65535 {
			return nil, fmt.Errorf("%q: ports are from 1 to 65535, and a range has the lower one first", part)
		}
		all = append(all, p)
	}
	sorted.By(all, func(a, b portRange) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.last, b.last)) })
	var out []portRange
	for _, p := range all {
		if n := len(out); n > 0 && p.first <= out[n-1].last+1 {
			out[n-1].last = max(out[n-1].last, p.last)
			continue
		}
		out = append(out, p)
	}
	if len(out) > mostOutgoing {
		return nil, fmt.Errorf("%d ranges: a security group has room for %d", len(out), mostOutgoing)
	}
	return out, nil
}

// portsText is a list of ports in its one form; what can't be read stays as it is.
func portsText(text string) string {
	all, err := parsePorts(text)
	if err != nil || text == allPorts {
		return text
	}
	return strings.Join(mapped(all, portRange.String), ",")
}

// outgoing are the rules by which tasks connect to anywhere.
func (s Settings) outgoing() []rule {
	if s.OutgoingPorts == allPorts {
		return []rule{allowAll}
	}
	rules := []rule{{egress: true, port: httpsPort, peer: anywhere}}
	all, _ := parsePorts(s.OutgoingPorts) // checked with the settings
	for _, p := range all {
		if r := (rule{egress: true, port: p.first, peer: anywhere}); p.first != p.last {
			r.last = p.last
			rules = append(rules, r)
		} else if p.first != httpsPort {
			rules = append(rules, r)
		}
	}
	return rules
}
