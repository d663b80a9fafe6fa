package provision

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	"github.com/aws/aws-sdk-go-v2/service/acm/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	r53types "github.com/aws/aws-sdk-go-v2/service/route53/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/provision/graph"
	"github.com/bookctl/bookctl/internal/sorted"
)

// Certificate is the stack's TLS certificate, which ACM issues once a record
// in the domain's zone proves that the domain is ours, and then renews by itself
// for as long as that record stands. It is found by its domain and its tags.
//
// A destroy takes one certificate of the stack after the other, whatever their domains
// are: the load balancer that recorded the domain may be gone by then, or was never made.
type Certificate struct {
	graph.NodeOf[*liveCertificate]
	identity
	acm    *acm.Client
	ec2    *ec2.Client // names the regions
	zone   *hostedZone // of the domain
	domain string

	token     string            // of a request that was not answered
	requested string            // the ARN of the one that this run requested
	inUse     map[string]bool   // by ARN, what ACM did not delete in this run as it is in use
	spared    map[string]string // by domain, why Delete kept its record
}

func newCertificate(i identity, client *acm.Client, regions *ec2.Client, zone *hostedZone, domain string) *Certificate {
	// ACM looks for the record now and then: minutes as a rule, and half an hour
	// at times. https://docs.aws.amazon.com/acm/latest/userguide/dns-validation.html
	c := &Certificate{identity: i, acm: client, ec2: regions, zone: zone, domain: domain}
	c.NodeOf = graph.Of(c, "certificate", time.Hour)
	return c
}

// Expect returns the usual time from the record to the certificate.
func (c *Certificate) Expect() time.Duration { return 2 * time.Minute }

// liveCertificate is a certificate as far as it is compared.
type liveCertificate struct {
	tags map[string]string
	// needs is the record that is to prove the domain, and record the one that is
	// there; both are "" where none is needed.
	needs, record string
	domain        string
	domains       []string // in a destroy, of all certificates of the stack
	unrenewed     string   // see there
	// replaced are the ARNs of those that are over, and that nothing uses any more.
	replaced []string
	// Where another one is to be requested: those that there are, and why they don't serve.
	former  []ownCertificate
	instead string
}

// Read looks the certificate up by its domain and its tags. One that has expired, or was
// refused, never comes to serve: another one is requested then, and the listener changes to
// it. The old one can't be deleted before, and ACM takes a while to notice that nothing uses it:
// it costs nothing, and goes with the first up a day later, or with the stack.
func (c *Certificate) Read(ctx context.Context) (*liveCertificate, graph.State, error) {
	all, err := c.own(ctx)
	if err != nil {
		return nil, graph.State{}, err
	}
	all = slices.Clone(all)
	sorted.By(all, ownCertificate.compare)
	if len(all) == 0 {
		return nil, absent, nil
	}
	own := all[0]
	if i := slices.IndexFunc(all, func(x ownCertificate) bool { return x.arn == c.requested }); i > 0 {
		own = all[i] // whatever became of it
	}
	if c.destroying {
		live := &liveCertificate{tags: own.tags, domain: own.domain, domains: mapped(all, func(x ownCertificate) string { return x.domain })}
		return live, graph.State{Phase: graph.Ready, ID: own.arn, Owner: c.stack}, nil
	}
	detail, err := c.describe(ctx, own.arn)
	if IsCode(err, "ResourceNotFoundException") {
		return nil, absent, nil
	}
	if err != nil {
		return nil, graph.State{}, err
	}
	live := &liveCertificate{tags: own.tags, domain: own.domain}
	st := graph.State{Phase: graph.Ready, ID: own.arn, Owner: c.stack, Note: strings.ToLower(string(detail.Status))}
	switch {
	case !isOver(detail.Status):
	case own.arn == c.requested: // as this run did, which would only do it again
		st.Phase, st.Note = graph.Unrecoverable, ending(detail)
		st.Next = hint.New("remove the cause, which %s shows, and run the same command again", hint.AWS("acm", "describe-certificate", "--certificate-arn", own.arn))
		return live, st, nil
	default:
		note := fmt.Sprintf("%s is %s", own.arn, ending(detail))
		if last := slices.MaxFunc(all, func(x, y ownCertificate) int { return x.created.Compare(y.created) }); last.arn != own.arn {
			later, err := c.describe(ctx, last.arn)
			if err != nil && !IsCode(err, "ResourceNotFoundException") {
				return nil, graph.State{}, err
			}
			if err == nil {
				note += fmt.Sprintf(", and %s is %s", last.arn, ending(later))
			}
		}
		return &liveCertificate{domain: c.domain, former: all, instead: note}, graph.State{Phase: graph.Absent, Note: note}, nil
	}
	pending := detail.Status == types.CertificateStatusPendingValidation
	record := validation(detail)
	switch {
	case record == nil && pending:
		st.Phase, st.Note = graph.Pending, "ACM has not said yet which record proves the domain"
	case record != nil:
		err := c.zone.choose(ctx, *record.Name, record.Type, func(r *r53types.ResourceRecordSet) bool { return sameRecord(r, record) })
		if err != nil {
			return nil, graph.State{}, err
		}
		have, err := c.zone.record(ctx, *record.Name, record.Type)
		if err != nil {
			return nil, graph.State{}, err
		}
		if live.needs = *record.Name; sameRecord(have, record) {
			live.record = live.needs
		}
		if pending && live.record != "" {
			asked, next, err := c.zone.asked(ctx)
			if err != nil {
				return nil, graph.State{}, err
			}
			st.Phase, st.Note, st.Next = graph.Pending, "waiting for ACM to see the record "+live.record+" in "+asked, next
		}
	}
	live.replaced = c.replacedBy(own, all)
	if live.unrenewed = unrenewed(detail); live.unrenewed != "" && st.Phase == graph.Ready {
		st.Note += "; " + live.unrenewed
	}
	return live, st, nil
}

// unusedAfter is when ACM knows that the listener has another certificate: the run that changed it
// is not to be followed by one that has something to do.
const unusedAfter = 24 * time.Hour

// replacedBy returns the ARNs of the certificates that are over, and that nothing uses since one
// that serves is there.
func (c *Certificate) replacedBy(own ownCertificate, all []ownCertificate) []string {
	if own.status != types.CertificateStatusIssued || !own.used || time.Since(own.created) < unusedAfter {
		return nil
	}
	var out []string
	for _, x := range all {
		if x.arn != own.arn && isOver(x.status) && !x.used && !c.inUse[x.arn] {
			out = append(out, x.arn)
		}
	}
	return out
}

// deleteReplaced deletes certificates that are over. ACM deletes none that something uses.
// https://docs.aws.amazon.com/acm/latest/APIReference/API_DeleteCertificate.html
func (c *Certificate) deleteReplaced(ctx context.Context, _ []graph.Change) error {
	for _, arn := range c.Last().replaced {
		err := c.deleteCertificate(ctx, arn)
		if IsCode(err, "ResourceInUseException") {
			if c.inUse == nil {
				c.inUse = map[string]bool{}
			}
			c.inUse[arn], err = true, nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isOver reports whether a certificate of that status never serves, or never again.
func isOver(s types.CertificateStatus) bool {
	return s != "" && s != types.CertificateStatusIssued && s != types.CertificateStatusPendingValidation
}

// ending says how a certificate ended.
func ending(c *types.CertificateDetail) string {
	return strings.TrimSpace(string(c.Status) + " " + string(c.FailureReason))
}

// unrenewed returns what keeps ACM from renewing a certificate that is to end soon, or "".
// https://docs.aws.amazon.com/acm/latest/userguide/check-certificate-renewal-status.html
func unrenewed(c *types.CertificateDetail) string {
	r := c.RenewalSummary
	if r == nil || r.RenewalStatus != types.RenewalStatusPendingValidation && r.RenewalStatus != types.RenewalStatusFailed {
		return ""
	}
	out := "ACM has not renewed it: " + string(r.RenewalStatus)
	if r.RenewalStatusReason != "" {
		out += " " + string(r.RenewalStatusReason)
	}
	if c.NotAfter != nil {
		out += ", and it expires on " + c.NotAfter.UTC().Format(time.DateOnly)
	}
	return out
}

// Planned returns what the certificate is created in place of, or "".
func (c *Certificate) Planned() string {
	if live := c.Last(); live != nil && live.instead != "" {
		return live.instead
	}
	return ""
}

// own are the certificates that the resource may be: of its domain or, in a destroy, of any.
func (c *Certificate) own(ctx context.Context) ([]ownCertificate, error) {
	if c.destroying {
		return c.ownCertificates(ctx, c.acm)
	}
	return ownCertificates(ctx, c.acm, c.stack, c.domain)
}

// found returns the domain of the certificate that was last read.
func (c *Certificate) found() string {
	if live := c.Last(); live != nil {
		return live.domain
	}
	return c.domain
}

// zoneOf returns the zone of a domain of the stack's.
func (c *Certificate) zoneOf(domain string) *hostedZone {
	if domain != c.domain {
		return &hostedZone{client: c.zone.client, domain: domain, everywhere: c.zone.everywhere}
	}
	return c.zone
}

// Wanted implements graph.Shape.
func (c *Certificate) Wanted(live *liveCertificate) *liveCertificate {
	return &liveCertificate{tags: c.tags(c.Name()), record: live.needs}
}

// Attributes implements graph.Shape.
func (c *Certificate) Attributes() graph.Attributes[*liveCertificate] {
	return graph.Attributes[*liveCertificate]{
		tagAttribute(func(l *liveCertificate) map[string]string { return l.tags }, graph.SetBy(c.retag)),
		graph.Field("old-certificate", func(l *liveCertificate) string { return strings.Join(l.replaced, ", ") }, graph.SetBy(c.deleteReplaced)),
		graph.Field("validation-record", func(l *liveCertificate) string { return l.record }, graph.SetBy(c.makeRecord)),
	}
}

func (c *Certificate) describe(ctx context.Context, arn string) (*types.CertificateDetail, error) {
	out, err := c.acm.DescribeCertificate(ctx, &acm.DescribeCertificateInput{CertificateArn: &arn})
	if err != nil {
		return nil, fmt.Errorf("describe certificate %s: %w", arn, err)
	}
	return out.Certificate, nil
}

// validation is the record that ACM asks for, or nil while it has not said.
func validation(c *types.CertificateDetail) *r53types.ResourceRecordSet {
	for _, o := range c.DomainValidationOptions {
		if r := o.ResourceRecord; r != nil {
			return &r53types.ResourceRecordSet{
				Name: r.Name, Type: r53types.RRType(r.Type), TTL: aws.Int64(300), ResourceRecords: []r53types.ResourceRecord{{Value: r.Value}},
			}
		}
	}
	return nil
}

// Create requests the certificate. The token makes a repeated call answer with the same one. It is
// of this request alone: ACM may answer the token of a certificate that was deleted within the hour
// with that one. A run that was cut off is followed by one that finds the certificate by its tags.
// Former ones that were refused are deleted, so that one is there at most, however often it is
// tried again.
func (c *Certificate) Create(ctx context.Context) (string, error) {
	if live := c.Last(); live != nil {
		for _, x := range live.former {
			if err := c.forget(ctx, x); err != nil {
				return "", err
			}
		}
	}
	c.token = cmp.Or(c.token, rand.Text())
	out, err := c.acm.RequestCertificate(ctx, &acm.RequestCertificateInput{
		DomainName: &c.domain, ValidationMethod: types.ValidationMethodDns, IdempotencyToken: &c.token,
		Tags: toACMTags(c.tags(c.Name())),
	})
	if err != nil {
		return "", fmt.Errorf("request a certificate for %s: %w", c.domain, err)
	}
	c.requested, c.token = aws.ToString(out.CertificateArn), ""
	return c.requested, nil
}

// forget deletes a certificate that was never issued and never will be.
func (c *Certificate) forget(ctx context.Context, x ownCertificate) error {
	if x.used || x.status != types.CertificateStatusFailed && x.status != types.CertificateStatusValidationTimedOut {
		return nil
	}
	return c.deleteCertificate(ctx, x.arn)
}

func (c *Certificate) retag(ctx context.Context, changes []graph.Change) error {
	if drop := c.toDrop(c.Name(), changes); drop != nil {
		keys := mapped(drop, func(key string) types.Tag { return types.Tag{Key: &key} })
		if _, err := c.acm.RemoveTagsFromCertificate(ctx, &acm.RemoveTagsFromCertificateInput{CertificateArn: aws.String(c.ID()), Tags: keys}); err != nil {
			return fmt.Errorf("untag certificate %s: %w", c.ID(), err)
		}
	}
	_, err := c.acm.AddTagsToCertificate(ctx, &acm.AddTagsToCertificateInput{CertificateArn: aws.String(c.ID()), Tags: toACMTags(c.tags(c.Name()))})
	if err != nil {
		return fmt.Errorf("tag certificate %s: %w", c.ID(), err)
	}
	return nil
}

// makeRecord creates the record that proves the domain.
func (c *Certificate) makeRecord(ctx context.Context, _ []graph.Change) error {
	detail, err := c.describe(ctx, c.ID())
	if err != nil {
		return err
	}
	return c.zone.change(ctx, r53types.ChangeActionUpsert, validation(detail))
}

// Delete deletes the record and then the certificate. ACM asks for the same
// record for every certificate that the account has for a domain, in whatever
// region, and renews by it: where there is another, or may be, the record stays. It
// costs nothing.
// https://docs.aws.amazon.com/acm/latest/userguide/dns-validation.html
func (c *Certificate) Delete(ctx context.Context) error {
	arn := c.ID()
	detail, err := c.describe(ctx, arn)
	if IsCode(err, "ResourceNotFoundException") {
		return nil
	}
	if err != nil {
		return err
	}
	if record := validation(detail); record != nil {
		if err := c.deleteRecord(ctx, record); err != nil {
			return err
		}
	}
	return c.deleteCertificate(ctx, arn)
}

func (c *Certificate) deleteCertificate(ctx context.Context, arn string) error {
	_, err := c.acm.DeleteCertificate(ctx, &acm.DeleteCertificateInput{CertificateArn: &arn})
	if err != nil && !IsCode(err, "ResourceNotFoundException") {
		return fmt.Errorf("delete certificate %s: %w", arn, err)
	}
	return nil
}

// deleteRecord deletes the record from each zone that has it.
func (c *Certificate) deleteRecord(ctx context.Context, record *r53types.ResourceRecordSet) error {
	domain := c.found()
	zone := c.zoneOf(domain)
	type copied struct {
		in   publicZone
		have *r53types.ResourceRecordSet
	}
	var found []copied
	unread, err := zone.each(ctx, func(one publicZone) (bool, error) {
		have, err := zone.recordIn(ctx, one, *record.Name, record.Type)
		if sameRecord(have, record) {
			found = append(found, copied{one, have})
		}
		return false, err
	})
	if errors.Is(err, errNoZone) {
		return nil // the record went with its zone
	}
	if len(found) == 0 || err != nil {
		return cmp.Or(err, unread)
	}
	why, err := c.shared(ctx)
	if err != nil {
		return err
	}
	if why != "" {
		if c.spared == nil {
			c.spared = map[string]string{}
		}
		c.spared[domain] = fmt.Sprintf("record %s was kept, by which ACM renews certificates of %s: %s", *record.Name, domain, why)
		return nil
	}
	delete(c.spared, domain) // another one of the stack's had it kept
	for _, x := range found {
		if err := zone.changeIn(ctx, x.in, r53types.ChangeActionDelete, x.have); err != nil {
			return err
		}
	}
	return nil
}

// regionsTimeout is how long all regions together may take to answer.
const regionsTimeout = 30 * time.Second

// shared returns where the account has, or may have, another certificate that is
// validated by the same record, or "" when there is none.
func (c *Certificate) shared(ctx context.Context) (string, error) {
	home := c.acm.Options().Region
	if other, err := c.another(ctx, home); err != nil || other {
		return "there is another one in " + home, err
	}
	asking, cancel := context.WithTimeout(ctx, regionsTimeout)
	defer cancel()
	enabled, err := c.ec2.DescribeRegions(asking, &ec2.DescribeRegionsInput{}) // those that the account may use
	if err != nil {
		return "other regions may have one, and can't be listed: " + err.Error(), ctx.Err()
	}
	var (
		asked   graph.Group
		mu      sync.Mutex
		found   []string
		silent  []string
		refusal error
	)
	for _, r := range enabled.Regions {
		region := aws.ToString(r.RegionName)
		if region == home || region == "" {
			continue
		}
		asked.Go(func() error {
			other, err := c.another(asking, region)
			mu.Lock()
			defer mu.Unlock()
			if other {
				found = append(found, region)
			}
			if err != nil {
				silent, refusal = append(silent, region), err
			}
			return nil
		})
	}
	if err := asked.Wait(); err != nil {
		return "", err
	}
	slices.Sort(found)
	slices.Sort(silent)
	switch {
	case len(found) > 0:
		return "there is another one in " + strings.Join(found, ", "), nil
	case len(silent) > 0:
		return fmt.Sprintf("there may be another one in %s, which can't be asked: %v", strings.Join(silent, ", "), refusal), ctx.Err()
	}
	return "", nil
}

// another reports whether a region has another certificate that names the domain, or
// stands for it. One with more names than ACM lists may.
func (c *Certificate) another(ctx context.Context, region string) (bool, error) {
	all, err := listCertificates(ctx, c.acm, func(o *acm.Options) { o.Region = region })
	domain := c.found()
	return slices.ContainsFunc(all, func(x types.CertificateSummary) bool {
		names := append(x.SubjectAlternativeNameSummaries, aws.ToString(x.DomainName))
		return aws.ToString(x.CertificateArn) != c.ID() && (aws.ToBool(x.HasAdditionalSubjectAlternativeNames) ||
			slices.ContainsFunc(names, func(name string) bool { return strings.TrimPrefix(name, "*.") == domain }))
	}), err
}

// ownCertificate is a certificate of a stack.
type ownCertificate struct {
	arn, domain string
	tags        map[string]string
	status      types.CertificateStatus
	used        bool
	created     time.Time
}

// compare orders the certificates of a domain: one that serves, or is to, comes first.
func (x ownCertificate) compare(y ownCertificate) int {
	rank := func(c ownCertificate) (r int) {
		switch {
		case isOver(c.status):
			r = 4
		case c.status != types.CertificateStatusIssued:
			r = 2
		}
		if !c.used {
			r++
		}
		return r
	}
	return cmp.Or(cmp.Compare(rank(x), rank(y)), y.created.Compare(x.created), strings.Compare(x.arn, y.arn))
}

// ownCertificates are all that carry the stack's tag.
func (i identity) ownCertificates(ctx context.Context, client *acm.Client) ([]ownCertificate, error) {
	return i.observed().certificates.readOnce(ctx, func(ctx context.Context) ([]ownCertificate, error) {
		return ownCertificates(ctx, client, i.stack, "")
	})
}

// ownCertificates are those that carry the stack's tag, of one domain or, for "",
// of any. ACM lists no tags and finds nothing by them: each candidate is asked
// for its own.
func ownCertificates(ctx context.Context, client *acm.Client, stack, domain string) ([]ownCertificate, error) {
	all, err := listCertificates(ctx, client)
	if err != nil {
		return nil, err
	}
	var out []ownCertificate
	for _, x := range all {
		if domain != "" && aws.ToString(x.DomainName) != domain {
			continue
		}
		tags, err := client.ListTagsForCertificate(ctx, &acm.ListTagsForCertificateInput{CertificateArn: x.CertificateArn})
		if IsCode(err, "ResourceNotFoundException") {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list the tags of certificate %s: %w", aws.ToString(x.CertificateArn), err)
		}
		own := ownCertificate{
			arn: aws.ToString(x.CertificateArn), domain: aws.ToString(x.DomainName),
			status: x.Status, used: aws.ToBool(x.InUse), created: aws.ToTime(x.CreatedAt),
			tags: toMap(tags.Tags, func(t types.Tag) (*string, *string) { return t.Key, t.Value }),
		}
		if own.tags[TagStack] == stack {
			out = append(out, own)
		}
	}
	return out, nil
}

// listCertificates lists what ACM has in the account and region, of every kind of
// key: unasked, it lists those of RSA with 1024 and 2048 bits alone.
// https://docs.aws.amazon.com/acm/latest/APIReference/API_Filters.html
func listCertificates(ctx context.Context, client *acm.Client, options ...func(*acm.Options)) ([]types.CertificateSummary, error) {
	var out []types.CertificateSummary
	pages := acm.NewListCertificatesPaginator(client, &acm.ListCertificatesInput{Includes: &types.Filters{KeyTypes: types.KeyAlgorithm("").Values()}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx, options...)
		if err != nil {
			return nil, fmt.Errorf("list the certificates: %w", err)
		}
		out = append(out, page.CertificateSummaryList...)
	}
	return out, nil
}

// certificateKind lists the stack's certificates.
func (i identity) certificateKind(client *acm.Client) inventory.Kind {
	return inventory.Kind{Service: "acm", Type: "certificate", Late: true, List: func(ctx context.Context) ([]inventory.Item, error) {
		all, err := i.ownCertificates(ctx, client)
		return mapped(all, func(c ownCertificate) inventory.Item { return inventory.Item{ID: c.arn} }), err
	}}
}
