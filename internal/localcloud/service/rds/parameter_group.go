package rds

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/localcloud/postgres"
	"github.com/bookctl/bookctl/internal/sorted"
)

type parameterGroup struct {
	Name        string            `json:"name"`
	Family      string            `json:"family"`
	Description string            `json:"description"`
	Tags        map[string]string `json:"tags,omitempty"`
	// Values are those set by the user.
	Values map[string]string `json:"values,omitempty"`
	// Methods are how the user had values applied, which reads back.
	Methods map[string]types.ApplyMethod `json:"methods,omitempty"`
}

func (g *parameterGroup) key() string { return "pg:" + g.Name }

// forceTLS is RDS's own parameter; it is on by default since PostgreSQL 15:
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Concepts.General.SSL.html
const forceTLS = "rds.force_ssl"

func forceTLSByDefault(version string) string {
	if major, err := strconv.Atoi(majorOf(version)); err == nil && major >= 15 {
		return "1"
	}
	return "0"
}

// ownParameters belong to the local cloud, which needs them as they are.
func ownParameters(name string) bool {
	return slices.Contains([]string{
		"listen_addresses", "port", "unix_socket_directories", "unix_socket_group", "unix_socket_permissions", "data_directory", "config_file", "hba_file",
		"ident_file", "external_pid_file", "fsync", "full_page_writes", "archive_command", "archive_library", "restore_command", "password_encryption",
		"dynamic_library_path", "local_preload_libraries", "session_preload_libraries", "shared_preload_libraries",
	}, name) || strings.HasPrefix(name, "ssl") || strings.HasPrefix(name, "krb_") || strings.HasPrefix(name, "zero_damaged") || strings.HasPrefix(name, "log_directory") || strings.HasPrefix(name, "log_file")
}

// parameters are all of the family: PostgreSQL's and RDS's own.
func (a tx) parameters(family string) ([]postgres.Parameter, error) {
	version := a.ofFamily(family)
	all, err := a.needs.Engine.Parameters(version)
	if err != nil {
		return nil, err
	}
	all = append(slices.Clone(all), postgres.Parameter{Name: forceTLS, Type: "BOOLEAN", Default: forceTLSByDefault(version), Description: "Force SSL connections."})
	sorted.By(all, func(x, y postgres.Parameter) int { return strings.Compare(x.Name, y.Name) })
	return all, nil
}

// defaultGroupName is that of the group which instances of a version have without one.
func defaultGroupName(version string) string { return "default." + familyOf(version) }

// parameterGroup finds a group. The default one is there without being made.
func (a tx) parameterGroup(name *string) (*parameterGroup, error) {
	want := strings.ToLower(aws.ToString(name))
	for _, g := range a.state().ParameterGroups {
		if g.Name == want && a.Visible(g.key()) {
			return g, nil
		}
	}
	if family, ok := strings.CutPrefix(want, "default."); ok && a.ofFamily(family) != "" {
		return &parameterGroup{Name: want, Family: family, Description: "Default parameter group for " + family}, nil
	}
	return nil, kernel.Fail("DBParameterGroupNotFound", "DBParameterGroup not found: %s", aws.ToString(name))
}

func (a tx) describeParameterGroup(g *parameterGroup) types.DBParameterGroup {
	return types.DBParameterGroup{
		DBParameterGroupName: aws.String(g.Name), DBParameterGroupFamily: aws.String(g.Family), Description: aws.String(g.Description),
		DBParameterGroupArn: aws.String(a.ARN("rds", g.key())),
	}
}

func (a tx) CreateDBParameterGroup(in *rds.CreateDBParameterGroupInput) (*rds.CreateDBParameterGroupOutput, error) {
	a.prepare()
	name, err := identifier("DBParameterGroupName", in.DBParameterGroupName)
	if err != nil {
		return nil, err
	}
	family := aws.ToString(in.DBParameterGroupFamily)
	if a.ofFamily(family) == "" {
		return nil, kernel.Fail("InvalidParameterValue", "ParameterGroupFamily %s is not a valid parameter group family", family)
	}
	if slices.ContainsFunc(a.state().ParameterGroups, func(g *parameterGroup) bool { return g.Name == name }) {
		return nil, kernel.Fail("DBParameterGroupAlreadyExists", "Parameter group %s already exists", name)
	}
	tags, err := addTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	g := &parameterGroup{Name: name, Family: family, Description: aws.ToString(in.Description), Tags: tags, Values: map[string]string{}}
	a.state().ParameterGroups = append(a.state().ParameterGroups, g)
	a.Created(g.key())
	out := a.describeParameterGroup(g)
	return &rds.CreateDBParameterGroupOutput{DBParameterGroup: &out}, nil
}

func (a tx) DescribeDBParameterGroups(in *rds.DescribeDBParameterGroupsInput) (*rds.DescribeDBParameterGroupsOutput, error) {
	all := []types.DBParameterGroup{}
	if in.DBParameterGroupName != nil {
		g, err := a.parameterGroup(in.DBParameterGroupName)
		if err != nil {
			return nil, err
		}
		all = append(all, a.describeParameterGroup(g))
	} else {
		for _, version := range slices.Sorted(slices.Values(a.needs.Engine.Versions())) {
			name := defaultGroupName(version)
			g, err := a.parameterGroup(&name)
			if err != nil {
				return nil, err
			}
			all = append(all, a.describeParameterGroup(g))
		}
		for _, g := range a.state().ParameterGroups {
			if a.Visible(g.key()) {
				all = append(all, a.describeParameterGroup(g))
			}
		}
	}
	page, next, err := page(all, in.MaxRecords, in.Marker)
	if err != nil {
		return nil, err
	}
	return &rds.DescribeDBParameterGroupsOutput{DBParameterGroups: page, Marker: next}, nil
}

func (a tx) DescribeDBParameters(in *rds.DescribeDBParametersInput) (*rds.DescribeDBParametersOutput, error) {
	g, err := a.parameterGroup(in.DBParameterGroupName)
	if err != nil {
		return nil, err
	}
	known, err := a.parameters(g.Family)
	if err != nil {
		return nil, err
	}
	all := []types.Parameter{}
	for _, p := range known {
		x := describeParameter(p)
		source := "engine-default"
		if p.Name == forceTLS {
			source = "system"
		}
		// What is set to its own default counts as never set
		// (hashicorp/terraform-provider-aws #593, #3182, #23335).
		if v, ok := g.Values[p.Name]; ok && v != aws.ToString(x.ParameterValue) {
			source = "user"
			x.ParameterValue = aws.String(v)
		}
		x.Source = aws.String(source)
		if method := g.Methods[p.Name]; source == "user" && method != "" {
			x.ApplyMethod = method
		}
		match, err := matches(in.Filters, map[string]string{"parameter-name": p.Name})
		if err != nil {
			return nil, err
		}
		if match && (in.Source == nil || *in.Source == source) {
			all = append(all, x)
		}
	}
	page, next, err := page(all, in.MaxRecords, in.Marker)
	if err != nil {
		return nil, err
	}
	return &rds.DescribeDBParametersOutput{Parameters: page, Marker: next}, nil
}

func describeParameter(p postgres.Parameter) types.Parameter {
	x := types.Parameter{
		ParameterName: aws.String(p.Name), Description: aws.String(p.Description), IsModifiable: aws.Bool(!ownParameters(p.Name)),
		ApplyType: aws.String("dynamic"), ApplyMethod: types.ApplyMethodPendingReboot, ParameterValue: kernel.NonEmpty(p.Default),
	}
	if p.Static {
		x.ApplyType = aws.String("static")
	}
	switch p.Type {
	case "BOOLEAN":
		x.DataType, x.AllowedValues = aws.String("boolean"), aws.String("0,1")
		x.ParameterValue = aws.String("0")
		if p.Default == "TRUE" || p.Default == "1" {
			x.ParameterValue = aws.String("1")
		}
	case "INTEGER":
		x.DataType, x.AllowedValues = aws.String("integer"), aws.String(p.Min+"-"+p.Max)
	case "REAL":
		x.DataType, x.AllowedValues = aws.String("float"), aws.String(p.Min+"-"+p.Max)
	default:
		x.DataType = aws.String("string")
	}
	return x
}

// checkParameter returns what is wrong with setting a parameter.
func checkParameter(known []postgres.Parameter, p types.Parameter) (static bool, err error) {
	name, value := aws.ToString(p.ParameterName), aws.ToString(p.ParameterValue)
	at := slices.IndexFunc(known, func(k postgres.Parameter) bool { return k.Name == name })
	if at < 0 {
		return false, kernel.Fail("InvalidParameterValue", "Could not find parameter with name: %s", name)
	}
	k := known[at]
	if ownParameters(name) {
		return false, kernel.Fail("InvalidParameterValue", "The parameter %s cannot be modified.", name)
	}
	ok := true
	switch k.Type {
	case "BOOLEAN":
		ok = slices.Contains([]string{"0", "1", "on", "off", "true", "false"}, value)
	case "INTEGER", "REAL":
		number, err := strconv.ParseFloat(value, 64)
		least, err1 := strconv.ParseFloat(k.Min, 64)
		most, err2 := strconv.ParseFloat(k.Max, 64)
		ok = err == nil && err1 == nil && err2 == nil && number >= least && number <= most
	}
	if !ok || strings.ContainsAny(value, "\n\r\x00") {
		return false, kernel.Fail("InvalidParameterValue", "Invalid parameter value: %s for: %s allowed values are: %s", value, name, aws.ToString(describeParameter(k).AllowedValues))
	}
	return k.Static, nil
}

// ModifyDBParameterGroup sets parameters, all or none. Dynamic ones take effect
// at once if asked to, static ones at the next reboot.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_WorkingWithParamGroups.Modifying.html
func (a tx) ModifyDBParameterGroup(in *rds.ModifyDBParameterGroupInput) (*rds.ModifyDBParameterGroupOutput, error) {
	g, err := a.changeableGroup(in.DBParameterGroupName)
	if err != nil {
		return nil, err
	}
	known, err := a.parameters(g.Family)
	if err != nil {
		return nil, err
	}
	values, now, later := maps.Clone(g.Values), map[string]*string{}, false
	if values == nil {
		values = map[string]string{}
	}
	methods := maps.Clone(g.Methods)
	if methods == nil {
		methods = map[string]types.ApplyMethod{}
	}
	for _, p := range in.Parameters {
		static, err := checkParameter(known, p)
		if err != nil {
			return nil, err
		}
		if static && p.ApplyMethod == types.ApplyMethodImmediate {
			return nil, kernel.Fail("InvalidParameterCombination", "cannot use immediate apply method for static parameter")
		}
		values[*p.ParameterName] = aws.ToString(p.ParameterValue)
		methods[*p.ParameterName] = cmp.Or(p.ApplyMethod, types.ApplyMethodPendingReboot)
		if p.ApplyMethod == types.ApplyMethodImmediate {
			now[*p.ParameterName] = aws.String(aws.ToString(p.ParameterValue))
		} else {
			later = true
		}
	}
	g.Values, g.Methods = values, methods
	a.applyParameters(g, now, later)
	return &rds.ModifyDBParameterGroupOutput{DBParameterGroupName: aws.String(g.Name)}, nil
}

func (a tx) ResetDBParameterGroup(in *rds.ResetDBParameterGroupInput) (*rds.ResetDBParameterGroupOutput, error) {
	g, err := a.changeableGroup(in.DBParameterGroupName)
	if err != nil {
		return nil, err
	}
	if aws.ToBool(in.ResetAllParameters) {
		g.Values = map[string]string{}
		a.applyParameters(g, nil, true)
		return &rds.ResetDBParameterGroupOutput{DBParameterGroupName: aws.String(g.Name)}, nil
	}
	values, now, later := maps.Clone(g.Values), map[string]*string{}, false
	for _, p := range in.Parameters {
		delete(values, aws.ToString(p.ParameterName))
		if p.ApplyMethod == types.ApplyMethodImmediate {
			now[aws.ToString(p.ParameterName)] = nil
		} else {
			later = true
		}
	}
	g.Values = values
	a.applyParameters(g, now, later)
	return &rds.ResetDBParameterGroupOutput{DBParameterGroupName: aws.String(g.Name)}, nil
}

func (a tx) changeableGroup(name *string) (*parameterGroup, error) {
	g, err := a.parameterGroup(name)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(g.Name, "default.") {
		return nil, kernel.Fail("InvalidParameterValue", "The parameter group %s is a default parameter group and cannot be modified.", g.Name)
	}
	return g, nil
}

// applyParameters gives the servers of a group its new values, nil for the
// default; later says that some wait for a reboot.
func (a tx) applyParameters(g *parameterGroup, now map[string]*string, later bool) {
	for _, db := range a.state().Instances {
		if db.ParameterGroup != g.Name {
			continue
		}
		db.PendingReboot = db.PendingReboot || later
		if len(now) == 0 {
			continue
		}
		applied := maps.Clone(db.Applied)
		if applied == nil {
			applied = map[string]string{}
		}
		for name, value := range now {
			if value == nil {
				delete(applied, name)
			} else {
				applied[name] = *value
			}
		}
		db.Applied = applied
		a.reload(db)
	}
}

func (a tx) DeleteDBParameterGroup(in *rds.DeleteDBParameterGroupInput) (*rds.DeleteDBParameterGroupOutput, error) {
	g, err := a.parameterGroup(in.DBParameterGroupName)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(g.Name, "default.") {
		return nil, kernel.Fail("InvalidParameterValue", "The parameter group %s is a default parameter group and cannot be deleted.", g.Name)
	}
	if slices.ContainsFunc(a.state().Instances, func(db *instance) bool { return db.ParameterGroup == g.Name }) {
		return nil, kernel.Fail("InvalidDBParameterGroupState", "One or more database instances are still members of this parameter group %s, so the group cannot be deleted", g.Name)
	}
	a.state().ParameterGroups = slices.DeleteFunc(a.state().ParameterGroups, func(x *parameterGroup) bool { return x == g })
	return &rds.DeleteDBParameterGroupOutput{}, nil
}
