// Package pricing estimates what a stack costs a month. It knows prices and
// quantities, and nothing of what the quantities are for.
package pricing

import (
	_ "embed" // for prices.json
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Line is one thing that a stack costs.
type Line struct {
	Item string `json:"item"`
	// Monthly is in US dollars for a month of 730 hours, before tax, free
	// tiers and discounts.
	Monthly float64 `json:"monthly"`
	// Note is how the sum comes about.
	Note string `json:"note"`
}

// Usage is what a stack has that costs.
type Usage struct {
	// Tasks is how many run, and MaxTasks how many may under load; 0 means never
	// more.
	Tasks, MaxTasks int32
	// Spot reports whether the tasks beyond SpotBase run on Fargate Spot.
	Spot     bool
	SpotBase int32
	// CPU of a task in units of 1/1024 of a CPU, Memory in MiB, and Arch "amd64" or
	// "arm64".
	CPU, Memory int32
	Arch        string
	// Storage is the disk of a task in GiB, of which 20 are free.
	Storage int32
	// Secrets is how many there are.
	Secrets int32
	// LoadBalancer and Database say whether there is one.
	LoadBalancer, Database bool
	// BalancerSubnets is in how many subnets the load balancer has a public address.
	BalancerSubnets int32
	// DBClass is such as db.t4g.micro, DBStorage in GiB, and BackupDays how long
	// automated backups are kept. DBMultiAZ is a standby in another zone. They are
	// ignored without a Database.
	DBClass    string
	DBStorage  int32
	DBMultiAZ  bool
	BackupDays int32
	// DBStopped reports whether the database is stopped, so that only its storage costs:
	// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_StopInstance.html
	DBStopped bool
	// DBMajor is the major version of the database.
	DBMajor int
	// DBSupportEnds is when the standard support of the database's version ends, zero where
	// nobody says; Now is when that is asked.
	DBSupportEnds, Now time.Time
	// DBSupportDisabled reports whether RDS upgrades the database then, instead of charging.
	DBSupportDisabled bool
	// CopiedGiB is the storage of a snapshot that is copied to be restored.
	CopiedGiB int32
	// AlarmMetrics is how many metrics alarms look at.
	AlarmMetrics int32
	// ScalingMetrics is how many metrics the alarms look at that scaling makes.
	ScalingMetrics int32
}

// Total adds lines up.
func Total(lines []Line) float64 {
	var sum float64
	for _, l := range lines {
		sum += l.Monthly
	}
	return sum
}

// ErrNoPrice is wrapped by the error for a region or class that the price table
// does not hold. Its cost is unknown, which is not the same as nothing.
var ErrNoPrice = errors.New("no price known")

// prices is the table in prices.json: US dollars, by region.
type prices struct {
	Date    string                  `json:"date"`
	Source  string                  `json:"source"`
	Regions map[string]regionPrices `json:"regions"`
}

type regionPrices struct {
	Fargate map[string]fargatePrice `json:"fargate"` // by architecture
	// TaskStorageGBHour is a GB of a task's disk beyond the free ones.
	TaskStorageGBHour float64            `json:"taskStorageGBHour"`
	ALBHour           float64            `json:"albHour"`
	LCUHour           float64            `json:"lcuHour"`
	DB                map[string]float64 `json:"db"` // an hour in one zone, by class
	DBStorageGB       float64            `json:"dbStorageGB"`
	SnapshotGB        float64            `json:"snapshotGB"`
	SecretMonth       float64            `json:"secretMonth"`
	IPv4Hour          float64            `json:"ipv4Hour"`
	ImageGB           float64            `json:"imageGB"`
	LogGB             float64            `json:"logGB"`
	// AlarmMetric is a metric that an alarm looks at, for a month.
	AlarmMetric float64 `json:"alarmMetric"`

	// region is the one that they are of. supportHour and laterSupportHour are of each vCPU
	// in extended support; zero where they were not asked for.
	region                        string
	supportHour, laterSupportHour float64
}

type fargatePrice struct {
	VCPUHour float64 `json:"vcpuHour"`
	GBHour   float64 `json:"gbHour"`
}

//go:embed prices.json
var priceTable []byte

func readPrices() (prices, error) {
	var p prices
	if err := json.Unmarshal(priceTable, &p); err != nil {
		return prices{}, fmt.Errorf("read the price table: %w", err)
	}
	return p, nil
}

// Source returns how old the price table is and where it is from.
func Source() (date, source string, err error) {
	p, err := readPrices()
	return p.Date, p.Source, err
}

// freeStorage is how many GB of a task's disk cost nothing.
const freeStorage = 20

// month is how many hours AWS's own calculator gives a month.
const month = 730

// Cost estimates what a stack costs a month, from the price table. What depends
// on traffic is counted for a service that does little: an hour's load
// balancer unit, a gigabyte of logs. ErrNoPrice is for a region or database
// class that the table does not hold.
func Cost(u Usage, region string) ([]Line, error) {
	all, err := readPrices()
	if err != nil {
		return nil, err
	}
	p, ok := all.Regions[region]
	if !ok {
		return nil, fmt.Errorf("%w for region %s; the table of %s has %s", ErrNoPrice, region, all.Date, strings.Join(slices.Sorted(maps.Keys(all.Regions)), ", "))
	}
	return p.cost(u, region, all.Date)
}

func (p regionPrices) cost(u Usage, region, date string) ([]Line, error) {
	if _, ok := p.Fargate[u.Arch]; !ok {
		return nil, fmt.Errorf("%w for %s tasks in %s", ErrNoPrice, u.Arch, region)
	}
	if _, ok := p.DB[u.DBClass]; u.Database && !ok {
		return nil, fmt.Errorf("%w for %s in %s; the table of %s has %s", ErrNoPrice, u.DBClass, region, date, strings.Join(slices.Sorted(maps.Keys(p.DB)), ", "))
	}
	p.region = region
	var lines []Line
	for _, i := range items() {
		if i.of == nil || i.of(u) {
			monthly, note := i.cost(u, p)
			lines = append(lines, Line{i.name, monthly, note})
		}
	}
	return lines, nil
}

// item is a row of what a stack is billed for. Setting.Costs of package provision names
// the items.
type item struct {
	name string
	// of reports whether a stack has it; nil means that each has.
	of   func(Usage) bool
	cost func(Usage, regionPrices) (monthly float64, note string)
}

// items are in the order in which an estimate shows them.
func items() []item {
	balanced, stored := func(u Usage) bool { return u.LoadBalancer }, func(u Usage) bool { return u.Database }
	alarmed := func(u Usage) bool { return u.AlarmMetrics > 0 }
	return []item{
		{"tasks", nil, func(u Usage, p regionPrices) (float64, string) {
			n := u.onDemand(u.Tasks)
			return float64(n) * p.task(u), u.tasksNote(n, u.onDemand(u.MaxTasks))
		}},
		{"spot tasks", func(u Usage) bool { return u.Spot }, func(u Usage, p regionPrices) (float64, string) {
			n := u.Tasks - u.onDemand(u.Tasks)
			note := u.tasksNote(n, u.MaxTasks-u.onDemand(u.MaxTasks)) + fmt.Sprintf("; counted at %.0f %% of on demand: AWS changes the price, and gives up to 70 %% off", spotShare*100)
			return float64(n) * p.task(u) * spotShare, note
		}},
		{"task storage", nil, func(u Usage, p regionPrices) (float64, string) {
			more := u.Storage - freeStorage
			if more <= 0 {
				return 0, "20 GB each, which are free"
			}
			return float64(u.Tasks) * month * float64(more) * p.TaskStorageGBHour, fmt.Sprintf("%d × %d GB beyond the free 20", u.Tasks, more)
		}},
		{"load balancer", balanced, func(_ Usage, p regionPrices) (float64, string) { return month * p.ALBHour, "by the hour" }},
		{"load balancer traffic", balanced, func(_ Usage, p regionPrices) (float64, string) {
			return month * p.LCUHour, "at most one capacity unit; more with more traffic"
		}},
		{"database", stored, func(u Usage, p regionPrices) (float64, string) {
			note := u.DBClass + " in " + u.inZones()
			if u.DBStopped {
				return 0, "stopped; " + note + " when it runs"
			}
			return u.zones() * month * p.DB[u.DBClass], note
		}},
		{"database storage", stored, func(u Usage, p regionPrices) (float64, string) {
			return u.zones() * float64(u.DBStorage) * p.DBStorageGB, fmt.Sprintf("%d GB gp3 in %s", u.DBStorage, u.inZones())
		}},
		{"database backups", stored, func(u Usage, _ regionPrices) (float64, string) {
			return 0, fmt.Sprintf("free up to the size of the storage; %d days", u.BackupDays)
		}},
		{"extended support", Usage.supported, Usage.extendedSupport},
		{"snapshot copy", func(u Usage) bool { return u.CopiedGiB > 0 }, func(u Usage, p regionPrices) (float64, string) {
			return float64(u.CopiedGiB) * p.SnapshotGB, fmt.Sprintf("at most, of %d GB; and what a transfer out of its region costs, once", u.CopiedGiB)
		}},
		{"public addresses", nil, func(u Usage, p regionPrices) (float64, string) {
			addresses, note := u.Tasks, fmt.Sprintf("%d of tasks", u.Tasks)
			if u.LoadBalancer {
				addresses, note = addresses+u.BalancerSubnets, fmt.Sprintf("%d of the load balancer, %s", u.BalancerSubnets, note)
			}
			return float64(addresses) * month * p.IPv4Hour, note
		}},
		{"secret", nil, func(u Usage, p regionPrices) (float64, string) {
			return float64(u.Secrets) * p.SecretMonth, fmt.Sprintf("%d %s", u.Secrets, map[bool]string{true: "secret", false: "secrets"}[u.Secrets == 1])
		}},
		{"images", nil, func(_ Usage, p regionPrices) (float64, string) {
			return 10 * 0.005 * p.ImageGB, "10 kept, about 5 MB each"
		}},
		{"logs", nil, func(_ Usage, p regionPrices) (float64, string) {
			return p.LogGB, "for each GB written; this counts one"
		}},
		// https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PutScalingPolicy.html
		{"scaling alarms", func(u Usage) bool { return u.ScalingMetrics > 0 }, func(u Usage, p regionPrices) (float64, string) {
			return float64(u.ScalingMetrics) * p.AlarmMetric, fmt.Sprintf("%d metrics that the alarms of scaling look at", u.ScalingMetrics)
		}},
		{"alarms", alarmed, func(u Usage, p regionPrices) (float64, string) {
			return float64(u.AlarmMetrics) * p.AlarmMetric, fmt.Sprintf("%d metrics that alarms look at", u.AlarmMetrics)
		}},
		// https://aws.amazon.com/sns/pricing/
		{"alarm mails", alarmed, func(Usage, regionPrices) (float64, string) {
			return 0, "the first 1,000 mails a month are free"
		}},
		// https://aws.amazon.com/eventbridge/pricing/
		{"alarm events", alarmed, func(Usage, regionPrices) (float64, string) {
			return 0, "events of AWS's own services are free"
		}},
	}
}

// onDemand is how many of some tasks don't run on Fargate Spot.
func (u Usage) onDemand(tasks int32) int32 {
	if u.Spot {
		return min(tasks, u.SpotBase)
	}
	return tasks
}

func (u Usage) tasksNote(tasks, most int32) string {
	note := fmt.Sprintf("%d × %g vCPU, %g GB, %s", tasks, float64(u.CPU)/1024, float64(u.Memory)/1024, u.Arch)
	if most > tasks {
		note += fmt.Sprintf("; up to %d under load", most)
	}
	return note
}

// task is what a task costs a month on demand.
func (p regionPrices) task(u Usage) float64 {
	f := p.Fargate[u.Arch]
	return month * (float64(u.CPU)/1024*f.VCPUHour + float64(u.Memory)/1024*f.GBHour)
}

// spotShare is what a task on Fargate Spot is counted at, of one on demand. AWS says "up to
// a 70 %" discount, by long-term supply and demand: its price page shows the price of the
// day, and its price list none. Half is on the safe side of what that page has been quoted
// with, a third. https://aws.amazon.com/fargate/pricing/
const spotShare = 0.5

// zones is in how many zones there is a database.
func (u Usage) zones() float64 {
	if u.DBMultiAZ {
		return 2
	}
	return 1
}

func (u Usage) inZones() string {
	if u.DBMultiAZ {
		return "two zones"
	}
	return "one zone"
}

// SnapshotCost is the most that a snapshot of that many GiB costs a month: RDS
// bills what is in it, and no call returns that beforehand.
func SnapshotCost(region string, gib int32) (float64, error) {
	all, err := readPrices()
	if err != nil {
		return 0, err
	}
	p, ok := all.Regions[region]
	if !ok {
		return 0, fmt.Errorf("%w for region %s", ErrNoPrice, region)
	}
	return float64(gib) * p.SnapshotGB, nil
}
