package cli

import (
	"os/exec"
	"strings"
	"testing"
)

// TestAShellReadsAWordAsItIs has a shell read words back, none of which leaves a "!" where
// an interactive one would replace it.
func TestAShellReadsAWordAsItIs(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"plain", "two words", `a"b\c`, "$HOME `id`", "arn:aws:secretsmanager:us-east-1:000000000000:secret:rds!db-1-AbCdEf", "hi there!", "!"} {
		quoted := posixWord(word)
		out, err := exec.Command("sh", "-c", "printf %s "+quoted).Output()
		if err != nil || string(out) != word {
			t.Errorf("%q is read as %q: %v", word, out, err)
		}
		if strings.Count(quoted, "!") != strings.Count(quoted, `\!`) || strings.Contains(quoted, `"\!`) != strings.Contains(quoted, `"\!"`) {
			t.Errorf("%q is quoted as %s", word, quoted)
		}
	}
}

// TestAWordIsQuotedForTheShellsOfWindows has no such shell, and holds the rules of PowerShell.
func TestAWordIsQuotedForTheShellsOfWindows(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"plain": "plain", `C:\keys\key.pem`: `C:\keys\key.pem`, "two words": `"two words"`, "$HOME": `'$HOME'`, "it's $5": `'it''s $5'`, "": `""`, "a,b": `"a,b"`,
		"arn:aws:secretsmanager:us-east-1:000000000000:secret:rds!db-1-AbCdEf": "arn:aws:secretsmanager:us-east-1:000000000000:secret:rds!db-1-AbCdEf",
	} {
		if got := windowsWord(word); got != want {
			t.Errorf("%q is quoted as %s, want %s", word, got, want)
		}
	}
}
