package provision

import "encoding/json"

// plainStatement is a statement without MarshalJSON.
type plainStatement statement

// MarshalJSON writes the one action of a trust policy as a string, as AWS's own
// examples have it. IAM takes a list as well, but tools that read the trust of
// somebody's roles, such as ecspresso's verify, expect the string.
func (s statement) MarshalJSON() ([]byte, error) {
	if len(s.Principal) == 0 || len(s.Action) != 1 {
		return json.Marshal(plainStatement(s))
	}
	return json.Marshal(struct {
		plainStatement
		Action string `json:"Action"`
	}{plainStatement(s), s.Action[0]})
}
