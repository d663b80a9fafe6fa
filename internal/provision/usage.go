package provision

import "github.com/bookctl/bookctl/internal/pricing"

// Usage is what a stack with these settings has that costs: what each has, and what the
// rows of the table of settings say.
func (s Settings) Usage() pricing.Usage {
	// A load balancer has an address in each of its subnets; those that a stack makes or chooses
	// are two.
	u := pricing.Usage{LoadBalancer: true, BalancerSubnets: max(2, int32(len(IDList(s.Subnets)))), Secrets: s.ownSecrets()}
	for _, row := range Table() {
		if row.uses != nil {
			row.uses(s, &u)
		}
	}
	return u
}

// Usage is that of the settings, and of the snapshot that is copied first.
func (s Spec) Usage() pricing.Usage {
	u := s.Settings.Usage()
	if s.CopyFrom != nil {
		u.CopiedGiB = s.CopyFrom.GiB
	}
	return u
}

// Usage is what exists of the stack that costs: a part that somebody deleted costs
// nothing, and one that somebody changed costs what it is now.
func (d Deployed) Usage() pricing.Usage {
	u, here := d.Settings.Usage(), d.exists
	u.Tasks, u.LoadBalancer, u.Database = here.tasks, d.HasLoadBalancer, d.Database
	if d.Database {
		u.DBStopped = here.stopped
		u.DBClass, u.DBStorage, u.DBMultiAZ, u.BackupDays = here.class, here.storage, here.multiAZ, here.backupDays
	}
	return u
}
