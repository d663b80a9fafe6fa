package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision/graph"
	"github.com/bookctl/bookctl/internal/sorted"
)

// CheckSecrets fails if a secret or parameter does not exist that a task could not start
// without: one that its container, or the login of its image, comes from. Those that are
// deployed already are not asked for. It reads no values, so it does not see
// whether a secret has the key that is to be read. The warnings are what could not be checked.
func CheckSecrets(ctx context.Context, c Clients, account string, want, have Settings) (warnings []string, err error) {
	g := externalSecrets{clients: c, account: account}
	deployed := have.Secrets.Map()
	for name, from := range want.Secrets.Map() {
		if from != deployed[name] && !isOwnOrigin(from) {
			g.add(name, from)
		}
	}
	if want.RegistrySecret != have.RegistrySecret && want.RegistrySecret != "" {
		g.add("--registry-secret", want.RegistrySecret)
	}
	return g.check(ctx)
}

// externalSecrets are secrets and parameters that somebody else keeps.
type externalSecrets struct {
	clients    Clients
	account    string
	secrets    []externalSecret
	parameters []externalSecret
}

// externalSecret is one of the externalSecrets, and what comes from it.
type externalSecret struct {
	arn string
	of  []string
}

func (s externalSecret) String() string {
	return s.arn + " (of " + strings.Join(slices.Sorted(slices.Values(s.of)), ", ") + ")"
}

func (g *externalSecrets) add(of, from string) {
	all, arn := &g.parameters, from
	if m := secretFrom.FindStringSubmatch(from); m != nil {
		all, arn = &g.secrets, m[1]
	}
	i := slices.IndexFunc(*all, func(s externalSecret) bool { return s.arn == arn })
	if i < 0 {
		i = len(*all)
		*all = append(*all, externalSecret{arn: arn})
	}
	(*all)[i].of = append((*all)[i].of, of)
}

func (g *externalSecrets) check(ctx context.Context) (warnings []string, err error) {
	byARN := func(x, y externalSecret) int { return strings.Compare(x.arn, y.arn) }
	sorted.By(g.secrets, byARN)
	sorted.By(g.parameters, byARN)
	warn := func(of externalSecret, why string) {
		warnings = append(warnings, fmt.Sprintf("whether there is %s can't be seen: %s", of, why))
	}
	elsewhere := func(s externalSecret) bool {
		part := strings.SplitN(s.arn, ":", 6) // arn, partition, service, region, account
		if part[3] == g.clients.Secrets.Options().Region && part[4] == g.account {
			return false
		}
		warn(s, fmt.Sprintf("it is in account %s, region %s", part[4], part[3]))
		return true
	}
	g.secrets, g.parameters = slices.DeleteFunc(g.secrets, elsewhere), slices.DeleteFunc(g.parameters, elsewhere)
	var (
		reads   graph.Group
		found   = make([]error, len(g.secrets))
		there   map[string]bool
		refused error
	)
	for i, s := range g.secrets {
		reads.Go(func() error {
			found[i] = describeExternal(ctx, g.clients.Secrets, s)
			return nil
		})
	}
	if len(g.parameters) > 0 {
		reads.Go(func() error {
			there, refused = listParameters(ctx, g.clients.SSM, g.parameters)
			return nil
		})
	}
	if err := reads.Wait(); err != nil {
		return nil, err
	}
	var errs []error
	for i, s := range g.secrets {
		if action, denied := Denied(found[i]); denied {
			warn(s, action+" is not allowed")
		} else if found[i] != nil {
			errs = append(errs, found[i])
		}
	}
	action, denied := Denied(refused)
	if refused != nil && !denied {
		errs = append(errs, fmt.Errorf("look for parameters: %w", refused))
	}
	for _, p := range g.parameters {
		switch {
		case denied:
			warn(p, action+" is not allowed")
		case refused == nil && !slices.ContainsFunc(parameterNames(p.arn), func(name string) bool { return there[name] }):
			errs = append(errs, hint.With(fmt.Errorf("there is no parameter %s in Parameter Store", p), "create it, or give the ARN of another one"))
		}
	}
	return warnings, errors.Join(errs...)
}

// describeExternal fails if a secret is not there, or about to be deleted.
func describeExternal(ctx context.Context, c *secretsmanager.Client, s externalSecret) error {
	out, err := c.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &s.arn})
	switch {
	case IsCode(err, "ResourceNotFoundException"):
		return hint.With(fmt.Errorf("there is no secret %s in Secrets Manager", s), "create it, or give the ARN of another one: %s prints it", hint.AWS("secretsmanager", "describe-secret", "--secret-id", "NAME", "--query", "ARN", "--output", "text"))
	case err != nil:
		return fmt.Errorf("describe secret %s: %w", s, err)
	case out.DeletedDate != nil:
		return hint.With(fmt.Errorf("secret %s is scheduled for deletion, and can't be read", s), "restore it, or give the ARN of another one")
	case aws.ToString(out.ARN) != s.arn:
		return hint.Errorf("secret %s: its full ARN is %s, and tasks may read it by no other", s, *out.ARN)
	}
	return nil
}

// parameterNames are the names that a parameter with the ARN can have: the ARN of b and that
// of /b are the same.
func parameterNames(arn string) []string {
	_, name, _ := strings.Cut(arn, ":parameter")
	if strings.LastIndexByte(name, '/') > 0 {
		return []string{name}
	}
	return []string{name, strings.TrimPrefix(name, "/")}
}

// listParameters returns which of the names of parameters there are. A page may be empty
// although another one follows.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeParameters.html
func listParameters(ctx context.Context, c *ssm.Client, all []externalSecret) (map[string]bool, error) {
	there := map[string]bool{}
	var names []string
	for _, p := range all {
		names = append(names, parameterNames(p.arn)...)
	}
	const most = 50 // values of a filter
	for some := range slices.Chunk(names, most) {
		in := &ssm.DescribeParametersInput{ParameterFilters: []ssmtypes.ParameterStringFilter{{Key: aws.String("Name"), Option: aws.String("Equals"), Values: some}}}
		for {
			out, err := c.DescribeParameters(ctx, in)
			if err != nil {
				return nil, err
			}
			for _, p := range out.Parameters {
				there[aws.ToString(p.Name)] = true
			}
			if aws.ToString(out.NextToken) == "" {
				break
			}
			in.NextToken = out.NextToken
		}
	}
	return there, nil
}
