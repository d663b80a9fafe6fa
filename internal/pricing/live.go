package pricing

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	awspricing "github.com/aws/aws-sdk-go-v2/service/pricing"
	"github.com/aws/aws-sdk-go-v2/service/pricing/types"

	"github.com/bookctl/bookctl/internal/pattern"
)

// Region is where the Pricing API answers, for the prices of every
// region: https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/price-changes.html
const Region = "us-east-1"

// LiveCost is Cost with today's prices from AWS, for any region and database
// class. The client must be made for Region. What costs next to nothing,
// or the same everywhere (the secret, addresses, images, logs, alarms), is taken from
// the table, as for us-east-1.
func LiveCost(ctx context.Context, client *awspricing.Client, u Usage, region string) ([]Line, error) {
	table, err := readPrices()
	if err != nil {
		return nil, err
	}
	p := table.Regions[Region]
	if known, ok := table.Regions[region]; ok {
		p = known
	}
	fargate := "Fargate-"
	if u.Arch == "arm64" {
		fargate = "Fargate-ARM-"
	}
	var f fargatePrice
	var hour float64
	tasks := map[string]*float64{fargate + "vCPU-Hours:perCPU": &f.VCPUHour, fargate + "GB-Hours": &f.GBHour}
	if u.Storage > freeStorage {
		tasks["Fargate-EphemeralStorage-GB-Hours"] = &p.TaskStorageGBHour
	}
	for _, q := range []struct {
		service string
		filters map[string]string
		usage   map[string]*float64 // by what the usage type ends in after its region
	}{
		{"AmazonECS", nil, tasks},
		{
			"AmazonRDS", map[string]string{"productFamily": "Database Instance", "databaseEngine": "PostgreSQL", "instanceType": u.DBClass, "deploymentOption": "Single-AZ"},
			map[string]*float64{"InstanceUsage:" + u.DBClass: &hour},
		},
		{
			"AmazonRDS", map[string]string{"productFamily": "Database Storage", "databaseEngine": "PostgreSQL", "volumeType": "General Purpose-GP3", "deploymentOption": "Single-AZ"},
			map[string]*float64{"RDS:GP3-Storage": &p.DBStorageGB},
		},
		{"AWSELB", map[string]string{"productFamily": "Load Balancer-Application"}, map[string]*float64{"LoadBalancerUsage": &p.ALBHour, "LCUUsage": &p.LCUHour}},
	} {
		found, err := askPrices(ctx, client, q.service, region, q.filters)
		if err != nil {
			return nil, err
		}
		for usage, price := range q.usage {
			if n := len(found[usage]); n != 1 {
				return nil, fmt.Errorf("%w: AWS's price list has %d prices of %s in %s", ErrNoPrice, n, usage, region)
			}
			*price = found[usage][0]
		}
	}
	if u.supported() {
		if err := p.askSupport(ctx, client, u.DBMajor, region); err != nil {
			return nil, err
		}
	}
	p.Fargate = map[string]fargatePrice{u.Arch: f}
	p.DB = map[string]float64{u.DBClass: hour}
	return p.cost(u, region, "today")
}

// askSupport asks what extended support of a major version costs. Where the price list has
// not one price of it, that of the table stands.
func (p *regionPrices) askSupport(ctx context.Context, client *awspricing.Client, major int, region string) error {
	usage := func(years string) string { return fmt.Sprintf("ExtendedSupport:%s:PostgreSQL%d", years, major) }
	found, err := askPrices(ctx, client, "AmazonRDS", region, nil, types.Filter{Field: aws.String("usagetype"), Type: types.FilterTypeContains, Value: aws.String("ExtendedSupport:")})
	if err != nil {
		return err
	}
	if first, later := found[usage("Yr1-Yr2")], found[usage("Yr3")]; len(first) == 1 && len(later) == 1 {
		p.supportHour, p.laterSupportHour = first[0], later[0]
	}
	return nil
}

// product is what the price list says of one thing. It comes as JSON in a
// string: https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-the-aws-price-list-bulk-api-fetching-price-list-files-manually.html
type product struct {
	Product struct {
		Attributes struct {
			UsageType string `json:"usagetype"`
		} `json:"attributes"`
	} `json:"product"`
	Terms struct {
		OnDemand map[string]struct {
			PriceDimensions map[string]struct {
				BeginRange   string            `json:"beginRange"`
				PricePerUnit map[string]string `json:"pricePerUnit"`
			} `json:"priceDimensions"`
		} `json:"OnDemand"`
	} `json:"terms"`
}

// usageRegion is the region that a usage type begins with: "EUC1-", "EU-", or
// nothing for most of us-east-1, where "TS-LoadBalancerUsage" is the use of a trust store:
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-billing.html
var usageRegion = pattern.New(`^(EU|[A-Z]{2,4}[0-9])-`)

// askPrices returns on-demand prices in US dollars by usage type, without the
// region that it begins with: one each, unless AWS has several that differ.
func askPrices(ctx context.Context, client *awspricing.Client, service, region string, filters map[string]string, more ...types.Filter) (map[string][]float64, error) {
	in := &awspricing.GetProductsInput{ServiceCode: &service, Filters: []types.Filter{
		{Field: aws.String("regionCode"), Type: types.FilterTypeTermMatch, Value: &region},
		{Field: aws.String("locationType"), Type: types.FilterTypeTermMatch, Value: aws.String("AWS Region")},
	}}
	for field, value := range filters {
		in.Filters = append(in.Filters, types.Filter{Field: &field, Type: types.FilterTypeTermMatch, Value: &value})
	}
	in.Filters = append(in.Filters, more...)
	out := map[string][]float64{}
	pages := awspricing.NewGetProductsPaginator(client, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("ask AWS for the prices of %s: %w", service, err)
		}
		for _, text := range page.PriceList {
			var p product
			if err := json.Unmarshal([]byte(text), &p); err != nil {
				return nil, fmt.Errorf("read AWS's prices of %s: %w", service, err)
			}
			usage := usageRegion.ReplaceAllString(p.Product.Attributes.UsageType, "")
			for _, term := range p.Terms.OnDemand {
				for _, d := range term.PriceDimensions {
					price, err := strconv.ParseFloat(d.PricePerUnit["USD"], 64)
					first := d.BeginRange == "0" || d.BeginRange == ""
					if err == nil && first && !slices.Contains(out[usage], price) {
						out[usage] = append(out[usage], price)
					}
				}
			}
		}
	}
	return out, nil
}
