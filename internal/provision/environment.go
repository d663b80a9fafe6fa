package provision

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/pattern"
)

// Pairs are names with values, as the text of a JSON object with sorted keys, so that
// Settings can be compared. The zero value is none.
type Pairs string

// NewPairs writes pairs down.
func NewPairs(of map[string]string) Pairs {
	if len(of) == 0 {
		return ""
	}
	text, err := json.Marshal(of)
	if err != nil {
		panic(err) // maps of strings always encode
	}
	return Pairs(text)
}

// Map returns the pairs as a map of the caller's own.
func (p Pairs) Map() map[string]string {
	out := map[string]string{}
	if p != "" && json.Unmarshal([]byte(p), &out) != nil {
		panic("provision: Pairs that NewPairs has not made")
	}
	return out
}

// Names are the names in their order, without the values.
func (p Pairs) Names() []string { return slices.Sorted(maps.Keys(p.Map())) }

// String keeps values out of whatever prints pairs.
func (p Pairs) String() string { return strings.Join(p.Names(), " ") }

// GoString does the same for %#v.
func (p Pairs) GoString() string { return p.String() }

// variableName is what programs and shells read; Spring's have dots.
var variableName = pattern.New(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// mostEnvironment leaves room in a task definition, which has at most 64 KiB:
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html
const mostEnvironment = 48 << 10

// takeBack is what to do about a variable that may be deployed.
const takeBack = "leave it out, or remove it with --unset-env"

// checkEnvironment returns what is wrong with the environment, and what to do; "" for nothing. It never
// repeats a value.
func (s Settings) checkEnvironment() (why, next string) {
	size := 0
	env, secrets := s.Env.Map(), s.Secrets.Map()
	for _, all := range []map[string]string{env, secrets} {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			size += len(name) + len(all[name])
			switch why := s.reserved(name); {
			case !variableName.MatchString(name):
				return fmt.Sprintf("variable %q: a name consists of letters, digits and _ . -, and does not begin with a digit", name), "choose another name"
			case why != "":
				return fmt.Sprintf("variable %s is set by bookctl: %s", name, why), takeBack
			}
		}
	}
	for name := range secrets {
		if _, both := env[name]; both {
			return fmt.Sprintf("variable %s can't be a secret and have a value as well", name), takeBack
		}
	}
	if size > mostEnvironment {
		return fmt.Sprintf("an environment of %d bytes: ECS takes task definitions of 64 KiB in all", size), takeBack
	}
	return "", ""
}

// reserved returns the reason why a variable is bookctl's own to set, or "".
func (s Settings) reserved(name string) string {
	if why := ownVariable(name); why != "" {
		return why
	}
	if _, ours := s.databaseVariables()[name]; ours {
		return "it is part of the connection to the stack's database"
	}
	return ""
}

// ownVariable is reserved for the variables that no setting names.
func ownVariable(name string) string {
	switch name {
	case "PORT":
		return "--container-port chooses it"
	case "TASK_CPU", "TASK_MEMORY":
		return "--cpu and --memory choose it"
	case envDrain:
		return "--spot chooses it"
	case envSecret:
		return "it names the secret of the database"
	}
	return ""
}

// connectionPart is a part of the connection to the database.
type connectionPart string

// The parts that --db-env knows.
const (
	partHost     connectionPart = "endpoint"
	partPort     connectionPart = "port"
	partName     connectionPart = "dbname"
	partUser     connectionPart = "username"
	partPassword connectionPart = "password"
	partURL      connectionPart = "url"
	partTLS      connectionPart = "sslmode"
	partRoot     connectionPart = "sslrootcert"
)

// secretKey is the key of the secret that has what only tasks may see. What the
// URL says of TLS is in its key.
func (s Settings) secretKey(part connectionPart) string {
	switch {
	case part == partURL && s.sslMode() == verifyFull:
		return keyVerifiedURL
	case part == partURL:
		return keyURL
	case part == partUser || part == partPassword:
		return string(part)
	}
	return ""
}

const verifyFull = "verify-full"

// sslMode is how a task has to connect: RDS has authorities of its own, which an
// image has or has not (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html).
func (s Settings) sslMode() string {
	if s.LocatesDatabase || s.DatabaseAuthority != "" {
		return verifyFull
	}
	return "require"
}

// DatabaseTLS is how a task has to connect to the database, as libpq's sslmode, and
// why so.
func (s Settings) DatabaseTLS() (mode, why string) {
	switch mode = s.sslMode(); {
	case s.DatabaseAuthority != "":
		return mode, "the image has the certificate authorities of Amazon RDS: " + s.DatabaseAuthority
	case s.LocatesDatabase:
		return mode, "the program has the certificate authorities of Amazon RDS"
	}
	return mode, "encrypted; most clients do not verify the server then, Node's do: the image does not say that it has the certificate authorities of Amazon RDS (label database-authority)"
}

// databaseVariables are the variables that give a task the connection, by name.
func (s Settings) databaseVariables() map[string]connectionPart {
	if s.NoDatabase {
		return nil
	}
	out := map[string]connectionPart{
		envHost: partHost, envPort: partPort, "DB_NAME": partName, "DB_USERNAME": partUser, "DB_PASSWORD": partPassword, "DB_SSLMODE": partTLS,
	}
	if s.LocatesDatabase {
		return out // it reads these
	}
	maps.Copy(out, map[string]connectionPart{
		"DATABASE_URL": partURL,
		// https://www.postgresql.org/docs/current/libpq-envars.html
		"PGHOST": partHost, "PGPORT": partPort, "PGDATABASE": partName, "PGUSER": partUser, "PGPASSWORD": partPassword, "PGSSLMODE": partTLS,
	})
	if s.DatabaseAuthority != "" {
		out["DB_SSLROOTCERT"], out["PGSSLROOTCERT"] = partRoot, partRoot
	}
	names, _ := parseDBEnv(s.DBEnv) // checked with the settings
	maps.Copy(out, names)
	return out
}

// DatabaseVariables are the names of the variables by which a container is given its
// database, sorted.
func (s Settings) DatabaseVariables() []string {
	names := slices.Sorted(maps.Keys(s.databaseVariables()))
	if s.LocatesDatabase && !s.NoDatabase {
		names = append(names, envSecret)
	}
	slices.Sort(names)
	return names
}

// parseDBEnv reads --db-env: host=endpoint,username=username. The names come first, as
// the program reads them.
func parseDBEnv(text string) (map[string]connectionPart, error) {
	out := map[string]connectionPart{}
	for pair := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, part, _ := strings.Cut(strings.TrimSpace(pair), "=")
		switch p := connectionPart(strings.TrimSpace(part)); p {
		case partHost, partPort, partName, partUser, partPassword, partURL, partTLS:
			if !variableName.MatchString(name) {
				return nil, fmt.Errorf("%q is not the name of a variable", name)
			}
			if why := ownVariable(name); why != "" {
				return nil, fmt.Errorf("variable %s is set by bookctl: %s", name, why)
			}
			out[name] = p
		default:
			return nil, fmt.Errorf("%q is not part of a connection; the parts are endpoint, port, dbname, username, password, url and sslmode", part)
		}
	}
	return out, nil
}

// readEnvironment takes what the user gave to a container from its definition: what
// is not bookctl's own.
func (s *Settings) readEnvironment(d types.ContainerDefinition) {
	env, secrets := map[string]string{}, map[string]string{}
	s.DatabaseAuthority = ""
	for _, e := range d.Environment {
		if aws.ToString(e.Name) == "PGSSLROOTCERT" && !s.NoDatabase {
			s.DatabaseAuthority = aws.ToString(e.Value)
		}
	}
	for _, e := range d.Environment {
		if s.reserved(aws.ToString(e.Name)) == "" {
			env[aws.ToString(e.Name)] = aws.ToString(e.Value)
		}
	}
	for _, e := range d.Secrets {
		if s.reserved(aws.ToString(e.Name)) == "" {
			secrets[aws.ToString(e.Name)] = aws.ToString(e.ValueFrom)
		}
	}
	s.Env, s.Secrets = NewPairs(env), NewPairs(secrets)
}

// GiveEnvironment sets and removes variables and secrets of the container. A name is
// one or the other, as it was said last.
func (s *Settings) GiveEnvironment(set, secrets map[string]string, unset []string) {
	env, hidden := s.Env.Map(), s.Secrets.Map()
	for _, name := range unset {
		delete(env, name)
		delete(hidden, name)
	}
	for name, value := range set {
		env[name] = value
		delete(hidden, name)
	}
	for name, from := range secrets {
		hidden[name] = from
		delete(env, name)
	}
	s.Env, s.Secrets = NewPairs(env), NewPairs(hidden)
}

// secretFrom is what ECS takes as the origin of a variable: the full ARN of a secret, with
// or without a key, a version's stage and id, or that of a parameter. The name of a secret
// that AWS manages has a "!".
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Secret.html
var (
	secretFrom    = pattern.New(`^(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@!-]+-[A-Za-z0-9]{6})(?::([^:]*):([^:]*):([^:]*))?$`)
	parameterFrom = pattern.New(`^arn:aws[a-z-]*:ssm:[a-z0-9-]+:[0-9]{12}:parameter/[A-Za-z0-9/_.-]+$`)
	// partialSecret is the ARN of a secret, perhaps without its last six characters, and a key.
	partialSecret = pattern.New(`^(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@!-]+)(?::[^:]*){0,3}$`)
)

// ParseSecretOrigin reads what --secret takes behind the name: ARN, or ARN:key of a
// secret that is JSON.
func ParseSecretOrigin(text string) (string, error) {
	if parameterFrom.MatchString(text) || secretFrom.MatchString(text) {
		return text, nil
	}
	// ARN:key is short for ARN:key::, which is the form of ECS.
	if at := strings.LastIndexByte(text, ':'); at > 0 && secretFrom.MatchString(text[:at]) && !strings.Contains(text[at+1:], ":") && text[at+1:] != "" {
		return text + "::", nil
	}
	if why := partialARN(text); !why.Empty() {
		return "", hint.Errorf("%q %s", text, why)
	}
	return "", fmt.Errorf("%q is not the ARN of a secret in Secrets Manager (with :KEY for one of its keys) or of a parameter in Parameter Store", text)
}

// partialARN is what is wrong with the ARN of a secret that is not the full one; empty for
// anything else. Secrets Manager finds the secret all the same, but IAM allows only what its
// policy names, which is compared with the full ARN.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html#ARN_secretnamehyphen
func partialARN(text string) hint.Message {
	m := partialSecret.FindStringSubmatch(text)
	if m == nil {
		return hint.Message{}
	}
	return hint.New("is not the full ARN of a secret, which ends with a hyphen and six characters: %s prints it", describeSecret(m[1]))
}

func describeSecret(arn string) hint.Invocation {
	return hint.AWS("secretsmanager", "describe-secret", "--secret-id", strings.ReplaceAll(arn, "!", `\!`), "--query", "ARN", "--output", "text")
}

// SecretOrigins are where the container's secrets come from, as ParseSecretOrigin reads
// it, by the names of their variables; but for those of OwnSecrets.
func (s Settings) SecretOrigins() map[string]string {
	out := map[string]string{}
	for name, from := range s.Secrets.Map() {
		if !isOwnOrigin(from) {
			out[name] = strings.TrimSuffix(from, "::")
		}
	}
	return out
}

// OwnSecrets are the variables whose values 'bookctl secret set' keeps, sorted.
func (s Settings) OwnSecrets() []string {
	from := s.Secrets.Map()
	return slices.DeleteFunc(s.Secrets.Names(), func(name string) bool { return !isOwnOrigin(from[name]) })
}

// ownSecrets is how many secrets of the stack's own there are, which cost.
func (s Settings) ownSecrets() int32 {
	n := int32(0)
	if !s.NoDatabase {
		n++
	}
	if len(s.OwnSecrets()) > 0 {
		n++
	}
	return n
}

// isOwnOrigin reports whether a variable comes from the secret of a stack that 'bookctl
// secret set' fills. Only the stack itself has reason to use it.
func isOwnOrigin(from string) bool {
	m := secretFrom.FindStringSubmatch(from)
	return m != nil && ownSecret.MatchString(m[1])
}

// ownSecret is the end of the ARN of a secret called as naming.Names.EnvironmentSecret.
var ownSecret = pattern.New(`:secret:[a-z0-9-]+/environment-[A-Za-z0-9]{6}$`)

// secretReads are what the execution role has to be allowed for the container's
// secrets, whatever key they are encrypted with.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_execution_IAM_role.html#task-execution-secrets
func (s Settings) secretReads() []statement {
	var out []statement
	done := map[string]bool{}
	for _, name := range s.Secrets.Names() {
		from := s.Secrets.Map()[name]
		if m := secretFrom.FindStringSubmatch(from); m != nil {
			from = m[1]
		}
		if done[from] {
			continue
		}
		done[from] = true
		if parameterFrom.MatchString(from) {
			out = append(out, parameterRead(from)...)
		} else {
			out = append(out, registryLogin(from)...)
		}
	}
	return out
}
