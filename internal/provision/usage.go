package provision

import "github.com/bookctl/bookctl/internal/pricing"

// Usage is what a stack with these settings has that costs.
func (s Settings) Usage() pricing.Usage {
	return pricing.Usage{
		Tasks: s.Count, MaxTasks: s.Max, CPU: s.CPU, Memory: s.Memory, Storage: s.EphemeralStorage, Arch: s.Arch, LoadBalancer: true,
		Database: !s.NoDatabase, Secrets: s.ownSecrets(), DBClass: s.DBClass, DBStorage: s.DBStorage, DBMultiAZ: s.DBMultiAZ, BackupDays: s.BackupDays,
	}
}

// Usage is what exists of the stack that costs: a part that somebody deleted costs
// nothing, and one that somebody changed costs what it is now.
func (d Deployed) Usage() pricing.Usage {
	u, here := d.Settings.Usage(), d.exists
	u.Tasks, u.LoadBalancer, u.Database = here.tasks, d.Balanced, d.Database
	if d.Database {
		u.DBClass, u.DBStorage, u.DBMultiAZ, u.BackupDays = here.class, here.gib, here.multiAZ, here.backedUp
	}
	return u
}
