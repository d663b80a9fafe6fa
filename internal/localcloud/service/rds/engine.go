package rds

import (
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/sorted"
)

const (
	engineName    = "postgres"
	license       = "postgresql-license"
	authorityName = "rds-ca-rsa2048-g1" // the default: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html
	leastGiB      = 20                  // of gp3 and gp2: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Storage.html
	mostGiB       = 65536
	mostBackups   = 35 // days
)

// dbClasses are those that can be ordered, a choice of what RDS has.
func dbClasses() []string {
	var out []string
	for family, sizes := range map[string][]string{
		"t3": {"micro", "small", "medium", "large", "xlarge", "2xlarge"}, "t4g": {"micro", "small", "medium", "large", "xlarge", "2xlarge"},
		"m5": {"large", "xlarge", "2xlarge", "4xlarge"}, "m6g": {"large", "xlarge", "2xlarge", "4xlarge"}, "m7g": {"large", "xlarge", "2xlarge", "4xlarge"},
		"r6g": {"large", "xlarge", "2xlarge", "4xlarge"}, "r7g": {"large", "xlarge", "2xlarge", "4xlarge"},
	} {
		for _, size := range sizes {
			out = append(out, "db."+family+"."+size)
		}
	}
	slices.Sort(out)
	return out
}

// classZones are the zones that have a class, without those that the faults
// take away.
func (a tx) classZones(class string) []string {
	without := a.Faults().ZonesWithoutClass
	return slices.DeleteFunc(a.needs.Network.Zones(), func(zone string) bool {
		return slices.Contains(without[zone], class) || slices.Contains(without[zone], "*")
	})
}

// majorOf is the major version of a version.
func majorOf(version string) string {
	major, _, _ := strings.Cut(version, ".")
	return major
}

// familyOf is the family of parameter groups of a version.
func familyOf(version string) string { return engineName + majorOf(version) }

// ofFamily is the version that is offered of a family, "" for none.
func (s *Service) ofFamily(family string) string {
	for _, version := range s.needs.Engine.Versions() {
		if familyOf(version) == family {
			return version
		}
	}
	return ""
}

// version is the full version that a version in a request means. What is installed is
// what is offered, one version of each major one; the first is the default.
func (a tx) version(asked *string) (string, error) {
	for _, version := range a.needs.Engine.Versions() {
		if asked == nil || *asked == majorOf(version) || *asked == version {
			return version, nil
		}
	}
	return "", kernel.Fail("InvalidParameterCombination", "Cannot find version %s for postgres", *asked)
}

// targets are the versions that one can be upgraded to.
func (s *Service) targets(from string) []types.UpgradeTarget {
	out := []types.UpgradeTarget{}
	for _, to := range s.needs.Engine.Versions() {
		if s.needs.Engine.Upgrades(from, to) {
			out = append(out, types.UpgradeTarget{
				Engine: aws.String(engineName), EngineVersion: aws.String(to), Description: aws.String("PostgreSQL " + to),
				AutoUpgrade: aws.Bool(false), IsMajorVersionUpgrade: aws.Bool(true),
			})
		}
	}
	sorted.By(out, func(x, y types.UpgradeTarget) int { return strings.Compare(*x.EngineVersion, *y.EngineVersion) })
	return out
}

func (a tx) DescribeDBEngineVersions(in *rds.DescribeDBEngineVersionsInput) (*rds.DescribeDBEngineVersionsOutput, error) {
	a.prepare()
	out := &rds.DescribeDBEngineVersionsOutput{DBEngineVersions: []types.DBEngineVersion{}}
	if in.Engine != nil && *in.Engine != engineName {
		return out, nil
	}
	versions := slices.Clone(a.needs.Engine.Versions())
	if aws.ToBool(in.DefaultOnly) && in.EngineVersion == nil {
		versions = versions[:1]
	}
	slices.Sort(versions)
	for _, version := range versions {
		if in.DBParameterGroupFamily != nil && *in.DBParameterGroupFamily != familyOf(version) ||
			in.EngineVersion != nil && *in.EngineVersion != version && *in.EngineVersion != majorOf(version) {
			continue
		}
		match, err := matches(in.Filters, map[string]string{
			"db-parameter-group-family": familyOf(version), "engine": engineName, "engine-version": version, "status": "available", "engine-mode": "provisioned",
		})
		if err != nil {
			return out, err
		}
		if !match {
			continue
		}
		out.DBEngineVersions = append(out.DBEngineVersions, types.DBEngineVersion{
			Engine: aws.String(engineName), EngineVersion: aws.String(version), MajorEngineVersion: aws.String(majorOf(version)),
			DBParameterGroupFamily: aws.String(familyOf(version)), DBEngineDescription: aws.String("PostgreSQL"),
			DBEngineVersionDescription: aws.String("PostgreSQL " + version), Status: aws.String("available"), ValidUpgradeTarget: a.targets(version),
			ExportableLogTypes: []string{"postgresql", "upgrade"}, SupportsLogExportsToCloudwatchLogs: aws.Bool(true), SupportsReadReplica: aws.Bool(false),
			SupportedCACertificateIdentifiers: []string{authorityName}, SupportsCertificateRotationWithoutRestart: aws.Bool(true),
		})
	}
	return out, nil
}

// standardSupport is until when RDS's standard support of a major version lasts; that
// of one that is not in it is not over yet.
// https://docs.aws.amazon.com/AmazonRDS/latest/PostgreSQLReleaseNotes/postgresql-release-calendar.html
var standardSupport = map[string]time.Time{
	"11": day(2024, 2), "12": day(2025, 2), "13": day(2026, 2), "14": day(2027, 2), "15": day(2028, 2), "16": day(2029, 2), "17": day(2030, 2), "18": day(2031, 2),
}

// day is the last of a month.
func day(year int, month time.Month) time.Time {
	return time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC)
}

// DescribeDBMajorEngineVersions returns until when each major version is supported.
func (a tx) DescribeDBMajorEngineVersions(in *rds.DescribeDBMajorEngineVersionsInput) (*rds.DescribeDBMajorEngineVersionsOutput, error) {
	out := &rds.DescribeDBMajorEngineVersionsOutput{DBMajorEngineVersions: []types.DBMajorEngineVersion{}}
	if in.Engine != nil && *in.Engine != engineName {
		return out, nil
	}
	for _, version := range slices.Sorted(slices.Values(a.needs.Engine.Versions())) {
		major := majorOf(version)
		end, known := standardSupport[major]
		if in.MajorEngineVersion != nil && *in.MajorEngineVersion != major || !known {
			continue
		}
		begin := end.AddDate(-5, 0, 0)
		out.DBMajorEngineVersions = append(out.DBMajorEngineVersions, types.DBMajorEngineVersion{
			Engine: aws.String(engineName), MajorEngineVersion: aws.String(major), SupportedEngineLifecycles: []types.SupportedEngineLifecycle{
				{LifecycleSupportName: types.LifecycleSupportNameOpenSourceRdsStandardSupport, LifecycleSupportStartDate: &begin, LifecycleSupportEndDate: &end},
				{LifecycleSupportName: types.LifecycleSupportNameOpenSourceRdsExtendedSupport, LifecycleSupportStartDate: aws.Time(end.AddDate(0, 0, 1)), LifecycleSupportEndDate: aws.Time(end.AddDate(3, 0, 0))},
			},
		})
	}
	return out, nil
}

func (a tx) DescribeOrderableDBInstanceOptions(in *rds.DescribeOrderableDBInstanceOptionsInput) (*rds.DescribeOrderableDBInstanceOptionsOutput, error) {
	a.prepare()
	if aws.ToString(in.Engine) != engineName {
		return nil, kernel.Fail("InvalidParameterValue", "Invalid DB engine: %s. The local cloud has postgres", aws.ToString(in.Engine))
	}
	var all []types.OrderableDBInstanceOption
	for _, version := range slices.Sorted(slices.Values(a.needs.Engine.Versions())) {
		if in.EngineVersion != nil && *in.EngineVersion != version && *in.EngineVersion != majorOf(version) || in.LicenseModel != nil && *in.LicenseModel != license {
			continue
		}
		for _, class := range dbClasses() {
			zones := a.classZones(class)
			if in.DBInstanceClass != nil && *in.DBInstanceClass != class || len(zones) == 0 {
				continue
			}
			for _, storage := range []string{"gp2", "gp3"} {
				o := types.OrderableDBInstanceOption{
					Engine: aws.String(engineName), EngineVersion: aws.String(version), DBInstanceClass: aws.String(class), LicenseModel: aws.String(license),
					StorageType: aws.String(storage), MinStorageSize: aws.Int32(leastGiB), MaxStorageSize: aws.Int32(mostGiB), MultiAZCapable: aws.Bool(true), Vpc: aws.Bool(true),
					SupportsStorageEncryption: aws.Bool(true), SupportsPerformanceInsights: aws.Bool(true), SupportsStorageAutoscaling: aws.Bool(true),
					SupportsEnhancedMonitoring: aws.Bool(true), SupportsIAMDatabaseAuthentication: aws.Bool(true), ReadReplicaCapable: aws.Bool(false),
					SupportsIops: aws.Bool(false), SupportedEngineModes: []string{"provisioned"}, SupportedNetworkTypes: []string{"IPV4"},
				}
				for _, z := range zones {
					o.AvailabilityZones = append(o.AvailabilityZones, types.AvailabilityZone{Name: aws.String(z)})
				}
				all = append(all, o)
			}
		}
	}
	limit := 100
	if in.MaxRecords != nil {
		if *in.MaxRecords < 20 || *in.MaxRecords > 10000 {
			return nil, kernel.Fail("InvalidParameterValue", "Invalid value %d for MaxRecords. Must be between 20 and 10000", *in.MaxRecords)
		}
		limit = int(*in.MaxRecords)
	}
	page, next, err := kernel.PageOf(all, in.Marker, limit, kernel.Fail("InvalidParameterValue", "The marker is not valid: %s", aws.ToString(in.Marker)))
	if err != nil {
		return nil, err
	}
	return &rds.DescribeOrderableDBInstanceOptionsOutput{OrderableDBInstanceOptions: page, Marker: next}, nil
}

// DescribeCertificates lists the authority by the name of Amazon's default one;
// the certificates are the local cloud's own.
func (a tx) DescribeCertificates(in *rds.DescribeCertificatesInput) (*rds.DescribeCertificatesOutput, error) {
	if in.CertificateIdentifier != nil && *in.CertificateIdentifier != authorityName {
		return nil, kernel.Fail("CertificateNotFound", "Certificate not found: %s", *in.CertificateIdentifier)
	}
	return &rds.DescribeCertificatesOutput{
		DefaultCertificateForNewLaunches: aws.String(authorityName),
		Certificates: []types.Certificate{{
			CertificateIdentifier: aws.String(authorityName), CertificateType: aws.String("CA"), CertificateArn: aws.String(a.ARN("rds", "cert:"+authorityName)),
			ValidFrom: aws.Time(time.Date(2021, 5, 21, 0, 0, 0, 0, time.UTC)), ValidTill: aws.Time(time.Date(2061, 5, 21, 0, 0, 0, 0, time.UTC)),
		}},
	}, nil
}

// DescribePendingMaintenanceActions lists none: nothing here ages.
func (a tx) DescribePendingMaintenanceActions(*rds.DescribePendingMaintenanceActionsInput) (*rds.DescribePendingMaintenanceActionsOutput, error) {
	return &rds.DescribePendingMaintenanceActionsOutput{}, nil
}
