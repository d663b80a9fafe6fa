package ecs

import (
	"cmp"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// accountSettings are ECS's with what a new account has
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-account-settings.html).
var accountSettings = map[string]string{
	"awsvpcTrunking": "disabled", "containerInsights": "disabled", "containerInstanceLongArnFormat": "enabled", "defaultLogDriverMode": "non-blocking",
	"fargateEventWindows": "disabled", "fargateFIPSMode": "disabled", "fargateTaskRetirementWaitPeriod": "7", "guardDutyActivate": "off",
	"serviceLongArnFormat": "enabled", "tagResourceAuthorization": "on", "taskLongArnFormat": "enabled",
}

func accountSettingValues(name string) []string {
	switch name {
	case "containerInsights":
		return []string{"enabled", "disabled", "enhanced"}
	case "defaultLogDriverMode":
		return []string{"blocking", "non-blocking"}
	case "fargateTaskRetirementWaitPeriod":
		return []string{"0", "7", "14"}
	case "tagResourceAuthorization", "guardDutyActivate":
		return []string{"on", "off"}
	}
	return []string{"enabled", "disabled"}
}

func (a tx) accountSetting(name string) types.Setting {
	kind := types.SettingTypeUser
	if name == "guardDutyActivate" {
		kind = types.SettingTypeAwsManaged
	}
	return types.Setting{
		Name: types.SettingName(name), Value: aws.String(cmp.Or(a.state().Account[name], accountSettings[name])),
		PrincipalArn: aws.String("arn:aws:iam::" + a.Account() + ":root"), Type: kind,
	}
}

func (a tx) setAccount(name types.SettingName, value string) (*types.Setting, error) {
	otherwise, known := accountSettings[string(name)]
	switch {
	case !known:
		return nil, kernel.Fail("InvalidParameterException", "Setting name %s is not valid.", name)
	case name == "guardDutyActivate":
		return nil, kernel.Fail("InvalidParameterException", "The setting guardDutyActivate is managed by AWS.")
	case !slices.Contains(accountSettingValues(string(name)), value):
		return nil, kernel.Fail("InvalidParameterException", "Invalid value %s for setting %s. Valid values are %v.", value, name, accountSettingValues(string(name)))
	}
	if a.state().Account == nil {
		a.state().Account = map[string]string{}
	}
	if value == otherwise {
		delete(a.state().Account, string(name))
	} else {
		a.state().Account[string(name)] = value
	}
	s := a.accountSetting(string(name))
	return &s, nil
}

// PutAccountSetting sets it for the one user there is.
func (a tx) PutAccountSetting(in *ecs.PutAccountSettingInput) (*ecs.PutAccountSettingOutput, error) {
	s, err := a.setAccount(in.Name, aws.ToString(in.Value))
	return &ecs.PutAccountSettingOutput{Setting: s}, err
}

// PutAccountSettingDefault sets it for everybody, who is the one user.
func (a tx) PutAccountSettingDefault(in *ecs.PutAccountSettingDefaultInput) (*ecs.PutAccountSettingDefaultOutput, error) {
	s, err := a.setAccount(in.Name, aws.ToString(in.Value))
	return &ecs.PutAccountSettingDefaultOutput{Setting: s}, err
}

// DeleteAccountSetting goes back to what a new account has.
func (a tx) DeleteAccountSetting(in *ecs.DeleteAccountSettingInput) (*ecs.DeleteAccountSettingOutput, error) {
	s, err := a.setAccount(in.Name, accountSettings[string(in.Name)])
	return &ecs.DeleteAccountSettingOutput{Setting: s}, err
}

// ListAccountSettings lists those that were changed or, with effectiveSettings,
// all.
func (a tx) ListAccountSettings(in *ecs.ListAccountSettingsInput) (*ecs.ListAccountSettingsOutput, error) {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(accountSettings)) {
		_, changed := a.state().Account[name]
		if (changed || in.EffectiveSettings) && (in.Name == "" || string(in.Name) == name) &&
			(in.Value == nil || *in.Value == *a.accountSetting(name).Value) {
			names = append(names, name)
		}
	}
	limit := int32(10)
	if in.MaxResults != 0 {
		limit = in.MaxResults
	}
	names, next := kernel.PageAfter(names, in.NextToken, &limit, 10)
	out := &ecs.ListAccountSettingsOutput{Settings: []types.Setting{}, NextToken: next}
	for _, name := range names {
		out.Settings = append(out.Settings, a.accountSetting(name))
	}
	return out, nil
}
