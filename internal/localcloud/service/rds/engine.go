package rds

import (
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
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
	return slices.DeleteFunc(a.network.Zones(), func(zone string) bool {
		return slices.Contains(without[zone], class) || slices.Contains(without[zone], "*")
	})
}

// major is the major version of the PostgreSQL that is installed, which is the
// only one offered.
func (s *Service) major() string {
	major, _, _ := strings.Cut(s.engine.Version(), ".")
	return major
}

func (s *Service) family() string { return engineName + s.major() }

// version is the full version that a version in a request means.
func (a tx) version(asked *string) (string, error) {
	if asked == nil || *asked == a.major() || *asked == a.engine.Version() {
		return a.engine.Version(), nil
	}
	return "", kernel.Fail("InvalidParameterCombination", "Cannot find version %s for postgres", *asked)
}

func (a tx) DescribeDBEngineVersions(in *rds.DescribeDBEngineVersionsInput) (*rds.DescribeDBEngineVersionsOutput, error) {
	a.prepare()
	out := &rds.DescribeDBEngineVersionsOutput{DBEngineVersions: []types.DBEngineVersion{}}
	if in.Engine != nil && *in.Engine != engineName || in.DBParameterGroupFamily != nil && *in.DBParameterGroupFamily != a.family() {
		return out, nil
	}
	if _, err := a.version(in.EngineVersion); err != nil {
		return out, nil
	}
	match, err := matches(in.Filters, map[string]string{
		"db-parameter-group-family": a.family(), "engine": engineName, "engine-version": a.engine.Version(), "status": "available", "engine-mode": "provisioned",
	})
	if !match || err != nil {
		return out, err
	}
	out.DBEngineVersions = append(out.DBEngineVersions, types.DBEngineVersion{
		Engine: aws.String(engineName), EngineVersion: aws.String(a.engine.Version()), MajorEngineVersion: aws.String(a.major()),
		DBParameterGroupFamily: aws.String(a.family()), DBEngineDescription: aws.String("PostgreSQL"),
		DBEngineVersionDescription: aws.String("PostgreSQL " + a.engine.Version()), Status: aws.String("available"),
		ExportableLogTypes: []string{"postgresql", "upgrade"}, SupportsLogExportsToCloudwatchLogs: aws.Bool(true), SupportsReadReplica: aws.Bool(false),
		SupportedCACertificateIdentifiers: []string{authorityName}, SupportsCertificateRotationWithoutRestart: aws.Bool(true),
	})
	return out, nil
}

func (a tx) DescribeOrderableDBInstanceOptions(in *rds.DescribeOrderableDBInstanceOptionsInput) (*rds.DescribeOrderableDBInstanceOptionsOutput, error) {
	a.prepare()
	if aws.ToString(in.Engine) != engineName {
		return nil, kernel.Fail("InvalidParameterValue", "Invalid DB engine: %s. The local cloud has postgres", aws.ToString(in.Engine))
	}
	var all []types.OrderableDBInstanceOption
	if _, err := a.version(in.EngineVersion); err == nil && (in.LicenseModel == nil || *in.LicenseModel == license) {
		for _, class := range dbClasses() {
			zones := a.classZones(class)
			if in.DBInstanceClass != nil && *in.DBInstanceClass != class || len(zones) == 0 {
				continue
			}
			for _, storage := range []string{"gp2", "gp3"} {
				o := types.OrderableDBInstanceOption{
					Engine: aws.String(engineName), EngineVersion: aws.String(a.engine.Version()), DBInstanceClass: aws.String(class), LicenseModel: aws.String(license),
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
