package provision

import (
	_ "embed" // for prices.json
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Line is one thing that a stack costs.
type Line struct {
	Item string `json:"item"`
	// Monthly is in US dollars for a month of 730 hours, before tax, free
	// tiers and discounts.
	Monthly float64 `json:"monthly"`
	// Note says how the sum comes about.
	Note string `json:"note"`
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
	Fargate     map[string]fargatePrice `json:"fargate"` // by architecture
	ALBHour     float64                 `json:"albHour"`
	LCUHour     float64                 `json:"lcuHour"`
	DB          map[string]float64      `json:"db"` // an hour in one zone, by class
	DBStorageGB float64                 `json:"dbStorageGB"`
	SnapshotGB  float64                 `json:"snapshotGB"`
	SecretMonth float64                 `json:"secretMonth"`
	IPv4Hour    float64                 `json:"ipv4Hour"`
	ImageGB     float64                 `json:"imageGB"`
	LogGB       float64                 `json:"logGB"`
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

// PriceSource says how old the price table is and where it is from.
func PriceSource() (date, source string, err error) {
	p, err := readPrices()
	return p.Date, p.Source, err
}

// month is how many hours AWS's own calculator gives a month.
const month = 730

// Cost estimates what a stack costs a month, from the price table. What depends
// on traffic is counted for a service that does little: an hour's load
// balancer unit, a gigabyte of logs. ErrNoPrice is for a region or database
// class that the table does not hold.
func Cost(s Settings, region string) ([]Line, error) {
	all, err := readPrices()
	if err != nil {
		return nil, err
	}
	p, ok := all.Regions[region]
	if !ok {
		return nil, fmt.Errorf("%w for region %s; the table of %s has %s", ErrNoPrice, region, all.Date, strings.Join(slices.Sorted(maps.Keys(all.Regions)), ", "))
	}
	return p.cost(s, region, all.Date)
}

func (p regionPrices) cost(s Settings, region, date string) ([]Line, error) {
	f, ok := p.Fargate[s.Arch]
	if !ok {
		return nil, fmt.Errorf("%w for %s tasks in %s", ErrNoPrice, s.Arch, region)
	}
	hour, ok := p.DB[s.DBClass]
	if !ok {
		return nil, fmt.Errorf("%w for %s in %s; the table of %s has %s", ErrNoPrice, s.DBClass, region, date, strings.Join(slices.Sorted(maps.Keys(p.DB)), ", "))
	}
	tasks, zones, where := float64(s.Count), 1.0, "one zone"
	if s.DBMultiAZ {
		zones, where = 2, "two zones"
	}
	vcpu, gb := float64(s.CPU)/1024, float64(s.Memory)/1024
	scaling := ""
	if s.Max > s.Count {
		scaling = fmt.Sprintf("; up to %d under load", s.Max)
	}
	return []Line{
		{"tasks", tasks * month * (vcpu*f.VCPUHour + gb*f.GBHour), fmt.Sprintf("%d × %g vCPU, %g GB, %s%s", s.Count, vcpu, gb, s.Arch, scaling)},
		{"load balancer", month * p.ALBHour, "by the hour"},
		{"load balancer traffic", month * p.LCUHour, "at most one capacity unit; more with more traffic"},
		{"database", zones * month * hour, s.DBClass + " in " + where},
		{"database storage", zones * float64(s.DBStorage) * p.DBStorageGB, fmt.Sprintf("%d GB gp3 in %s", s.DBStorage, where)},
		{"database backups", 0, fmt.Sprintf("free up to the size of the storage; %d days", s.BackupDays)},
		{"public addresses", (2 + tasks) * month * p.IPv4Hour, fmt.Sprintf("2 of the load balancer, %d of tasks", s.Count)},
		{"secret", p.SecretMonth, "1 secret"},
		{"images", 10 * 0.005 * p.ImageGB, "10 kept, about 5 MB each"},
		{"logs", p.LogGB, "for each GB written; this counts one"},
	}, nil
}

// SnapshotCost is the most that a snapshot of that many GiB costs a month: RDS
// bills what is in it, which it tells nobody beforehand.
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
