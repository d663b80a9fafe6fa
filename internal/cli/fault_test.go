package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	secrettypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/awsaccount"
	"github.com/bookctl/bookctl/internal/requestbody"
)

// byHand is somebody else at work in the shell's local cloud.
type byHand struct {
	*testing.T
	aws.Config
	endpoint string
}

// byHand starts the local cloud with what goes wrong in it.
func (s *shell) byHand(t *testing.T, faults map[string]any, flags ...string) *byHand {
	t.Helper()
	args := append([]string{"local", "start"}, flags...)
	if faults != nil {
		file := filepath.Join(s.dir, "faults.json")
		text, err := json.Marshal(faults)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--faults", file)
	}
	s.must(args...)
	var info struct{ Endpoint string }
	decode(t, s.must("local", "status", "--output", "json"), &info)
	return &byHand{t, aws.Config{
		Region: "us-east-1", BaseEndpoint: &info.Endpoint, Credentials: credentials.NewStaticCredentialsProvider("hand", "hand", ""),
		APIOptions: []func(*middleware.Stack) error{requestbody.Readable},
	}, info.Endpoint}
}

// faults replaces what goes wrong from now on.
func (h *byHand) faults(f map[string]any) {
	h.Helper()
	text, err := json.Marshal(f)
	if err != nil {
		h.Fatal(err)
	}
	if code, body := call(h.T, http.MethodPut, h.endpoint+"/_bookctl/faults", string(text)); code != http.StatusOK {
		h.Fatalf("set faults: %d %s", code, body)
	}
}

func (h *byHand) inventory() []string {
	h.Helper()
	out, err := awsaccount.Inventory(h.Context(), h.Config)
	if err != nil {
		h.Fatal(err)
	}
	return out
}

// same holds the account against an earlier inventory. It may take a while to become
// the same, as a database does that is backed up.
func (h *byHand) same(what string, before []string) {
	h.Helper()
	var diff string
	for range 300 {
		if diff = cmp.Diff(withoutTasks(before), withoutTasks(h.inventory())); diff == "" {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	h.Errorf("%s (-before +after):\n%s", what, diff)
}

// withoutTasks is an inventory without the network interfaces of a service's tasks,
// which come and go, and each time in another zone. Where there is no service, such
// an interface is left behind.
func withoutTasks(inventory []string) []string {
	if !slices.ContainsFunc(inventory, func(line string) bool { return strings.HasPrefix(line, "service ") }) {
		return inventory
	}
	return slices.DeleteFunc(slices.Clone(inventory), func(line string) bool {
		return strings.HasPrefix(line, "network interface in ") && strings.Contains(line, "-subnet-public-")
	})
}

// backedUp waits for the first backup to be over, and lists the account.
func (h *byHand) backedUp() (inventory []string) {
	h.Helper()
	until(h.T, "the first backup is over", func() bool {
		inventory = h.inventory()
		return slices.ContainsFunc(inventory, func(line string) bool { return strings.HasPrefix(line, "database book-database available ") })
	})
	return inventory
}

func (h *byHand) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// ok drops the answer of a call that has to succeed.
func ok[T any](_ T, err error) error { return err }

func (h *byHand) group(name string) ec2types.SecurityGroup {
	h.Helper()
	out, err := ec2.NewFromConfig(h.Config).DescribeSecurityGroups(h.Context(), &ec2.DescribeSecurityGroupsInput{
		Filters: []ec2types.Filter{{Name: aws.String("group-name"), Values: []string{name}}},
	})
	h.must(err)
	return out.SecurityGroups[0]
}

func (h *byHand) table(name string) ec2types.RouteTable {
	h.Helper()
	out, err := ec2.NewFromConfig(h.Config).DescribeRouteTables(h.Context(), &ec2.DescribeRouteTablesInput{
		Filters: []ec2types.Filter{{Name: aws.String("tag:Name"), Values: []string{name}}},
	})
	h.must(err)
	return out.RouteTables[0]
}

// says checks an exit code, and what was printed to standard error.
func (r result) says(t *testing.T, code int, pieces ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d instead of %d:\n%s%s", r.code, code, r.out, r.err)
		return
	}
	for _, p := range pieces {
		if strings.Contains(r.err, p) {
			continue
		}
		if strings.Contains(r.out, p) {
			t.Errorf("%q is on stdout, and says looks at stderr; shows looks at both", p)
			continue
		}
		t.Errorf("%q is not said:\n%s", p, r.err)
	}
}

// shows is says of what a command prints, wherever it prints it.
func (r result) shows(t *testing.T, code int, pieces ...string) {
	t.Helper()
	for _, p := range pieces {
		if !strings.Contains(r.out+r.err, p) {
			t.Errorf("%q is not said:\n%s%s", p, r.out, r.err)
		}
	}
	if r.code != code {
		t.Errorf("exit code %d instead of %d:\n%s%s", r.code, code, r.out, r.err)
	}
}

// TestDriftByHandIsListedAndRepaired changes a running stack behind bookctl's
// back, in every service.
func TestDriftByHandIsListedAndRepaired(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	s.up()
	before := h.backedUp()
	network, balancing, ctx := ec2.NewFromConfig(h.Config), elb.NewFromConfig(h.Config), t.Context()

	group := h.group("book-sg-database")
	h.must(ok(network.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: group.GroupId, IpPermissions: group.IpPermissions})))
	h.must(ok(network.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: group.GroupId, IpPermissions: []ec2types.IpPermission{{
		IpProtocol: aws.String("tcp"), FromPort: aws.Int32(22), ToPort: aws.Int32(22), IpRanges: []ec2types.IpRange{{CidrIp: aws.String("0.0.0.0/0")}},
	}}})))
	table := h.table("book-route-table-public")
	h.must(ok(network.DisassociateRouteTable(ctx, &ec2.DisassociateRouteTableInput{AssociationId: table.Associations[0].RouteTableAssociationId})))
	h.must(ok(network.DeleteTags(ctx, &ec2.DeleteTagsInput{Resources: []string{*table.RouteTableId}, Tags: []ec2types.Tag{{Key: aws.String("Name")}}})))
	h.must(ok(ecs.NewFromConfig(h.Config).UpdateService(ctx, &ecs.UpdateServiceInput{
		Cluster: aws.String("book-cluster"), Service: aws.String("book-service"), DesiredCount: aws.Int32(3),
	})))
	db := rds.NewFromConfig(h.Config)
	h.must(ok(db.ModifyDBParameterGroup(ctx, &rds.ModifyDBParameterGroupInput{DBParameterGroupName: aws.String("book-database"), Parameters: []rdstypes.Parameter{
		{ParameterName: aws.String("rds.force_ssl"), ParameterValue: aws.String("0"), ApplyMethod: rdstypes.ApplyMethodImmediate},
	}})))
	until(t, "the database is made public", func() bool {
		_, err := db.ModifyDBInstance(ctx, &rds.ModifyDBInstanceInput{
			DBInstanceIdentifier: aws.String("book-database"), PubliclyAccessible: aws.Bool(true), ApplyImmediately: aws.Bool(true),
		})
		return err == nil
	})
	exporting := func(enable, disable []string) error {
		return ok(db.ModifyDBInstance(ctx, &rds.ModifyDBInstanceInput{
			DBInstanceIdentifier:              aws.String("book-database"),
			CloudwatchLogsExportConfiguration: &rdstypes.CloudwatchLogsExportConfiguration{EnableLogTypes: enable, DisableLogTypes: disable},
		}))
	}
	until(t, "the database exports another log", func() bool { return exporting([]string{"upgrade"}, []string{"postgresql"}) == nil })
	balancers, err := balancing.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{Names: []string{"book-lb"}})
	h.must(err)
	h.must(ok(balancing.CreateListener(ctx, &elb.CreateListenerInput{
		LoadBalancerArn: balancers.LoadBalancers[0].LoadBalancerArn, Port: aws.Int32(openPort(t)), Protocol: elbtypes.ProtocolEnumHttp,
		DefaultActions: []elbtypes.Action{{Type: elbtypes.ActionTypeEnumFixedResponse, FixedResponseConfig: &elbtypes.FixedResponseActionConfig{StatusCode: aws.String("200")}}},
	})))

	drift := []string{"sg-database", "route-table-public", "service", "count", "db-parameter-group", "rds.force_ssl", "database", "public", "log-exports", "listener"}
	status := s.run("status", "--local")
	for _, d := range drift {
		if !strings.Contains(status.out+status.err, d) {
			t.Errorf("status does not show %s:\n%s%s", d, status.out, status.err)
		}
	}
	r := s.run("up", "--local")
	r.says(t, 0, drift...)
	// What else is exported is its owner's.
	if logs := h.database().EnabledCloudwatchLogsExports; !slices.Equal(logs, []string{"postgresql", "upgrade"}) {
		t.Errorf("it exports %v", logs)
	}
	h.must(exporting(nil, []string{"upgrade"}))
	h.same("up did not repair it all", before)
	s.run("up", "--local").says(t, 0, "0 changed")
}

func openPort(t *testing.T) int32 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return int32(l.Addr().(*net.TCPAddr).Port)
}

// TestResourcesThatTheStackDoesNotManageAreNeverTouched fills the account with things of our names
// that are not ours, and with another stack's.
func TestResourcesThatTheStackDoesNotManageAreNeverTouched(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	for _, owner := range []string{"", "other"} {
		h.plant(owner)
	}
	before := h.inventory()
	r := s.run("up", "--local", "--image", noImage, "--arch", runtime.GOARCH)
	r.says(t, 1, "secret", "repository", "log-group", "execution-role", "cluster", "load-balancer", "target-group", "db-parameter-group", "db-subnet-group")
	// Of the stack's own, up leaves its lock, released: destroy removes that.
	with := append(slices.Clone(before), "parameter /bookctl/book/lock/first")
	slices.Sort(with)
	h.same("up touched what is not the stack's", with)
	s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 0)
	h.same("destroy touched what is not the stack's", before)
}

// plant makes a thing of every type with the names of stack book, owned by
// nobody or by another stack.
func (h *byHand) plant(owner string) {
	h.Helper()
	ctx := h.Context()
	tag := func(add func(k, v *string)) {
		if owner != "" {
			add(aws.String("bookctl:stack"), &owner)
		}
	}
	names := []ec2types.Tag{{Key: aws.String("Name"), Value: aws.String("book-vpc")}}
	tag(func(k, v *string) { names = append(names, ec2types.Tag{Key: k, Value: v}) })
	network := ec2.NewFromConfig(h.Config)
	vpc, err := network.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.0.0.0/16"), TagSpecifications: []ec2types.TagSpecification{{ResourceType: ec2types.ResourceTypeVpc, Tags: names}}})
	h.must(err)
	var subnets []string
	for i, zone := range []string{"us-east-1a", "us-east-1b"} {
		subnet, err := network.CreateSubnet(ctx, &ec2.CreateSubnetInput{
			VpcId: vpc.Vpc.VpcId, CidrBlock: aws.String(fmt.Sprintf("10.0.%d.0/24", i)), AvailabilityZone: &zone,
			TagSpecifications: []ec2types.TagSpecification{{ResourceType: ec2types.ResourceTypeSubnet, Tags: names}},
		})
		h.must(err)
		subnets = append(subnets, *subnet.Subnet.SubnetId)
	}
	h.must(ok(network.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{GroupName: aws.String("book-sg-task"), Description: aws.String("x"), VpcId: vpc.Vpc.VpcId})))
	gateway, err := network.CreateInternetGateway(ctx, &ec2.CreateInternetGatewayInput{TagSpecifications: []ec2types.TagSpecification{{ResourceType: ec2types.ResourceTypeInternetGateway, Tags: names}}})
	h.must(err)
	h.must(ok(network.AttachInternetGateway(ctx, &ec2.AttachInternetGatewayInput{InternetGatewayId: gateway.InternetGateway.InternetGatewayId, VpcId: vpc.Vpc.VpcId})))
	h.must(ok(network.CreateRouteTable(ctx, &ec2.CreateRouteTableInput{VpcId: vpc.Vpc.VpcId, TagSpecifications: []ec2types.TagSpecification{{ResourceType: ec2types.ResourceTypeRouteTable, Tags: names}}})))
	if owner != "" {
		return // of what follows, a name can be taken only once
	}
	secret := `{"password":"somebody else's"}`
	h.must(ok(secretsmanager.NewFromConfig(h.Config).CreateSecret(ctx, &secretsmanager.CreateSecretInput{
		Name: aws.String("book/database"), SecretString: &secret, Tags: []secrettypes.Tag{{Key: aws.String("bookctl:stack"), Value: aws.String("other")}},
	})))
	h.must(ok(ecr.NewFromConfig(h.Config).CreateRepository(ctx, &ecr.CreateRepositoryInput{
		RepositoryName: aws.String("book/app"), Tags: []ecrtypes.Tag{{Key: aws.String("Name"), Value: aws.String("book-repository")}},
	})))
	h.must(ok(cloudwatchlogs.NewFromConfig(h.Config).CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String("/bookctl/book")})))
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	roles := iam.NewFromConfig(h.Config)
	for _, name := range []string{"book-us-east-1-execution-role", "book-us-east-1-task-role"} {
		h.must(ok(roles.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})))
	}
	h.must(ok(ecs.NewFromConfig(h.Config).CreateCluster(ctx, &ecs.CreateClusterInput{
		ClusterName: aws.String("book-cluster"), Tags: []ecstypes.Tag{{Key: aws.String("bookctl:stack"), Value: aws.String("other")}},
	})))
	balancing := elb.NewFromConfig(h.Config)
	h.must(ok(balancing.CreateLoadBalancer(ctx, &elb.CreateLoadBalancerInput{Name: aws.String("book-lb"), Subnets: subnets})))
	h.must(ok(balancing.CreateTargetGroup(ctx, &elb.CreateTargetGroupInput{
		Name: aws.String("book-tasks"), Port: aws.Int32(8080), Protocol: elbtypes.ProtocolEnumHttp, TargetType: elbtypes.TargetTypeEnumIp, VpcId: vpc.Vpc.VpcId,
	})))
	db := rds.NewFromConfig(h.Config)
	engines, err := db.DescribeDBEngineVersions(ctx, &rds.DescribeDBEngineVersionsInput{Engine: aws.String("postgres")})
	h.must(err)
	h.must(ok(db.CreateDBParameterGroup(ctx, &rds.CreateDBParameterGroupInput{
		DBParameterGroupName: aws.String("book-database"), DBParameterGroupFamily: engines.DBEngineVersions[0].DBParameterGroupFamily, Description: aws.String("x"),
	})))
	h.must(ok(db.CreateDBSubnetGroup(ctx, &rds.CreateDBSubnetGroupInput{
		DBSubnetGroupName: aws.String("book-database"), DBSubnetGroupDescription: aws.String("x"), SubnetIds: subnets,
	})))
}

// TestAnEndOfTimeSaysWhatAWSAnswered throttles a command until its time is over.
func TestAnEndOfTimeSaysWhatAWSAnswered(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.must("local", "start")
	s.faults(`{"throttle": 1}`)
	s.run("status", "--local", "--timeout", "3s").says(t, 1, "--timeout 3s is over: identify the AWS caller; AWS's last answer was Throttling: Rate exceeded", "--timeout")
}

// TestTwoRunsAndACtrlC lets a second run meet a first one, which is then
// interrupted, and killed, and goes on.
func TestTwoRunsAndACtrlC(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil, "--latencies", "aws", "--scale", "0.02") // a database takes 5 s
	before := h.inventory()
	s.faults(`{"only": ["ecs:RegisterTaskDefinition"], "throttle": 1}`) // so that the service is not begun
	first := s.begin(t, "up", "--local")
	until(t, "the first run makes a database", func() bool {
		return strings.Contains(strings.Join(h.inventory(), "\n"), "database book-database creating")
	})
	s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 5, fmt.Sprintf("pid %d", first.Process.Pid), "\nnext: wait until that run is over, as 'bookctl status --local' shows")
	// It does not build first what it could not deploy: here is nothing to build it from.
	refused := s.run("up", "--local", "--source", t.TempDir())
	refused.says(t, 5, "\nnext: wait until")
	h.must(first.Process.Signal(syscall.SIGINT))
	stopped := first.end(t)
	stopped.says(t, 130, "stopped in progress", "service                  not started", "bookctl: interrupted while at work on ", "'bookctl destroy --local' to remove it")
	if strings.Contains(stopped.err, "failed") {
		t.Errorf("what waited is said to have failed:\n%s", stopped.err)
	}
	s.faults(`{}`)

	// The next one is killed: its lock must stop nobody on this machine.
	second := s.begin(t, "up", "--local")
	time.Sleep(1500 * time.Millisecond)
	h.must(second.Process.Kill())
	second.end(t)
	s.up()
	// One that changes what serves is reported by the others, and does not offer to remove it.
	s.faults(`{"only": ["ecs:UpdateService"], "throttle": 1}`)
	update := s.begin(t, "up", "--local", "--count", "2")
	until(t, "the update holds the lock", func() bool { return strings.Contains(s.run("status", "--local").out, "Another run is at work") })
	if r := s.run("rollback", "--local", "--to", "1"); r.code != 5 || strings.Contains(r.err, "from revision") {
		t.Errorf("rollback alongside an update: exit code %d\n%s", r.code, r.err)
	}
	h.must(update.Process.Signal(syscall.SIGINT))
	updated := update.end(t)
	updated.says(t, 130, "what was created or changed is kept: run the same command again")
	if strings.Contains(updated.err, "destroy") {
		t.Errorf("an interrupted update offers to remove the stack:\n%s", updated.err)
	}
	s.faults(`{}`)
	third := s.begin(t, "destroy", "--local", "--yes", "--purge-snapshots")
	until(t, "the list shows the third run", func() bool {
		return regexp.MustCompile(`(?m)^book +destroying `).MatchString(s.run("list", "--local").out)
	})
	h.must(third.Process.Kill())
	// Nobody has asked after it yet, as in a container whose first process never does.
	until(t, "the third run is dead", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", third.Process.Pid))
		return err == nil && strings.Contains(string(stat), ") Z ")
	})
	s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 0, " 0 left")
	third.end(t)
	h.same("the account differs after all that", before)
}

// TestACtrlCEndsTheBuild interrupts an up whose compiler has nothing cached and
// so is far from its end.
func TestACtrlCEndsTheBuild(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t, "GOCACHE="+t.TempDir())
	s.must("local", "start")
	before := s.inventory()
	up := s.begin(t, "up", "--local")
	until(t, "the run is at work", func() bool { return strings.Contains(s.run("status", "--local").out, "Another run is at work") })
	if err := up.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	r := up.end(t)
	r.says(t, 130, "building bookapi was cut off after ", "bookctl: interrupted")
	if strings.Contains(r.err, "built bookapi") {
		t.Errorf("the build went on to its end:\n%s", r.err)
	}
	s.must("destroy", "--local", "--yes", "--purge-snapshots") // where anything was made by then
	if diff := cmp.Diff(before, s.inventory()); diff != "" {
		t.Errorf("the account differs after destroy (-before +after):\n%s", diff)
	}
}

// running is a command that runs.
type running struct {
	*exec.Cmd
	out, err lockedText
}

// lockedText is written by one goroutine and read by others.
type lockedText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (s *shell) begin(t *testing.T, args ...string) *running {
	t.Helper()
	r := &running{Cmd: s.command(args...)}
	r.Stdout, r.Stderr = &r.out, &r.err
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// end waits for the command.
func (r *running) end(t *testing.T) result {
	t.Helper()
	timer := time.AfterFunc(2*time.Minute, func() { _ = r.Process.Kill() }) // it is too late already
	defer timer.Stop()
	_ = r.Wait() // the exit code is looked at
	return result{out: r.out.String(), err: r.err.String(), code: r.ProcessState.ExitCode()}
}

// TestDestroySaysWhatHoldsItAndGoesOn keeps protection, a failing snapshot and
// somebody's network interface in the way of a destroy, one after the other.
func TestDestroySaysWhatHoldsItAndGoesOn(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, map[string]any{"roleSeconds": 3, "interfaceSeconds": 2, "noServiceLinkedRoles": true})
	before := h.inventory()
	// A new account without roles, in which roles take a while and interfaces linger.
	s.up("--protect")
	whole := h.backedUp()
	s.run("destroy", "--local", "--yes").says(t, 1, "protected", "--protect=false")
	h.same("a protected stack was touched", whole)
	s.up("--protect=false")

	subnets, err := ec2.NewFromConfig(h.Config).DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{
		Filters: []ec2types.Filter{{Name: aws.String("tag:Name"), Values: []string{"book-subnet-private-b"}}},
	})
	h.must(err)
	network := ec2.NewFromConfig(h.Config)
	hold := func() *string {
		t.Helper()
		held, err := network.CreateNetworkInterface(t.Context(), &ec2.CreateNetworkInterfaceInput{
			SubnetId: subnets.Subnets[0].SubnetId, Description: aws.String("of the accounting department"),
		})
		h.must(err)
		return held.NetworkInterface.NetworkInterfaceId
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.run("local", "logs").out)
		}
	})
	held := hold()
	whole = h.inventory()
	s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 1, *held, "accounting department", *subnets.Subnets[0].SubnetId, "nothing was touched")
	h.same("a stack that is held was touched", whole)
	h.must(ok(network.DeleteNetworkInterface(t.Context(), &ec2.DeleteNetworkInterfaceInput{NetworkInterfaceId: held})))

	// One that comes when the destroy is on its way.
	destroy := s.begin(t, "destroy", "--local", "--yes", "--purge-snapshots", "--timeout", "40s")
	until(t, "the destroy is on its way", func() bool {
		out, err := rds.NewFromConfig(h.Config).DescribeDBInstances(t.Context(), &rds.DescribeDBInstancesInput{})
		return err == nil && (len(out.DBInstances) == 0 || *out.DBInstances[0].DBInstanceStatus == "deleting")
	})
	held = hold()
	r := destroy.end(t)
	if n := len(regexp.MustCompile(`subnet-private-b +deleting\n`).FindAllString(r.err, -1)); n != 1 {
		t.Errorf("it is said %d times that the subnet is being deleted:\n%s", n, r.err)
	}
	r.says(t, 6, *held, "accounting department", *subnets.Subnets[0].SubnetId)
	h.must(ok(ec2.NewFromConfig(h.Config).DeleteNetworkInterface(t.Context(), &ec2.DeleteNetworkInterfaceInput{NetworkInterfaceId: held})))
	s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 0, " 0 left")
	h.same("the account differs after destroy", before)
}

// TestDestroyNamesTheVPCThatUsesItsGroup associates a group of the stack with another VPC,
// where an interface has it.
func TestDestroyNamesTheVPCThatUsesItsGroup(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	s.up(imageless()...)
	network, ctx := ec2.NewFromConfig(h.Config), t.Context()
	group := h.group("book-sg-task")
	vpc, err := network.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.9.0.0/16")})
	h.must(err)
	subnet, err := network.CreateSubnet(ctx, &ec2.CreateSubnetInput{VpcId: vpc.Vpc.VpcId, CidrBlock: aws.String("10.9.1.0/24")})
	h.must(err)
	h.must(ok(network.AssociateSecurityGroupVpc(ctx, &ec2.AssociateSecurityGroupVpcInput{GroupId: group.GroupId, VpcId: vpc.Vpc.VpcId})))
	held, err := network.CreateNetworkInterface(ctx, &ec2.CreateNetworkInterfaceInput{
		SubnetId: subnet.Subnet.SubnetId, Groups: []string{*group.GroupId}, Description: aws.String("of the accounting department"),
	})
	h.must(err)
	disassociate := "aws ec2 disassociate-security-group-vpc --group-id " + *group.GroupId + " --vpc-id " + *vpc.Vpc.VpcId

	s.run("destroy", "--local", "--yes", "--purge-snapshots", "--timeout", "20s").
		says(t, 6, *held.NetworkInterface.NetworkInterfaceId, "accounting department", disassociate)
	h.must(ok(network.DeleteNetworkInterface(ctx, &ec2.DeleteNetworkInterfaceInput{NetworkInterfaceId: held.NetworkInterface.NetworkInterfaceId})))
	s.run("destroy", "--local", "--yes", "--purge-snapshots", "--timeout", "20s").says(t, 6, "its association with "+*vpc.Vpc.VpcId, disassociate)
	h.must(ok(network.DisassociateSecurityGroupVpc(ctx, &ec2.DisassociateSecurityGroupVpcInput{GroupId: group.GroupId, VpcId: vpc.Vpc.VpcId})))
	s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 0, " 0 left")
}

// TestAStackGoesWhereFargateServes makes one in a region whose first zone Fargate does
// not serve.
func TestAStackGoesWhereFargateServes(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil, "--region", "us-west-1")
	h.Region = "us-west-1"
	s.up()
	out, err := ec2.NewFromConfig(h.Config).DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{
		Filters: []ec2types.Filter{{Name: aws.String("tag:bookctl:stack"), Values: []string{"book"}}},
	})
	h.must(err)
	if len(out.Subnets) != 4 {
		t.Errorf("there are %d subnets", len(out.Subnets))
	}
	for _, x := range out.Subnets {
		if id := *x.AvailabilityZoneId; id != "usw1-az1" && id != "usw1-az3" {
			t.Errorf("a subnet is in %s (%s)", *x.AvailabilityZone, id)
		}
	}
	s.must("destroy", "--local", "--yes", "--purge-snapshots")
}

// TestDestroyNamesWhatHoldsItBeforeItTouchesAnything puts into the stack's network
// what others put there.
func TestDestroyNamesWhatHoldsItBeforeItTouchesAnything(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	empty := h.inventory()
	s.up(imageless()...)
	network, ctx := ec2.NewFromConfig(h.Config), t.Context()
	group := h.group("book-sg-task")
	vpc := group.VpcId
	vpcs, err := network.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: []ec2types.Filter{{Name: aws.String("is-default"), Values: []string{"true"}}}})
	h.must(err)
	team := func(kind ec2types.ResourceType) []ec2types.TagSpecification {
		return []ec2types.TagSpecification{{ResourceType: kind, Tags: []ec2types.Tag{{Key: aws.String("team"), Value: aws.String("reporting")}}}}
	}
	held := map[string]string{}
	sg, err := network.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{VpcId: vpc, GroupName: aws.String("reports"), Description: aws.String("reports"), TagSpecifications: team(ec2types.ResourceTypeSecurityGroup)})
	h.must(err)
	held["security group"] = *sg.GroupId
	h.must(ok(network.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: sg.GroupId, IpPermissions: []ec2types.IpPermission{{
		IpProtocol: aws.String("tcp"), FromPort: aws.Int32(80), ToPort: aws.Int32(80), UserIdGroupPairs: []ec2types.UserIdGroupPair{{GroupId: group.GroupId}},
	}}})))
	subnet, err := network.CreateSubnet(ctx, &ec2.CreateSubnetInput{VpcId: vpc, CidrBlock: aws.String("10.0.99.0/24"), TagSpecifications: team(ec2types.ResourceTypeSubnet)})
	h.must(err)
	held["subnet"] = *subnet.Subnet.SubnetId
	table, err := network.CreateRouteTable(ctx, &ec2.CreateRouteTableInput{VpcId: vpc, TagSpecifications: team(ec2types.ResourceTypeRouteTable)})
	h.must(err)
	held["route table"] = *table.RouteTable.RouteTableId
	endpoint, err := network.CreateVpcEndpoint(ctx, &ec2.CreateVpcEndpointInput{VpcId: vpc, ServiceName: aws.String("com.amazonaws.us-east-1.s3"), TagSpecifications: team(ec2types.ResourceTypeVpcEndpoint)})
	h.must(err)
	held["VPC endpoint"] = *endpoint.VpcEndpoint.VpcEndpointId
	nat, err := network.CreateNatGateway(ctx, &ec2.CreateNatGatewayInput{SubnetId: subnet.Subnet.SubnetId, ConnectivityType: ec2types.ConnectivityTypePrivate, TagSpecifications: team(ec2types.ResourceTypeNatgateway)})
	h.must(err)
	held["NAT gateway"] = *nat.NatGateway.NatGatewayId
	peering, err := network.CreateVpcPeeringConnection(ctx, &ec2.CreateVpcPeeringConnectionInput{VpcId: vpcs.Vpcs[0].VpcId, PeerVpcId: vpc, TagSpecifications: team(ec2types.ResourceTypeVpcPeeringConnection)})
	h.must(err)
	held["VPC peering connection"] = *peering.VpcPeeringConnection.VpcPeeringConnectionId
	vpn, err := network.CreateVpnGateway(ctx, &ec2.CreateVpnGatewayInput{Type: ec2types.GatewayTypeIpsec1, TagSpecifications: team(ec2types.ResourceTypeVpnGateway)})
	h.must(err)
	h.must(ok(network.AttachVpnGateway(ctx, &ec2.AttachVpnGatewayInput{VpcId: vpc, VpnGatewayId: vpn.VpnGateway.VpnGatewayId})))
	held["VPN gateway"] = *vpn.VpnGateway.VpnGatewayId
	transit, err := network.CreateTransitGatewayVpcAttachment(ctx, &ec2.CreateTransitGatewayVpcAttachmentInput{VpcId: vpc, SubnetIds: []string{*subnet.Subnet.SubnetId}, TransitGatewayId: aws.String("tgw-1"), TagSpecifications: team(ec2types.ResourceTypeTransitGatewayAttachment)})
	h.must(err)
	held["transit gateway attachment"] = *transit.TransitGatewayVpcAttachment.TransitGatewayAttachmentId
	egress, err := network.CreateEgressOnlyInternetGateway(ctx, &ec2.CreateEgressOnlyInternetGatewayInput{VpcId: vpc, TagSpecifications: team(ec2types.ResourceTypeEgressOnlyInternetGateway)})
	h.must(err)
	held["egress-only internet gateway"] = *egress.EgressOnlyInternetGateway.EgressOnlyInternetGatewayId

	// One database is in the stack's subnet group, and one has its tag, as a copy that was
	// restored by hand does. The third is a neighbour.
	databases := rds.NewFromConfig(h.Config)
	elsewhere, err := network.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{Filters: []ec2types.Filter{{Name: aws.String("vpc-id"), Values: []string{*vpcs.Vpcs[0].VpcId}}}})
	h.must(err)
	reports := &rds.CreateDBSubnetGroupInput{DBSubnetGroupName: aws.String("reports"), DBSubnetGroupDescription: aws.String("reports")}
	for _, x := range elsewhere.Subnets {
		reports.SubnetIds = append(reports.SubnetIds, *x.SubnetId)
	}
	h.must(ok(databases.CreateDBSubnetGroup(ctx, reports)))
	in := map[string]*rds.CreateDBInstanceInput{
		"book-compare": {DBSubnetGroupName: aws.String("book-database"), VpcSecurityGroupIds: []string{*h.group("book-sg-database").GroupId}},
		"book-copy":    {DBSubnetGroupName: reports.DBSubnetGroupName, Tags: []rdstypes.Tag{{Key: aws.String("bookctl:stack"), Value: aws.String("book")}}},
		"neighbour":    {DBSubnetGroupName: reports.DBSubnetGroupName},
	}
	for name, x := range in {
		x.DBInstanceIdentifier, x.DBInstanceClass, x.Engine, x.AllocatedStorage = &name, aws.String("db.t4g.micro"), aws.String("postgres"), aws.Int32(20)
		x.DBName, x.MasterUsername, x.MasterUserPassword, x.BackupRetentionPeriod = aws.String("reports"), aws.String("reports"), aws.String("reports-of-the-day"), aws.Int32(0)
		x.Tags = append(x.Tags, rdstypes.Tag{Key: aws.String("team"), Value: aws.String("reporting")})
		h.must(ok(databases.CreateDBInstance(ctx, x)))
	}
	for name := range in {
		h.must(rds.NewDBInstanceAvailableWaiter(databases, func(o *rds.DBInstanceAvailableWaiterOptions) { o.MinDelay = 100 * time.Millisecond }).
			Wait(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: &name}, time.Minute))
	}

	before := h.backedUp()
	r := s.run("destroy", "--local", "--yes")
	r.says(t, 1, "nothing was touched", "refers to "+*group.GroupId,
		"database book-compare (postgres, tags team=reporting) is in DB subnet group book-database of "+*vpc, "database book-copy (postgres, tags bookctl:stack=book team=reporting) has the stack's tag")
	for kind, id := range held {
		if !regexp.MustCompile(regexp.QuoteMeta(kind+" "+id) + ` \(.*tags .*team=reporting\)`).MatchString(r.err) {
			t.Errorf("%s %s is not named with its tags:\n%s", kind, id, r.err)
		}
	}
	const databasesHold = 2
	if n := strings.Count(r.err, "team=reporting"); n != len(held)+databasesHold {
		t.Errorf("%d things are named, and %d hold the stack:\n%s", n, len(held)+databasesHold, r.err)
	}
	h.same("the destroy that is held touched something", before)

	for name := range in {
		h.must(ok(databases.DeleteDBInstance(ctx, &rds.DeleteDBInstanceInput{DBInstanceIdentifier: &name, SkipFinalSnapshot: aws.Bool(true)})))
		h.must(rds.NewDBInstanceDeletedWaiter(databases, func(o *rds.DBInstanceDeletedWaiterOptions) { o.MinDelay = 100 * time.Millisecond }).
			Wait(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: &name}, time.Minute))
	}
	h.must(ok(databases.DeleteDBSubnetGroup(ctx, &rds.DeleteDBSubnetGroupInput{DBSubnetGroupName: reports.DBSubnetGroupName})))
	h.must(ok(network.DeleteEgressOnlyInternetGateway(ctx, &ec2.DeleteEgressOnlyInternetGatewayInput{EgressOnlyInternetGatewayId: egress.EgressOnlyInternetGateway.EgressOnlyInternetGatewayId})))
	h.must(ok(network.DeleteTransitGatewayVpcAttachment(ctx, &ec2.DeleteTransitGatewayVpcAttachmentInput{TransitGatewayAttachmentId: transit.TransitGatewayVpcAttachment.TransitGatewayAttachmentId})))
	h.must(ok(network.DetachVpnGateway(ctx, &ec2.DetachVpnGatewayInput{VpcId: vpc, VpnGatewayId: vpn.VpnGateway.VpnGatewayId})))
	h.must(ok(network.DeleteVpcPeeringConnection(ctx, &ec2.DeleteVpcPeeringConnectionInput{VpcPeeringConnectionId: peering.VpcPeeringConnection.VpcPeeringConnectionId})))
	h.must(ok(network.DeleteNatGateway(ctx, &ec2.DeleteNatGatewayInput{NatGatewayId: nat.NatGateway.NatGatewayId})))
	h.must(ok(network.DeleteVpcEndpoints(ctx, &ec2.DeleteVpcEndpointsInput{VpcEndpointIds: []string{held["VPC endpoint"]}})))
	h.must(ok(network.DeleteRouteTable(ctx, &ec2.DeleteRouteTableInput{RouteTableId: table.RouteTable.RouteTableId})))
	h.must(ok(network.DeleteSubnet(ctx, &ec2.DeleteSubnetInput{SubnetId: subnet.Subnet.SubnetId})))
	h.must(ok(network.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: sg.GroupId})))
	h.must(ok(network.DeleteVpnGateway(ctx, &ec2.DeleteVpnGatewayInput{VpnGatewayId: vpn.VpnGateway.VpnGatewayId})))
	s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 0, " 0 left")
	h.same("the account differs after destroy", empty)
}

// TestRefusalsOfAWSEndARunAtOnce denies an action, expires the credentials and
// takes the database class away.
func TestRefusalsOfAWSEndARunAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	before := h.inventory()
	image := append([]string{"up", "--local"}, imageless()...)

	without := []string{"db.t4g.micro"}
	h.faults(map[string]any{"zonesWithoutClass": map[string]any{"us-east-1a": without, "us-east-1c": without}})
	s.run(image...).says(t, 1, "db.t4g.micro", "one zone")
	h.same("a stack without a database class was begun", before)

	h.faults(map[string]any{"deny": []string{"rds:CreateDBInstance"}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s.within(ctx, t, image...).says(t, 4, "rds:CreateDBInstance", "bookctl policy")

	// What was made before a VPC could be is there, and is not kept quiet about.
	h.faults(map[string]any{"deny": []string{"ec2:CreateVpc"}})
	part := append(slices.Clone(image), "--stack", "part")
	s.within(ctx, t, part...).says(t, 4, "ec2:CreateVpc")
	h.faults(map[string]any{})
	status := s.run("status", "--local", "--stack", "part")
	status.says(t, 3)
	if !strings.Contains(status.out, "missing") || strings.Contains(status.out, "nothing is deployed") || strings.Contains(status.out, "refuses") {
		t.Errorf("of a part of a stack, status says\n%s", status.out)
	}
	if list := s.run("list", "--local"); !regexp.MustCompile(`part +partial`).MatchString(list.out) {
		t.Errorf("a part of a stack is not in the list:\n%s", list.out)
	}
	s.run("destroy", "--local", "--yes", "--purge-snapshots", "--stack", "part").says(t, 0, " 0 left")
	s.run("status", "--local", "--stack", "part").says(t, 3)
	if list := s.run("list", "--local"); strings.Contains(list.out, "partial") && strings.Contains(list.out, "part ") {
		t.Errorf("what is gone is in the list:\n%s", list.out)
	}

	h.faults(map[string]any{"expireAfter": 60})
	s.within(ctx, t, image...).says(t, 4, "expired", "sign in again")
	h.faults(map[string]any{"expireAfter": 30})
	s.within(ctx, t, "destroy", "--local", "--yes", "--purge-snapshots").says(t, 4, "expired", "sign in again")

	h.faults(map[string]any{})
	s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 0, " 0 left")
	h.same("the account differs after all that", before)
}

// within runs a command that has to end by itself before ctx does.
func (s *shell) within(ctx context.Context, t *testing.T, args ...string) result {
	t.Helper()
	r := s.begin(t, args...)
	stop := context.AfterFunc(ctx, func() {
		t.Errorf("bookctl %s goes on and on", strings.Join(args, " "))
		_ = r.Process.Kill() // it may have ended just now
	})
	defer stop()
	return r.end(t)
}

// TestWhatNeedsReplacingIsRefusedWithNothingTouched has somebody replace the
// target group by one of another version of HTTP.
func TestWhatNeedsReplacingIsRefusedWithNothingTouched(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	s.up(imageless()...)
	ctx, balancing := t.Context(), elb.NewFromConfig(h.Config)
	h.must(ok(ecs.NewFromConfig(h.Config).DeleteService(ctx, &ecs.DeleteServiceInput{Cluster: aws.String("book-cluster"), Service: aws.String("book-service"), Force: aws.Bool(true)})))
	balancers, err := balancing.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{Names: []string{"book-lb"}})
	h.must(err)
	listeners, err := balancing.DescribeListeners(ctx, &elb.DescribeListenersInput{LoadBalancerArn: balancers.LoadBalancers[0].LoadBalancerArn})
	h.must(err)
	h.must(ok(balancing.DeleteListener(ctx, &elb.DeleteListenerInput{ListenerArn: listeners.Listeners[0].ListenerArn})))
	groups, err := balancing.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{Names: []string{"book-tasks"}})
	h.must(err)
	old := groups.TargetGroups[0]
	tags, err := balancing.DescribeTags(ctx, &elb.DescribeTagsInput{ResourceArns: []string{*old.TargetGroupArn}})
	h.must(err)
	h.must(ok(balancing.DeleteTargetGroup(ctx, &elb.DeleteTargetGroupInput{TargetGroupArn: old.TargetGroupArn})))
	h.must(ok(balancing.CreateTargetGroup(ctx, &elb.CreateTargetGroupInput{
		Name: old.TargetGroupName, Port: old.Port, Protocol: old.Protocol, ProtocolVersion: aws.String("HTTP2"), TargetType: old.TargetType, VpcId: old.VpcId, Tags: tags.TagDescriptions[0].Tags,
	})))
	before := stable(h.inventory()) // the first backup may end meanwhile
	if status := s.run("status", "--local"); !strings.Contains(status.out, "refuses, with nothing touched, what can't be changed in place: target-group protocol-version: HTTP2 → HTTP1") {
		t.Errorf("status does not show the version:\n%s%s", status.out, status.err)
	}
	s.run("up", "--local").says(t, 1, "target-group", "protocol-version: HTTP2 → HTTP1", "can't be changed in place", "nothing was touched")
	if diff := cmp.Diff(before, stable(h.inventory())); diff != "" {
		t.Errorf("up touched something other than what it refused (-before +after):\n%s", diff)
	}
	s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 0, " 0 left")
}

// TestAFailedFinalSnapshotLeavesTheDatabase makes the snapshot of a destroy
// fail.
func TestAFailedFinalSnapshotLeavesTheDatabase(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	before := h.inventory()
	s.up(imageless()...)
	h.faults(map[string]any{"snapshotsFail": true})
	s.run("destroy", "--local", "--yes").says(t, 1, "final snapshot book-final-", "it failed", "no final snapshot can be taken", "left as they are", "--purge-snapshots")
	h.faults(map[string]any{})
	left := strings.Join(h.inventory(), "\n")
	for _, thing := range []string{"database book-database", "secret book/database", "db subnet group book-database", "subnet book-subnet-private-a", "vpc book-vpc"} {
		if !strings.Contains(left, thing) {
			t.Errorf("%s is gone:\n%s", thing, left)
		}
	}
	s.run("destroy", "--local", "--yes").says(t, 1, "no final snapshot can be taken", "--purge-snapshots")
	s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 0, " 0 left")
	h.same("the account differs after destroy", before)
}

// TestAPasswordThatDriftedIsRepairedByOneRestart changes the password in the
// secret by hand, and then that of the database, while the service is used.
func TestAPasswordThatDriftedIsRepairedByOneRestart(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	url := s.up()
	if code, body := call(t, "POST", url+"/books", `{"name":"Dune","author":"Frank Herbert"}`); code != http.StatusCreated {
		t.Fatalf("POST: %d %s", code, body)
	}
	load := startLoad(t, url+"/books/Dune", 4, 15*time.Millisecond)
	task := s.tasks(t)

	value := s.secret(t)
	value.Password = strings.Repeat("Hand", 8)
	h.must(ok(secretsmanager.NewFromConfig(h.Config).PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: aws.String("book/database"), SecretString: aws.String(fmt.Sprintf(
			`{"engine":"postgres","host":%q,"port":%d,"dbname":%q,"username":%q,"password":%q}`, value.Host, value.Port, value.DBName, value.Username, value.Password)),
	})))
	if status := s.run("status", "--local"); strings.Count(status.out+status.err, "password: that of another version of the secret") != 2 {
		t.Errorf("status does not show the password of database and service:\n%s%s", status.out, status.err)
	}
	r := s.run("up", "--local")
	r.says(t, 0, "2 updated")
	if strings.Contains(r.out+r.err, value.Password) {
		t.Error("up printed the password")
	}
	if got := s.psql(t, s.secret(t), "select author from books where name = 'Dune'"); got != "Frank Herbert" {
		t.Errorf("psql with the secret's password: %q", got)
	}
	until(t, "the old task is gone", func() bool { return len(s.tasks(t)) == 1 })
	next := s.tasks(t)
	for pid := range task {
		if _, same := next[pid]; same {
			t.Error("the task that has the old password was not replaced")
		}
	}
	s.run("up", "--local").says(t, 0, "0 changed")

	// RDS shows nobody a password: what was done to the database itself shows
	// in nothing but refused logins, and a rotation repairs it.
	h.must(ok(rds.NewFromConfig(h.Config).ModifyDBInstance(t.Context(), &rds.ModifyDBInstanceInput{
		DBInstanceIdentifier: aws.String("book-database"), MasterUserPassword: aws.String("of-the-database-only"), ApplyImmediately: aws.Bool(true),
	})))
	until(t, "the database is available", func() bool {
		return strings.Contains(strings.Join(h.inventory(), "\n"), "database book-database available")
	})
	s.must("db", "rotate-password", "--local")
	if got := s.psql(t, s.secret(t), "select 1"); got != "1" {
		t.Errorf("psql after the rotation: %q", got)
	}
	s.run("up", "--local").says(t, 0, "0 changed")
	load.unharmed(t)
}

// TestASecondCtrlCAndKillsAtAnyTimeLeaveNothingBehind cuts runs off without
// waiting for their timeouts: the next up heals, and destroy leaves nothing.
func TestASecondCtrlCAndKillsAtAnyTimeLeaveNothingBehind(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil, "--latencies", "aws", "--scale", "0.005") // a database takes a second
	before := h.inventory()
	image := append([]string{"up", "--local"}, imageless()...)

	// A call in flight takes longer than anybody waits.
	wire := watchWire(t, h.endpoint)
	held, release := wire.hold("CreateVpc")
	defer release()
	first := &running{Cmd: s.command(append([]string{"up"}, imageless()...)...)}
	first.Env = append(first.Env, "AWS_ENDPOINT_URL="+wire.url, "AWS_ACCESS_KEY_ID=hand", "AWS_SECRET_ACCESS_KEY=hand", "AWS_REGION=us-east-1")
	first.Stdout, first.Stderr = &first.out, &first.err
	h.must(first.Start())
	select {
	case <-held:
	case <-time.After(time.Minute):
		t.Fatalf("the run does not make a VPC:\n%s", first.err.String())
	}
	h.must(first.Process.Signal(syscall.SIGINT))
	ended := make(chan result, 1)
	go func() { ended <- first.end(t) }()
	select {
	case <-ended:
		t.Error("the first Ctrl-C did not wait for the call in flight")
	case <-time.After(300 * time.Millisecond):
		h.must(first.Process.Signal(syscall.SIGINT))
		r := <-ended
		r.says(t, 130, "Ctrl-C again leaves at once")
		if strings.Contains(r.err, "next:") {
			t.Errorf("after a second Ctrl-C the run went on to its end:\n%s", r.err)
		}
	}
	// What a run made last is not seen at once by the next.
	h.faults(map[string]any{"hiddenSeconds": 1.5})

	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("BOOKCTL_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		h.must(err)
	}
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("BOOKCTL_SEED=%d", seed)
	var whole []string
	for round := range 4 {
		for range 1 + random.IntN(2) {
			run := s.begin(t, image...)
			time.Sleep(time.Duration(random.IntN(3000)) * time.Millisecond)
			h.must(run.Process.Kill())
			run.end(t)
		}
		if round%2 == 0 {
			s.run(image...).says(t, 0)
			now := stable(h.inventory())
			if whole == nil {
				whole = now
			}
			if diff := cmp.Diff(whole, now); diff != "" {
				t.Errorf("round %d: up left not one of each (-want +got):\n%s", round, diff)
			}
		}
		s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 0)
		h.same(fmt.Sprintf("round %d left something behind", round), before)
	}
}

// stable is an inventory without what differs between two equal stacks and from
// one moment to the next: ports, tasks that come and go, the first backup.
func stable(inventory []string) []string {
	var out []string
	for _, line := range inventory {
		if strings.HasPrefix(line, "network interface") {
			continue
		}
		line = ports.ReplaceAllString(line, "$1")
		line = strings.TrimSuffix(strings.Replace(line, "database backing-up ", "database available ", 1), "creating")
		if strings.Contains(line, "automated, ") {
			line = strings.TrimSuffix(line, "available")
		}
		out = append(out, line)
	}
	return out
}

var ports = regexp.MustCompile(`DB_HOST=\S+ |DB_PORT=\d+ |(PGHOST=| host:| port:|HTTP |tcp |@)[\d.]+`)
