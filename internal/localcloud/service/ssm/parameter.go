package ssm

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/pattern"
)

// state is what SSM's parameter store keeps.
type state struct {
	Parameters []*parameter `json:"parameters,omitempty"`
	// Gone is when parameters were deleted, by name.
	Gone map[string]time.Time `json:"gone,omitempty"`
}

type parameter struct {
	Name        string              `json:"name"`
	Type        types.ParameterType `json:"type"`
	Description string              `json:"description,omitempty"`
	Tags        map[string]string   `json:"tags,omitempty"`
	Advanced    bool                `json:"advanced,omitempty"`
	Versions    []parameterVersion  `json:"versions"` // the last one is current
}

// parameterVersion is a value, kept sealed whatever its type: a lock's holder is
// no secret, and one rule is simpler than two.
type parameterVersion struct {
	Number  int64     `json:"number"`
	Sealed  string    `json:"sealed"`
	Changed time.Time `json:"changed"`
	Labels  []string  `json:"labels,omitempty"`
}

func (p *parameter) tier() types.ParameterTier {
	if p.Advanced {
		return types.ParameterTierAdvanced
	}
	return types.ParameterTierStandard
}

// advances reports whether a request makes its parameter an advanced one: "if you don't specify
// a tier in a request, Parameter Store assigns the tier based on the current Parameter Store
// default tier configuration."
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
func (a tx) advances(in *ssm.PutParameterInput) bool {
	return in.Tier == types.ParameterTierAdvanced || in.Tier == "" && a.Faults().AdvancedParameters
}

func (p *parameter) current() parameterVersion { return p.Versions[len(p.Versions)-1] }

// API is the service's operations.
func (s *Service) API() kernel.Service {
	return kernel.Service{Model: "ssm", Signing: "ssm", Protocol: kernel.JSON, Limits: limits, Operations: kernel.Operations(s.in,
		kernel.Op("AddTagsToResource", tx.AddTagsToResource),
		kernel.Op("DeleteParameter", tx.DeleteParameter),
		kernel.Op("DeleteParameters", tx.DeleteParameters),
		kernel.Op("DescribeParameters", tx.DescribeParameters),
		kernel.Op("GetParameter", tx.GetParameter),
		kernel.Op("GetParameterHistory", tx.GetParameterHistory),
		kernel.Op("GetParameters", tx.GetParameters),
		kernel.Op("GetParametersByPath", tx.GetParametersByPath),
		kernel.Op("LabelParameterVersion", tx.LabelParameterVersion),
		kernel.Op("ListTagsForResource", tx.ListTagsForResource),
		kernel.Op("PutParameter", tx.PutParameter),
		kernel.Op("RemoveTagsFromResource", tx.RemoveTagsFromResource),
		kernel.Op("StartSession", tx.StartSession),
	)}
}

func (a tx) parameterARN(name string) string {
	return a.ARN("ssm", "parameter/"+strings.TrimPrefix(name, "/"))
}

func (a tx) find(name string) *parameter {
	for _, p := range a.state().Parameters {
		if (p.Name == name || a.parameterARN(p.Name) == name) && a.Visible(a.parameterARN(p.Name)) {
			return p
		}
	}
	return nil
}

// selected finds the version that NAME, NAME:VERSION or NAME:LABEL names.
func (a tx) selected(text string) (*parameter, parameterVersion, string, error) {
	if p := a.find(text); p != nil {
		return p, p.current(), "", nil
	}
	if at := strings.LastIndex(text, ":"); at > 0 {
		if p := a.find(text[:at]); p != nil {
			selector := text[at+1:]
			for _, v := range p.Versions {
				if strconv.FormatInt(v.Number, 10) == selector || slices.Contains(v.Labels, selector) {
					return p, v, ":" + selector, nil
				}
			}
			return nil, parameterVersion{}, "", kernel.Fail("ParameterVersionNotFound", "Systems Manager could not find version %s of %s. Verify the version and try again.", selector, p.Name)
		}
	}
	return nil, parameterVersion{}, "", kernel.Fail("ParameterNotFound", "")
}

// value is a parameter's current value, for tasks.
func (a tx) value(name string) (string, error) {
	_, v, _, err := a.selected(name)
	if err != nil {
		return "", err
	}
	return a.Unseal(v.Sealed)
}

func (a tx) parameter(p *parameter, v parameterVersion, selector string, decrypt *bool) (types.Parameter, error) {
	value, err := a.clear(p, v, decrypt)
	if err != nil {
		return types.Parameter{}, err
	}
	return types.Parameter{
		ARN: aws.String(a.parameterARN(p.Name)), Name: aws.String(p.Name), Type: p.Type, Value: &value, Version: v.Number,
		LastModifiedDate: aws.Time(v.Changed), DataType: aws.String("text"), Selector: kernel.NonEmpty(selector),
	}, nil
}

// clear is the value as the caller may see it: a SecureString needs decryption.
func (a tx) clear(p *parameter, v parameterVersion, decrypt *bool) (string, error) {
	if p.Type == types.ParameterTypeSecureString && !aws.ToBool(decrypt) {
		return v.Sealed, nil
	}
	value, err := a.Unseal(v.Sealed)
	if err != nil {
		return "", fmt.Errorf("unseal parameter %s: %w", p.Name, err)
	}
	return value, nil
}

var parameterName = pattern.New(`^[A-Za-z0-9_./-]+$`)

// PutParameter creates a parameter or, only with Overwrite, a new version of it.
// Without it one caller of several wins, which makes it a lock.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
func (a tx) PutParameter(in *ssm.PutParameterInput) (*ssm.PutParameterOutput, error) {
	name, value := aws.ToString(in.Name), aws.ToString(in.Value)
	overwrite := aws.ToBool(in.Overwrite)
	switch first := strings.ToLower(strings.TrimPrefix(name, "/")); {
	case !parameterName.MatchString(name), len(name) > 1011, strings.Contains(name, "/") && !strings.HasPrefix(name, "/"), strings.HasSuffix(name, "/"):
		return nil, kernel.Fail("ValidationException", "Parameter name must be a fully qualified name.")
	case strings.HasPrefix(first, "aws"), strings.HasPrefix(first, "ssm"):
		return nil, kernel.Fail("ValidationException", "Parameter name: can't be prefixed with \"aws\" or \"ssm\" (case-insensitive). If formed as a path, it can consist of sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_")
	case strings.Count(name, "/") > 15:
		return nil, kernel.Fail("HierarchyLevelLimitExceededException", "A hierarchy can have a maximum of 15 levels.")
	case value == "":
		return nil, kernel.Fail("ValidationException", "1 validation error detected: Value '' at 'value' failed to satisfy constraint: Member must have length greater than or equal to 1.")
	case len(value) > 4096 && in.Tier != types.ParameterTierAdvanced || len(value) > 8192:
		return nil, kernel.Fail("ValidationException", "Standard tier parameters support a maximum parameter value of 4096 characters.")
	case overwrite && len(in.Tags) > 0:
		return nil, kernel.Fail("ValidationException", "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or RemoveTagsFromResource.")
	}
	if in.AllowedPattern != nil {
		pattern, err := regexp.Compile(*in.AllowedPattern)
		if err != nil {
			return nil, kernel.Fail("InvalidAllowedPatternException", "The pattern %s is not valid.", *in.AllowedPattern)
		}
		if !pattern.MatchString(value) {
			return nil, kernel.Fail("ParameterPatternMismatchException", "Parameter value, cannot be validated against allowedPattern: %s", *in.AllowedPattern)
		}
	}
	if a.tooManyUpdates() {
		return nil, kernel.Fail("TooManyUpdates", "")
	}
	at := slices.IndexFunc(a.state().Parameters, func(p *parameter) bool { return p.Name == name })
	if at < 0 && !a.nameFree(name) {
		return nil, kernel.Fail("TooManyUpdates", "Failed to create the parameter since stale tags associated to the name detected. Please retry in a while or change a parameter name.")
	}
	if at < 0 {
		switch in.Type {
		case types.ParameterTypeString, types.ParameterTypeStringList, types.ParameterTypeSecureString:
		default:
			return nil, kernel.Fail("ValidationException", "A parameter type is required when you create a parameter.")
		}
		tags := map[string]string{}
		for _, t := range in.Tags {
			tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
		}
		p := &parameter{Name: name, Type: in.Type, Description: aws.ToString(in.Description), Tags: tags, Advanced: a.advances(in)}
		p.Versions = []parameterVersion{{Number: 1, Sealed: a.Seal(value), Changed: a.Now()}}
		a.state().Parameters = append(a.state().Parameters, p)
		a.Created(a.parameterARN(name))
		return &ssm.PutParameterOutput{Version: 1, Tier: p.tier()}, nil
	}
	if !overwrite {
		return nil, kernel.Fail("ParameterAlreadyExists", "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")
	}
	p := a.state().Parameters[at]
	if p.Advanced && in.Tier == types.ParameterTierStandard {
		return nil, kernel.Fail("ValidationException", "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the advanced-parameter tier to the standard-parameter tier. If necessary, you can delete the advanced parameter and recreate it as a standard parameter.")
	}
	p.Advanced = p.Advanced || a.advances(in)
	if in.Type != "" {
		p.Type = in.Type
	}
	if in.Description != nil {
		p.Description = *in.Description
	}
	v := parameterVersion{Number: p.current().Number + 1, Sealed: a.Seal(value), Changed: a.Now()}
	p.Versions = append(p.Versions, v)
	if len(p.Versions) > 100 { // the oldest goes
		p.Versions = p.Versions[1:]
	}
	return &ssm.PutParameterOutput{Version: v.Number, Tier: p.tier()}, nil
}

func (a tx) GetParameter(in *ssm.GetParameterInput) (*ssm.GetParameterOutput, error) {
	p, v, selector, err := a.selected(aws.ToString(in.Name))
	if err != nil {
		return nil, err
	}
	out, err := a.parameter(p, v, selector, in.WithDecryption)
	return &ssm.GetParameterOutput{Parameter: &out}, err
}

func (a tx) GetParameters(in *ssm.GetParametersInput) (*ssm.GetParametersOutput, error) {
	out := &ssm.GetParametersOutput{Parameters: []types.Parameter{}, InvalidParameters: []string{}}
	for _, name := range in.Names {
		p, v, selector, err := a.selected(name)
		if err != nil {
			out.InvalidParameters = append(out.InvalidParameters, name)
			continue
		}
		x, err := a.parameter(p, v, selector, in.WithDecryption)
		if err != nil {
			return nil, err
		}
		out.Parameters = append(out.Parameters, x)
	}
	return out, nil
}

func ssmPage[T any](all []T, limit *int32, usual int, token *string) ([]T, *string, error) {
	if limit != nil && *limit > 0 {
		usual = int(min(*limit, 50))
	}
	return kernel.PageOf(all, token, usual, kernel.Fail("InvalidNextToken", "The specified token is not valid."))
}

func (a tx) GetParametersByPath(in *ssm.GetParametersByPathInput) (*ssm.GetParametersByPathOutput, error) {
	path := aws.ToString(in.Path)
	if !strings.HasPrefix(path, "/") {
		return nil, kernel.Fail("ValidationException", "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash \"/\".")
	}
	path = strings.TrimSuffix(path, "/") + "/"
	var all []types.Parameter
	for _, p := range a.sorted() {
		rest, below := strings.CutPrefix(p.Name, path)
		if !below || strings.Contains(rest, "/") && !aws.ToBool(in.Recursive) {
			continue
		}
		ok, err := a.matches(p, in.ParameterFilters)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		x, err := a.parameter(p, p.current(), "", in.WithDecryption)
		if err != nil {
			return nil, err
		}
		all = append(all, x)
	}
	page, next, err := ssmPage(all, in.MaxResults, 10, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &ssm.GetParametersByPathOutput{Parameters: page, NextToken: next}, nil
}

// sorted are all visible parameters in the order of their names.
func (a tx) sorted() []*parameter {
	all := slices.DeleteFunc(slices.Clone(a.state().Parameters), func(p *parameter) bool { return !a.Visible(a.parameterARN(p.Name)) })
	slices.SortFunc(all, func(x, y *parameter) int { return strings.Compare(x.Name, y.Name) })
	return all
}

// matches applies filters: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ParameterStringFilter.html
func (a tx) matches(p *parameter, filters []types.ParameterStringFilter) (bool, error) {
	for _, f := range filters {
		key := aws.ToString(f.Key)
		compare := func(have, want string) bool { return have == want }
		switch option := aws.ToString(f.Option); option {
		case "", "Equals", "OneLevel", "Recursive":
		case "BeginsWith":
			compare = strings.HasPrefix
		case "Contains":
			compare = strings.Contains
		default:
			return false, kernel.Fail("InvalidFilterOption", "The following filter option is not valid: %s. Valid options include: [BeginsWith, Equals, Contains].", option)
		}
		var have []string
		tag, isTag := strings.CutPrefix(key, "tag:")
		switch {
		case isTag:
			v, ok := p.Tags[tag]
			if !ok {
				return false, nil
			}
			if len(f.Values) == 0 {
				continue
			}
			have = []string{v}
		case key == "Name":
			have = []string{p.Name}
		case key == "Type":
			have = []string{string(p.Type)}
		case key == "Tier":
			have = []string{string(types.ParameterTierStandard)}
		case key == "DataType":
			have = []string{"text"}
		case key == "Path":
			have = []string{p.Name}
			recursive := aws.ToString(f.Option) == "Recursive"
			compare = func(name, path string) bool {
				rest, ok := strings.CutPrefix(name, strings.TrimSuffix(path, "/")+"/")
				return ok && (recursive || !strings.Contains(rest, "/"))
			}
		default:
			return false, kernel.Fail("InvalidFilterKey", "The following filter key is not valid: %s. Valid filter keys include: [Path, Name, Type, KeyId, Tier].", key)
		}
		if !slices.ContainsFunc(f.Values, func(want string) bool {
			return slices.ContainsFunc(have, func(h string) bool { return compare(h, want) })
		}) {
			return false, nil
		}
	}
	return true, nil
}

func (a tx) DescribeParameters(in *ssm.DescribeParametersInput) (*ssm.DescribeParametersOutput, error) {
	filters := in.ParameterFilters
	for _, f := range in.Filters { // the older form
		filters = append(filters, types.ParameterStringFilter{Key: aws.String(string(f.Key)), Values: f.Values})
	}
	var all []types.ParameterMetadata
	for _, p := range a.sorted() {
		ok, err := a.matches(p, filters)
		if err != nil {
			return nil, err
		}
		if ok {
			all = append(all, types.ParameterMetadata{
				ARN: aws.String(a.parameterARN(p.Name)), Name: aws.String(p.Name), Type: p.Type, Description: kernel.NonEmpty(p.Description), Version: p.current().Number,
				LastModifiedDate: aws.Time(p.current().Changed), Tier: p.tier(), DataType: aws.String("text"),
			})
		}
	}
	page, next, err := ssmPage(all, in.MaxResults, 10, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &ssm.DescribeParametersOutput{Parameters: page, NextToken: next}, nil
}

func (a tx) GetParameterHistory(in *ssm.GetParameterHistoryInput) (*ssm.GetParameterHistoryOutput, error) {
	p := a.find(aws.ToString(in.Name))
	if p == nil {
		return nil, kernel.Fail("ParameterNotFound", "")
	}
	var all []types.ParameterHistory
	for _, v := range p.Versions {
		value, err := a.clear(p, v, in.WithDecryption)
		if err != nil {
			return nil, err
		}
		all = append(all, types.ParameterHistory{
			Name: aws.String(p.Name), Type: p.Type, Value: &value, Version: v.Number, LastModifiedDate: aws.Time(v.Changed), Labels: slices.Clone(v.Labels),
			Tier: p.tier(), DataType: aws.String("text"), Description: kernel.NonEmpty(p.Description),
		})
	}
	page, next, err := ssmPage(all, in.MaxResults, 50, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &ssm.GetParameterHistoryOutput{Parameters: page, NextToken: next}, nil
}

func (a tx) LabelParameterVersion(in *ssm.LabelParameterVersionInput) (*ssm.LabelParameterVersionOutput, error) {
	p := a.find(aws.ToString(in.Name))
	if p == nil {
		return nil, kernel.Fail("ParameterNotFound", "")
	}
	number := p.current().Number
	if in.ParameterVersion != nil {
		number = *in.ParameterVersion
	}
	at := slices.IndexFunc(p.Versions, func(v parameterVersion) bool { return v.Number == number })
	if at < 0 {
		return nil, kernel.Fail("ParameterVersionNotFound", "Systems Manager could not find version %d of %s. Verify the version and try again.", number, p.Name)
	}
	out := &ssm.LabelParameterVersionOutput{ParameterVersion: number, InvalidLabels: []string{}}
	for _, label := range in.Labels {
		for i := range p.Versions { // a label is on one version
			p.Versions[i].Labels = slices.DeleteFunc(slices.Clone(p.Versions[i].Labels), func(x string) bool { return x == label })
		}
		p.Versions[at].Labels = append(p.Versions[at].Labels, label)
	}
	return out, nil
}

// nameFree reports whether the last parameter of a name was deleted long enough ago:
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DeleteParameter.html,
// in the words of https://github.com/awslabs/aws-orbit-workbench/issues/1170
func (a tx) nameFree(name string) bool {
	wait := max(a.Scaled(a.Latencies().ParameterName), kernel.Seconds(a.Faults().ParameterSeconds))
	for n, at := range a.state().Gone {
		if time.Since(at) >= wait {
			delete(a.state().Gone, n)
		}
	}
	_, gone := a.state().Gone[name]
	return !gone
}

// tooManyUpdates reports whether a write meets another one of the same parameter.
func (a tx) tooManyUpdates() bool {
	return a.Hits("busy", "ssm:PutParameter", a.Faults().TooManyUpdates)
}

func (a tx) remove(p *parameter) {
	if a.state().Gone == nil {
		a.state().Gone = map[string]time.Time{}
	}
	a.state().Gone[p.Name] = a.Now()
	a.state().Parameters = slices.DeleteFunc(a.state().Parameters, func(x *parameter) bool { return x == p })
}

func (a tx) DeleteParameter(in *ssm.DeleteParameterInput) (*ssm.DeleteParameterOutput, error) {
	p := a.find(aws.ToString(in.Name))
	if p == nil {
		return nil, kernel.Fail("ParameterNotFound", "")
	}
	a.remove(p)
	return &ssm.DeleteParameterOutput{}, nil
}

func (a tx) DeleteParameters(in *ssm.DeleteParametersInput) (*ssm.DeleteParametersOutput, error) {
	out := &ssm.DeleteParametersOutput{DeletedParameters: []string{}, InvalidParameters: []string{}}
	for _, name := range in.Names {
		if p := a.find(name); p != nil {
			a.remove(p)
			out.DeletedParameters = append(out.DeletedParameters, name)
		} else {
			out.InvalidParameters = append(out.InvalidParameters, name)
		}
	}
	return out, nil
}

func (a tx) tagged(kind types.ResourceTypeForTagging, id *string) (*parameter, error) {
	if kind != types.ResourceTypeForTaggingParameter {
		return nil, kernel.Fail("InvalidResourceType", "The local cloud tags resources of type Parameter only, not %s.", kind)
	}
	p := a.find(aws.ToString(id))
	if p == nil {
		return nil, kernel.Fail("InvalidResourceId", "The resource ID is not valid. Verify that you entered the correct ID and try again.")
	}
	return p, nil
}

func (a tx) AddTagsToResource(in *ssm.AddTagsToResourceInput) (*ssm.AddTagsToResourceOutput, error) {
	p, err := a.tagged(in.ResourceType, in.ResourceId)
	if err != nil {
		return nil, err
	}
	if p.Tags == nil {
		p.Tags = map[string]string{}
	}
	for _, t := range in.Tags {
		p.Tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return &ssm.AddTagsToResourceOutput{}, nil
}

func (a tx) RemoveTagsFromResource(in *ssm.RemoveTagsFromResourceInput) (*ssm.RemoveTagsFromResourceOutput, error) {
	p, err := a.tagged(in.ResourceType, in.ResourceId)
	if err != nil {
		return nil, err
	}
	for _, k := range in.TagKeys {
		delete(p.Tags, k)
	}
	return &ssm.RemoveTagsFromResourceOutput{}, nil
}

func (a tx) ListTagsForResource(in *ssm.ListTagsForResourceInput) (*ssm.ListTagsForResourceOutput, error) {
	p, err := a.tagged(in.ResourceType, in.ResourceId)
	if err != nil {
		return nil, err
	}
	out := &ssm.ListTagsForResourceOutput{TagList: []types.Tag{}}
	for _, k := range slices.Sorted(maps.Keys(p.Tags)) {
		out.TagList = append(out.TagList, types.Tag{Key: aws.String(k), Value: aws.String(p.Tags[k])})
	}
	return out, nil
}
