package provision

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/pattern"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// EnvironmentSecret is the secret that holds what 'bookctl secret set' was given, by
// the names of the variables. The graph keeps and removes it; OwnSecrets fills it.
type EnvironmentSecret struct {
	graph.NodeOf[*liveEnvironment]
	identity
	secrets *secretsmanager.Client
}

// liveEnvironment is the secret as far as it is compared.
type liveEnvironment struct{ secretParts }

// environmentPart is its name in the graph.
const environmentPart = "secret-environment"

func newEnvironmentSecret(i identity, secrets *secretsmanager.Client) *EnvironmentSecret {
	s := &EnvironmentSecret{identity: i, secrets: secrets}
	s.NodeOf = graph.Of(s, environmentPart, 5*time.Minute)
	return s
}

func (s *EnvironmentSecret) secretName() string { return s.names().EnvironmentSecret() }

// Read looks the secret up by its name. It does not read the value.
func (s *EnvironmentSecret) Read(ctx context.Context) (*liveEnvironment, graph.State, error) {
	found, st, err := s.describeSecret(ctx, s.secrets, s.secretName())
	if found == nil || err != nil {
		return nil, st, err
	}
	live := s.Wanted(nil)
	live.secretParts = found.secretParts
	return live, st, nil
}

// Wanted implements graph.Shape.
func (s *EnvironmentSecret) Wanted(*liveEnvironment) *liveEnvironment {
	return &liveEnvironment{plainSecret(s.tags(s.Name()))}
}

// Attributes implements graph.Shape.
func (s *EnvironmentSecret) Attributes() graph.Attributes[*liveEnvironment] {
	return secretState(s.identity, s.secrets, s.secretName(), s.Name(), func(l *liveEnvironment) secretParts { return l.secretParts })
}

// Create refuses: whoever deleted the secret deleted the values, which nobody else has.
func (s *EnvironmentSecret) Create(context.Context) (string, error) {
	return "", hint.With(fmt.Errorf("secret %s is gone, and with it the values that the tasks had from it", s.secretName()),
		"set each again with %s, or do without it with %s", hint.Command("secret", "set", "NAME"), hint.Command("up", "--unset-env", "NAME"))
}

// Delete deletes the secret with its values.
func (s *EnvironmentSecret) Delete(ctx context.Context) error {
	return deleteSecret(ctx, s.secrets, s.secretName())
}

// OwnSecrets are the values that a stack keeps for its container. The zero value has
// none. It prints none of them.
type OwnSecrets struct {
	secret *EnvironmentSecret
	arn    string
	// replicaOf is the region of the secret that it is a replica of.
	replicaOf string
	// guard, unless it is nil, is asked before a write is repeated.
	guard func(context.Context) error
	// version is the one that values are of.
	version string
	values  map[string]json.RawMessage
}

// String keeps values out of whatever prints them.
func (o OwnSecrets) String() string { return strings.Join(o.Names(), " ") }

// GoString does the same for %#v.
func (o OwnSecrets) GoString() string { return o.String() }

// OwnSecret is what may be shown of a value.
type OwnSecret struct {
	Name string `json:"name"`
	// Changed is when it was set; nil where it was not by bookctl.
	Changed *time.Time `json:"changed,omitempty" doc:"When it was set; not known of one that was set by hand."`
	// InUse reports whether the newest release gives it to the container.
	InUse bool `json:"inUse" doc:"The newest release gives it to the container."`
}

// ownName is what shells take as the name of a variable.
var ownName = pattern.New(`^[A-Za-z_][A-Za-z0-9_]*$`)

// keyChanged is the key apart from the names, none of which it can be, that records when each
// was set.
const keyChanged = "bookctl:changed"

// mostSecret is how many bytes a secret has at most.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
const mostSecret = 65536

// ReadOwnSecrets reads what a stack keeps. One without a secret keeps nothing.
func ReadOwnSecrets(ctx context.Context, c Clients, stack string) (OwnSecrets, error) {
	if err := naming.CheckStack(stack); err != nil {
		return OwnSecrets{}, err
	}
	ident := identity{stack: stack, region: c.IAM.Options().Region}
	o := OwnSecrets{secret: newEnvironmentSecret(ident, c.Secrets), replicaOf: notReplica, values: map[string]json.RawMessage{}}
	live, st, err := o.secret.Read(ctx)
	if live == nil || err != nil {
		return o, err
	}
	if st.Owner != stack {
		return o, fmt.Errorf("secret %s: %w %s", o.secret.secretName(), graph.ErrUnmanaged, stack)
	}
	o.arn, o.replicaOf = st.ID, live.replicaOf
	if live.deletion != notDeleted {
		return o, hint.With(fmt.Errorf("secret %s is scheduled for deletion", o.secret.secretName()),
			"%s brings it back", hint.AWS("secretsmanager", "restore-secret", "--secret-id", o.secret.secretName()))
	}
	out, err := c.Secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &o.arn})
	if IsCode(err, "ResourceNotFoundException") {
		return o, nil // it has no value yet
	}
	if err != nil {
		return o, fmt.Errorf("read secret %s: %w", o.secret.secretName(), err)
	}
	o.version = aws.ToString(out.VersionId)
	if json.Unmarshal([]byte(aws.ToString(out.SecretString)), &o.values) != nil || o.values == nil {
		return o, fmt.Errorf("secret %s is no longer a JSON object: somebody changed it by hand", o.secret.secretName()) // the decoder's error could quote it
	}
	return o, nil
}

// Tagged is OwnSecrets of a stack with tags of its user: a secret that is made gets them.
func (o OwnSecrets) Tagged(tags Pairs) OwnSecrets {
	o.secret.userTags = tags
	return o
}

// Guarded is OwnSecrets whose writes are repeated only while guard, that of a lock, returns no
// error.
func (o OwnSecrets) Guarded(guard func(context.Context) error) OwnSecrets {
	o.guard = guard
	return o
}

// Names are those that have a value, sorted.
func (o OwnSecrets) Names() []string {
	var out []string
	for name := range o.values {
		if ownName.MatchString(name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// List describes each value; s are the settings that the stack was last given.
func (o OwnSecrets) List(s Settings) []OwnSecret {
	changed := o.changed()
	out := []OwnSecret{}
	for _, name := range o.Names() {
		one := OwnSecret{Name: name, InUse: isOwnOrigin(s.Secrets.Map()[name])}
		if at, ok := changed[name]; ok {
			one.Changed = &at
		}
		out = append(out, one)
	}
	return out
}

func (o OwnSecrets) changed() map[string]time.Time {
	out := map[string]time.Time{}
	_ = json.Unmarshal(o.values[keyChanged], &out) // what is edited by hand has no time
	return out
}

// CheckOwnSecret returns what is wrong with a name and a value, or nil. The error has
// nothing of the value.
func CheckOwnSecret(name, value string) error {
	switch {
	case !ownName.MatchString(name):
		return fmt.Errorf("variable %q: a name consists of letters, digits and _, and does not begin with a digit", name)
	case value == "":
		return fmt.Errorf("the value of %s is empty", name)
	case len(value) > mostSecret:
		return fmt.Errorf("the value of %s has more than the %d bytes that a secret holds", name, mostSecret)
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		return fmt.Errorf("the value of %s is not text, and a variable can hold only text", name)
	}
	return nil
}

// Set keeps a value. One that is kept already is left as it is.
func (o *OwnSecrets) Set(ctx context.Context, name, value string) error {
	if err := CheckOwnSecret(name, value); err != nil {
		return err
	}
	if have := ""; json.Unmarshal(o.values[name], &have) == nil && have == value {
		return nil
	}
	text, err := encoded(value)
	if err != nil {
		return fmt.Errorf("encode the value of %s: %w", name, err)
	}
	values, changed := maps.Clone(o.values), o.changed()
	values[name], changed[name] = text, time.Now().UTC().Truncate(time.Second)
	return o.put(ctx, values, changed)
}

// Unset no longer keeps the value of one of Names.
func (o *OwnSecrets) Unset(ctx context.Context, name string) error {
	values, changed := maps.Clone(o.values), o.changed()
	delete(values, name)
	delete(changed, name)
	return o.put(ctx, values, changed)
}

// encoded is a value as JSON, which is not to grow by what only HTML asks for.
func encoded(v any) (json.RawMessage, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return json.RawMessage(strings.TrimSuffix(b.String(), "\n")), err
}

func (o *OwnSecrets) put(ctx context.Context, values map[string]json.RawMessage, changed map[string]time.Time) error {
	if o.replicaOf != notReplica {
		return hint.With(fmt.Errorf("secret %s is a replica of the one in %s, and can't be written", o.secret.secretName(), o.replicaOf), "%s", ownAgain(o.secret.secretName()))
	}
	for name := range changed {
		if _, kept := values[name]; !kept {
			delete(changed, name)
		}
	}
	var err error
	if values[keyChanged], err = encoded(changed); err != nil {
		return fmt.Errorf("encode secret %s: %w", o.secret.secretName(), err)
	}
	all, err := encoded(values)
	if err != nil {
		return fmt.Errorf("encode secret %s: %w", o.secret.secretName(), err)
	}
	text := string(all)
	if len(text) > mostSecret {
		return fmt.Errorf("secret %s would have %d bytes, and Secrets Manager takes %d for all values together", o.secret.secretName(), len(text), mostSecret)
	}
	var version *string
	if o.arn == "" {
		out, err := o.create(ctx, text)
		if err != nil {
			return fmt.Errorf("create secret %s: %w", o.secret.secretName(), err)
		}
		o.arn, version = aws.ToString(out.ARN), out.VersionId
	} else {
		out, err := o.secret.secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &o.arn, SecretString: &text})
		if err != nil {
			return fmt.Errorf("put the value of secret %s: %w", o.secret.secretName(), err)
		}
		version = out.VersionId
	}
	// The next run puts what it reads back with its own value, and would lose others.
	if err := awaitVersion(ctx, o.secret.secrets, o.secret.secretName(), aws.ToString(version)); err != nil {
		return err
	}
	o.values, o.version = values, cmp.Or(aws.ToString(version), o.version)
	return nil
}

// nameKept is how long the name of the secret may stay taken after a destroy: "If you delete a
// secret and then immediately create a secret with the same name, use appropriate back off
// and retry logic."
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html
const nameKept = time.Minute

// create creates the secret with its first values.
func (o *OwnSecrets) create(ctx context.Context, text string) (*secretsmanager.CreateSecretOutput, error) {
	in := &secretsmanager.CreateSecretInput{
		Name: aws.String(o.secret.secretName()), SecretString: &text, Tags: toSecretTags(o.secret.tags(o.secret.Name())),
		Description: aws.String("Secret environment of bookctl stack " + o.secret.stack),
	}
	begun := time.Now()
	for pause := 500 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		out, err := o.secret.secrets.CreateSecret(ctx, in)
		if _, passes := Transient(err); err == nil || !passes || time.Since(begun) > nameKept {
			return out, err
		}
		if ended := graph.Sleep(ctx, pause); ended != nil {
			return nil, errors.Join(err, ended)
		}
		if o.guard != nil {
			if err := o.guard(ctx); err != nil {
				return nil, err
			}
		}
	}
}

// origin is where a task gets a value from. It names the version of the secret: a new
// value is a new release, and a release that is gone back to has the values that it
// had. https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html
func (o OwnSecrets) origin(name string) string { return o.arn + ":" + name + "::" + o.version }

// PastSecrets looks for those of a stack's own values that settings name, as an earlier
// release had them, which are unset since. An error names those that can't be had any
// more: a task that is to get them does not start.
func PastSecrets(ctx context.Context, c Clients, stack string, s Settings) (unset []string, err error) {
	names, origins := s.OwnSecrets(), s.Secrets.Map()
	if len(names) == 0 {
		return nil, nil
	}
	own, err := ReadOwnSecrets(ctx, c, stack)
	if err != nil {
		return nil, err
	}
	var (
		lost []string
		read = map[string]map[string]json.RawMessage{} // by ARN and version
	)
	for _, name := range names {
		from := secretFrom.FindStringSubmatch(origins[name])
		arn, key, version := from[1], from[2], from[4]
		values, ok := read[arn+version]
		if !ok {
			if values, err = own.secret.version(ctx, arn, version); err != nil {
				return nil, err
			}
			read[arn+version] = values
		}
		if _, kept := values[key]; !kept {
			lost = append(lost, name)
		} else if _, kept := own.values[key]; !kept {
			unset = append(unset, name)
		}
	}
	if lost != nil {
		return nil, fmt.Errorf("the values that it had of %s are no longer in secret %s, and its tasks would not start", strings.Join(lost, ", "), own.secret.secretName())
	}
	return unset, nil
}

// version reads the values of one version of the secret; there are none of one that is
// gone.
func (s *EnvironmentSecret) version(ctx context.Context, arn, version string) (map[string]json.RawMessage, error) {
	in := &secretsmanager.GetSecretValueInput{SecretId: &arn}
	if version != "" {
		in.VersionId = &version
	}
	out, err := s.secrets.GetSecretValue(ctx, in)
	if IsCode(err, "ResourceNotFoundException") {
		return nil, nil //nolint:nilnil // none
	}
	if err != nil {
		return nil, fmt.Errorf("read secret %s: %w", s.secretName(), err)
	}
	var values map[string]json.RawMessage
	_ = json.Unmarshal([]byte(aws.ToString(out.SecretString)), &values) // what is no JSON has no keys
	return values, nil
}

// Give has the container get these values in addition to those of the stack's own that it has.
// All are of the newest version, since Secrets Manager keeps a hundred of them. It
// returns the names that the container had and that have no value any more; those it no
// longer gets.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
func (o OwnSecrets) Give(s *Settings, names ...string) (lost []string) {
	give := map[string]string{}
	for _, name := range names {
		give[name] = o.origin(name)
	}
	for name, from := range s.Secrets.Map() {
		_, kept := o.values[name]
		switch {
		case !isOwnOrigin(from):
		case kept:
			give[name] = o.origin(name)
		default:
			lost = append(lost, name)
		}
	}
	slices.Sort(lost)
	s.GiveEnvironment(nil, give, lost)
	return lost
}

// AddUnservedSecrets gives the container of a stack that has no service yet all values that
// were set beforehand, but for the names that it has otherwise.
func (d *Deployed) AddUnservedSecrets(ctx context.Context, c Clients, s *Settings) error {
	if d.Service() {
		return nil
	}
	o, err := ReadOwnSecrets(ctx, c, d.stack)
	if err != nil {
		return err
	}
	d.unserved = &o.version
	env, secrets := s.Env.Map(), s.Secrets.Map()
	o.Give(s, slices.DeleteFunc(o.Names(), func(name string) bool {
		_, plain := env[name]
		_, hidden := secrets[name]
		return plain || hidden
	})...)
	return nil
}
