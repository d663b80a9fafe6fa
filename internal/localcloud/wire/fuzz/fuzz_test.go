// Package fuzz feeds the wire decoder what nobody should send. It is a package of
// its own, with small stand-ins for the SDK's structs, since the fuzzer would
// compile all of the SDK anew to watch it.
package fuzz

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/bookctl/bookctl/internal/localcloud/wire"
)

// The structs have the SDK's names for what the operations take.
type (
	authorizeInput struct {
		DryRun        *bool
		GroupId       *string
		IpPermissions []ipPermission
	}
	ipPermission struct {
		FromPort, ToPort *int32
		IpProtocol       *string
		IpRanges         []struct{ CidrIp, Description *string }
	}
	instanceInput struct {
		DBInstanceIdentifier, DBInstanceClass, Engine *string
		AllocatedStorage                              *int32
		MultiAZ                                       *bool
		Tags                                          []struct{ Key, Value *string }
		VpcSecurityGroupIds                           []string
	}
	definitionInput struct {
		Family               *string
		ContainerDefinitions []struct {
			Name         *string
			Essential    *bool
			DockerLabels map[string]string
			PortMappings []struct{ ContainerPort *int32 }
		}
	}
	eventsInput struct {
		LogGroupName, LogStreamName *string
		LogEvents                   []struct {
			Message   *string
			Timestamp *int64
		}
	}
	recordsInput struct {
		HostedZoneId *string
		ChangeBatch  *struct {
			Comment *string
			Changes []struct {
				Action            string
				ResourceRecordSet *struct {
					Name            *string
					Type            string
					TTL             *int64
					ResourceRecords []struct{ Value *string }
				}
			}
		}
	}
	activitiesInput struct {
		StartTime, EndTime *time.Time
		Duration           *int32
		SourceIdentifier   *string
	}
)

// FuzzDecode looks for a request that makes the decoder panic, or fail with an
// error that would not be the caller's.
func FuzzDecode(f *testing.F) {
	f.Add(uint8(0), "Action=AuthorizeSecurityGroupIngress&GroupId=sg-1&IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0%2F0&IpPermissions.1.FromPort=80")
	f.Add(uint8(1), "Action=CreateDBInstance&Tags.Tag.1.Key=a&VpcSecurityGroupIds.VpcSecurityGroupId.2=sg&MultiAZ=true")
	f.Add(uint8(2), `{"family":"a","containerDefinitions":[{"name":"x","portMappings":[{"containerPort":80}],"dockerLabels":{"a":"b"},"essential":null}]}`)
	f.Add(uint8(3), `{"logGroupName":"g","logStreamName":"s","logEvents":[{"message":"m","timestamp":1e3}]}`)
	f.Add(uint8(4), `<C xmlns="x"><ChangeBatch><Changes><Change><Action>UPSERT</Action><ResourceRecordSet><Name>a</Name><TTL>5</TTL></ResourceRecordSet></Change></Changes></ChangeBatch></C>`)
	f.Add(uint8(5), "Action=DescribeEvents&StartTime=2026-01-01T00%3A00%3A00Z&EndTime=1e9&Duration=1")
	load := func(service string) *wire.Model {
		m, err := wire.Load(service)
		if err != nil {
			f.Fatal(err)
		}
		return m
	}
	rds := load("rds")
	targets := []struct {
		model     *wire.Model
		operation string
		path      string
		input     func() any
	}{
		{load("ec2"), "AuthorizeSecurityGroupIngress", "/", func() any { return new(authorizeInput) }},
		{rds, "CreateDBInstance", "/", func() any { return new(instanceInput) }},
		{load("ecs"), "RegisterTaskDefinition", "/", func() any { return new(definitionInput) }},
		{load("logs"), "PutLogEvents", "/", func() any { return new(eventsInput) }},
		{load("route53"), "ChangeResourceRecordSets", "/2013-04-01/hostedzone/Z1/rrset", func() any { return new(recordsInput) }},
		{rds, "DescribeEvents", "/", func() any { return new(activitiesInput) }},
	}
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		target := targets[int(which)%len(targets)]
		r := httptest.NewRequest(http.MethodPost, target.path, nil)
		_, _ = target.model.OperationName(r, []byte(body)) // must not panic
		err := target.model.Decode(target.operation, r, []byte(body), target.input())
		var bad *wire.Error
		if err != nil && !errors.As(err, &bad) {
			t.Errorf("an error that is not the caller's: %v", err)
		}
	})
}
