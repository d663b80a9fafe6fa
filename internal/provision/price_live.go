package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/pricing"
	"github.com/aws/aws-sdk-go-v2/service/pricing/types"
)

// LiveCost is Cost with the prices that AWS's Pricing API gives today. The API
// is served in few regions, and the client's must be one of them; it tells of
// all:
// https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html
func LiveCost(ctx context.Context, c *pricing.Client, s Settings, region string) ([]Line, error) {
	q := query{client: c, region: region}
	arch := map[string]string{"amd64": "", "arm64": "ARM-"}[s.Arch]
	postgres := equals("databaseEngine", "PostgreSQL")
	application := equals("productFamily", "Load Balancer-Application")
	p := regionPrices{
		Fargate: map[string]fargatePrice{s.Arch: {
			VCPUHour: q.price(ctx, "AmazonECS", "Fargate-"+arch+"vCPU-Hours:perCPU"),
			GBHour:   q.price(ctx, "AmazonECS", "Fargate-"+arch+"GB-Hours"),
		}},
		DB:          map[string]float64{s.DBClass: q.price(ctx, "AmazonRDS", "InstanceUsage:"+s.DBClass, postgres)},
		DBStorageGB: q.price(ctx, "AmazonRDS", "RDS:GP3-Storage", postgres),
		SnapshotGB:  q.price(ctx, "AmazonRDS", "RDS:ChargedBackupUsage", postgres),
		ALBHour:     q.price(ctx, "AWSELB", "LoadBalancerUsage", application),
		LCUHour:     q.price(ctx, "AWSELB", "LCUUsage", application),
		IPv4Hour:    q.price(ctx, "AmazonVPC", "PublicIPv4:InUseAddress"),
		SecretMonth: q.price(ctx, "AWSSecretsManager", "AWSSecretsManager-Secrets"),
		LogGB:       q.price(ctx, "AmazonCloudWatch", "DataProcessing-Bytes"),
		ImageGB:     q.price(ctx, "AmazonECR", "TimedStorage-ByteHrs"),
	}
	if q.err != nil {
		return nil, q.err
	}
	return p.cost(s, region, time.Now().UTC().Format(time.DateOnly))
}

// query asks for prices until one question fails.
type query struct {
	client *pricing.Client
	region string
	err    error
}

// price returns the price of the first unit of a usage type, which AWS writes
// with a region's own prefix ("EUC1-Fargate-GB-Hours") or, in the oldest
// region, at times without.
func (q *query) price(ctx context.Context, service, usage string, filters ...types.Filter) float64 {
	if q.err != nil {
		return 0
	}
	// A usage type can't be asked for without its prefix, which no API tells.
	pattern := regexp.MustCompile("^([A-Z]{2,4}[0-9]?-)?" + regexp.QuoteMeta(usage) + "$")
	found := map[float64]bool{}
	pages := pricing.NewGetProductsPaginator(q.client, &pricing.GetProductsInput{
		ServiceCode: &service, Filters: append(filters, equals("regionCode", q.region)),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			q.err = fmt.Errorf("ask for the price of %s: %w", usage, err)
			return 0
		}
		for _, text := range page.PriceList {
			var p product
			if err := json.Unmarshal([]byte(text), &p); err != nil {
				q.err = fmt.Errorf("read the price of %s: %w", usage, err)
				return 0
			}
			if pattern.MatchString(p.Product.Attributes.UsageType) {
				for _, price := range p.first() {
					found[price] = true
				}
			}
		}
	}
	if len(found) != 1 {
		q.err = fmt.Errorf("%w: AWS has %d prices for %s in %s", ErrNoPrice, len(found), usage, q.region)
		return 0
	}
	for price := range found {
		return price
	}
	return 0
}

func equals(field, value string) types.Filter {
	return types.Filter{Field: aws.String(field), Type: types.FilterTypeTermMatch, Value: aws.String(value)}
}

// product is a product in the Pricing API's own JSON.
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

// first returns the prices of the first unit, where more units may cost less.
func (p product) first() []float64 {
	var out []float64
	for _, term := range p.Terms.OnDemand {
		for _, d := range term.PriceDimensions {
			if d.BeginRange != "" && d.BeginRange != "0" {
				continue
			}
			if price, err := strconv.ParseFloat(d.PricePerUnit["USD"], 64); err == nil && price > 0 {
				out = append(out, price)
			}
		}
	}
	return out
}
