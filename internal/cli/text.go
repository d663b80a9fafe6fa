package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/bookctl/bookctl/internal/pattern"
)

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// listed joins a few names, and counts the rest.
func listed(names []string) string {
	const most = 3
	if n := len(names); n > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), n-most)
	} else if n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return names[0]
}

func usually(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return " (usually about " + minutes(d) + ")"
}

// sentence is text that a full stop can follow.
func sentence(text string) string { return strings.TrimRight(strings.TrimSpace(text), ". ") }

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// shorten is the beginning of a text, at most that many characters.
func shorten(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return text
}

var (
	longID = pattern.New(`\b[0-9a-f]{32}\b`)
	arn    = pattern.New(`\barn:[a-z-]+:[a-z0-9-]+:[a-z0-9-]*:[0-9]*:(?:[a-z-]+[/:])?([^\s,;)]*[^\s,;).:])`)
	digest = pattern.New(`\bsha256:[0-9a-f]{64}\b`)
	suffix = pattern.New(`/[0-9a-f]{16}\b`) // of load balancers and target groups
	number = pattern.New(`\b(ecs-svc/\d{8})\d+`)
)

// shortenIDs shortens texts of AWS: ids of tasks to shortID, and ARNs to the name of the
// resource.
func shortenIDs(text string) string {
	text = number.ReplaceAllString(suffix.ReplaceAllString(arn.ReplaceAllString(text, "$1"), ""), "$1")
	text = digest.ReplaceAllStringFunc(text, func(d string) string { return d[:len("sha256:")+12] })
	return longID.ReplaceAllStringFunc(text, shortID)
}

// rounded formats a duration: 340ms, 4.2s, 3m10s.
func rounded(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return minutes(d)
}

// minutes formats a duration whose fractions of a second do not matter: 7s, 3m10s, 6m.
func minutes(d time.Duration) string {
	text := d.Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		return strings.TrimSuffix(text, "0s")
	}
	return text
}

func firstReason(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return "no reason given"
}

// shortID is the beginning of a task's id, as short as people need it.
func shortID(id string) string { return id[:min(8, len(id))] }

func wrapIfAny(before, text, after string) string {
	if text == "" {
		return ""
	}
	return before + text + after
}

// hoursAndMinutes formats whole minutes.
func hoursAndMinutes(d time.Duration) string {
	switch hours, minutes := d/time.Hour, d%time.Hour/time.Minute; {
	case hours == 0:
		return fmt.Sprintf("%d min", minutes)
	case minutes == 0:
		return fmt.Sprintf("%d h", hours)
	default:
		return fmt.Sprintf("%d h %d min", hours, minutes)
	}
}

// ago formats how long ago something was.
func ago(t time.Time) string {
	switch d := time.Since(t); {
	case t.IsZero():
		return "time unknown"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s ago", max(int(d.Seconds()), 0))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days ago", int(d.Hours()/24))
	}
}

// age formats how old something is, in one unit.
func age(t time.Time) string {
	switch d := time.Since(t); {
	case t.IsZero():
		return "-"
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", max(int(d.Seconds()), 0))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}
