package provision

import (
	"encoding/json"
	"errors"
	"strings"
)

// splitWords takes a command line apart: a list of words in JSON, or words as a shell
// reads them, with quotes and backslashes and without variables and patterns.
func splitWords(text string) ([]string, error) {
	if strings.HasPrefix(strings.TrimSpace(text), "[") {
		var words []string
		if err := json.Unmarshal([]byte(text), &words); err != nil {
			return nil, errors.New("it begins with [ and is not a JSON list of words")
		}
		return words, nil
	}
	var (
		words []string
		word  strings.Builder
		begun bool
		quote rune
	)
	runes := []rune(text)
	for i := 0; i < len(runes); i++ {
		r := runes[i]
		switch {
		case quote == '\'' && r != '\'':
			word.WriteRune(r)
		case r == '\\' && (quote == 0 || i+1 < len(runes) && strings.ContainsRune(`"\$`+"`", runes[i+1])):
			if i++; i == len(runes) {
				return nil, errors.New("it ends with a backslash")
			}
			word.WriteRune(runes[i])
			begun = true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, begun = r, true
		case strings.ContainsRune(" \t\r\n", r):
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	if quote != 0 {
		return nil, errors.New("a quote is not closed")
	}
	if begun {
		words = append(words, word.String())
	}
	return words, nil
}

// joinWords is the command line that splitWords takes apart into those words.
func joinWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		safe := strings.Trim(w, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%+,-./:=@_") == "" && w != ""
		if quoted[i] = w; !safe {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

// wordsText is a command line in its one form, or as it was where it is none.
func wordsText(text string) string {
	words, err := splitWords(text)
	if err != nil {
		return text
	}
	return joinWords(words)
}

// healthCommand is the command of ECS' health check for the text of --health-command,
// by the rule of Dockerfiles: a list in JSON is run as it is, all else by the shell.
func healthCommand(text string) ([]string, error) {
	if !strings.HasPrefix(text, "[") {
		return []string{"CMD-SHELL", text}, nil
	}
	words, err := splitWords(text)
	if err == nil && len(words) == 0 {
		err = errors.New("it is an empty list")
	}
	return append([]string{"CMD"}, words...), err
}

// healthText is the text of a health check's command.
func healthText(command []string) string {
	switch {
	case len(command) < 2:
		return ""
	case command[0] == "CMD-SHELL":
		return strings.Join(command[1:], " ")
	case command[0] == "CMD":
		command = command[1:]
	}
	text, err := json.Marshal(command)
	if err != nil {
		panic(err) // strings always encode
	}
	return string(text)
}

// tagText is a text as tags can hold it, which take letters, digits, spaces and
// + - = . _ : / @ alone: other bytes become = and two hexadecimal digits.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Tag.html
func tagText(text string) string {
	const hex = "0123456789ABCDEF"
	var out strings.Builder
	for _, b := range []byte(text) {
		switch {
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9', strings.IndexByte("+-._:/@", b) >= 0:
			out.WriteByte(b)
		default:
			out.WriteString("=" + string(hex[b>>4]) + string(hex[b&15]))
		}
	}
	return out.String()
}

// fromTagText undoes tagText.
func fromTagText(text string) string {
	digit := func(b byte) int { return strings.IndexByte("0123456789ABCDEF", b) }
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '=' && i+2 < len(text) && digit(text[i+1]) >= 0 && digit(text[i+2]) >= 0 {
			out.WriteByte(byte(digit(text[i+1])<<4 | digit(text[i+2])))
			i += 2
			continue
		}
		out.WriteByte(text[i])
	}
	return out.String()
}
