package provision

import "github.com/aws/aws-sdk-go-v2/aws"

// missing names the member that an answer lacks although AWS always gives it, or
// is "". The SDK checks no answer against its model, and what reads one may take
// these for granted: what was made, a list of what there is (be it empty) with the
// id of each resource, and of what was asked for by name either the resource or why not.
func missing(answer any) string {
	for _, of := range []func(any) string{
		missingACM, missingCloudWatch, missingEC2, missingECR, missingECS, missingELB, missingEventBridge, missingIAM,
		missingLogs, missingRDS, missingRoute53, missingScaling, missingSecretsManager, missingSNS, missingSSM, missingSTS,
	} {
		if member := of(answer); member != "" {
			return member
		}
	}
	return ""
}

// requireEach names what a list lacks: AWS sends the member also for an empty list, and code
// that takes its absence for "none there" would delete a network that is still in use. Each of
// the resources must satisfy ok.
func requireEach[T any](member string, list []T, ok func(T) bool, of string) string {
	if list == nil {
		return member
	}
	return require(all(list, ok), of)
}

// requireList is requireEach without a condition for the resources.
func requireList[T any](member string, list []T) string { return require(list != nil, member) }

// require names the member unless it is there.
func require(there bool, member string) string {
	if there {
		return ""
	}
	return member
}

func has(s *string) bool { return aws.ToString(s) != "" }

func all[T any](list []T, ok func(T) bool) bool {
	for _, x := range list {
		if !ok(x) {
			return false
		}
	}
	return true
}
