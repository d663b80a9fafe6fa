package provision

import (
	"slices"
	"strings"
)

// networkSettings are the network, and how long logs are retained.
func networkSettings() []Setting {
	return []Setting{
		{
			Flag: "log-days", JSON: "logDays", Value: Number{Of: func(s *Settings) *int32 { return &s.LogDays }, Default: 14},
			Help:    "keep the logs of tasks and database for this many days",
			Example: "30",
			Choices: texts(logRetentions),
			Drives:  []ResourceField{{"log-group", "retention"}, {"db-log-group", "retention"}},
			check: func(s Settings, refuse refusal) {
				refuse("log-days", !slices.Contains(logRetentions, s.LogDays), "log retention %d days: CloudWatch Logs takes %s", s.LogDays, listText(logRetentions))
			},
			recorded: onService, // the groups are ready before it
			taken: func(recorded string, _ Settings) bool {
				n := number(recorded)
				return n != nil && slices.Contains(logRetentions, *n)
			},
		},
		{
			Flag: "cidr", JSON: "cidr", Value: Text{Of: func(s *Settings) *string { return &s.CIDR }, Default: defaultCIDR},
			Help:    "IPv4 range of the new VPC, from /16 to /25; its subnets are parts of it, and it can't change later",
			Example: "10.20.0.0/16",
			Drives:  []ResourceField{{networkPart, "cidr"}, {"subnet-public-a", "cidr"}, {"subnet-private-b", "cidr"}},
			check: func(s Settings, refuse refusal) {
				wrong := checkCIDR(s.CIDR)
				refuse("cidr", wrong != "", "%s", wrong)
				tasks, room := max(s.Count, s.Max), roomForTasks(s.CIDR)
				refuse("cidr count max", wrong == "" && s.VPC == "" && s.MostTasks() > room,
					"CIDR %s: its public subnets have addresses for %d tasks, and %d and those of a deployment need more", s.CIDR, room, tasks)
			},
			normalize: func(s *Settings) { s.CIDR = canonicalCIDR(strings.TrimSpace(s.CIDR)) },
			recorded:  onNetwork,
			when:      func(s Settings) bool { return s.CIDR != defaultCIDR },
		},
		{
			Flag: "vpc", JSON: "vpc", Value: Text{Of: func(s *Settings) *string { return &s.VPC }},
			Help:    "create the stack in this existing VPC (its id), which is not changed, instead of a new one",
			Example: "vpc-0123456789abcdef0",
			Drives:  []ResourceField{{"sg-load-balancer", ""}, {"sg-task", ""}, {"sg-database", ""}},
			check: func(s Settings, refuse refusal) {
				refuse("vpc", s.VPC != "" && !vpcID.MatchString(s.VPC), "VPC %q: give the id of a VPC, such as vpc-0123456789abcdef0", s.VPC)
				refuse("vpc cidr", s.VPC != "" && s.CIDR != defaultCIDR, "an existing VPC has its range, and --cidr is for a new one")
			},
			normalize: func(s *Settings) { s.VPC = strings.TrimSpace(s.VPC) },
			recorded:  onRoles,
			when:      func(s Settings) bool { return s.VPC != "" },
		},
		{
			Flag: "subnets", JSON: "subnets", Value: Text{Of: func(s *Settings) *string { return &s.Subnets }},
			Help:    "public subnets of --vpc for load balancer and tasks, one in each of two or more zones (default: chosen by their routes)",
			Example: "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
			Drives:  []ResourceField{{balancerPart, "subnets"}, {servicePart, "subnets"}},
			check: func(s Settings, refuse refusal) {
				wrong := checkSubnets(s.Subnets)
				refuse("subnets", wrong != "", "subnets: %s", wrong)
				refuse("subnets vpc", s.Subnets != "" && s.VPC == "", "--subnets are those of an existing VPC, which --vpc names")
			},
			normalize: func(s *Settings) { s.Subnets = strings.Join(IDList(s.Subnets), ",") },
			recorded:  onRoles,
			when:      func(s Settings) bool { return s.VPC != "" },
			text:      func(s Settings) string { return strings.ReplaceAll(s.Subnets, ",", " ") }, // IAM's tags take no comma
			fromText:  func(text string) string { return strings.ReplaceAll(text, " ", ",") },
		},
		{
			Flag: "db-subnets", JSON: "dbSubnets", Value: Text{Of: func(s *Settings) *string { return &s.DBSubnets }},
			Help:    "subnets of --vpc for the database, in two or more zones (default: private ones, or else those of --subnets)",
			Example: "subnet-0123456789abcdef2,subnet-0123456789abcdef3",
			Drives:  []ResourceField{{"db-subnet-group", "subnets"}},
			check: func(s Settings, refuse refusal) {
				wrong := checkSubnets(s.DBSubnets)
				refuse("db-subnets", wrong != "", "subnets of the database: %s", wrong)
				refuse("db-subnets vpc", s.DBSubnets != "" && s.VPC == "", "--db-subnets are those of an existing VPC, which --vpc names")
			},
			normalize: func(s *Settings) { s.DBSubnets = strings.Join(IDList(s.DBSubnets), ",") },
			recorded:  onRoles,
			when:      func(s Settings) bool { return s.VPC != "" },
			text:      func(s Settings) string { return strings.ReplaceAll(s.DBSubnets, ",", " ") },
			fromText:  func(text string) string { return strings.ReplaceAll(text, " ", ",") },
		},
		{
			Flag: "outgoing-ports", JSON: "outgoingPorts", Value: Text{Of: func(s *Settings) *string { return &s.OutgoingPorts }},
			Help:    "also let tasks connect to these TCP ports everywhere, such as 587,6379,8000-8100, or 'all' (default: 443 and their database; 'none' returns to that)",
			Example: "587,6379,8000-8100",
			Choices: []string{"none", "all", "587"},
			Drives:  []ResourceField{{"sg-task", missingRule + "tcp 587 to " + anywhere}, {"sg-task", missingRule + "tcp 8000-8100 to " + anywhere}},
			check: func(s Settings, refuse refusal) {
				_, err := parsePorts(s.OutgoingPorts)
				refuse("outgoing-ports", err != nil, "outgoing ports: %v", err)
				refuse("outgoing-ports", len(s.OutgoingPorts) > 256, "outgoing ports of %d characters: that is too long to be recorded in a tag", len(s.OutgoingPorts))
			},
			normalize: func(s *Settings) { s.OutgoingPorts = portsText(unlessNone(strings.TrimSpace(s.OutgoingPorts))) },
			recorded:  onService, // the security group is ready before it
			text:      func(s Settings) string { return strings.ReplaceAll(s.OutgoingPorts, ",", " ") },
			fromText:  func(text string) string { return strings.ReplaceAll(text, " ", ",") },
		},
	}
}
