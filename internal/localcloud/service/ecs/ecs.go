package ecs

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/pattern"
)

// state is what ECS keeps. The SDK's structs in it are never changed through
// their pointers and slices, only by new ones, since answers share them.
type state struct {
	Clusters    map[string]*cluster    `json:"clusters,omitempty"`    // by name
	Definitions map[string]*definition `json:"definitions,omitempty"` // by family:revision
	Revisions   map[string]int32       `json:"revisions,omitempty"`   // the last of each family, which are never used again
	Services    map[string]*service    `json:"services,omitempty"`    // by cluster/name
	Tasks       map[string]*ecsTask    `json:"tasks,omitempty"`       // by id
	Account     map[string]string      `json:"account,omitempty"`     // settings that were changed
}

// The states of clusters, services and deployments.
const (
	statusActive   = "ACTIVE"
	statusDraining = "DRAINING"
	statusInactive = "INACTIVE"
	statusPrimary  = "PRIMARY"
)

// describedFor is how long what is gone can still be described: AWS says an hour
// for tasks, and names no time for clusters and services
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html).
const describedFor = time.Hour

// running is what runs behind ECS.
type running struct {
	tasks map[string]*runningTask // by id
}

// API is the service's operations.
func (s *Service) API() kernel.Service {
	return kernel.Service{Model: "ecs", Signing: "ecs", Protocol: kernel.JSON, Limits: limits, Operations: kernel.Operations(s.in,
		kernel.Op("CreateCluster", tx.CreateCluster), kernel.Op("DeleteCluster", tx.DeleteCluster), kernel.Op("DescribeClusters", tx.DescribeClusters), kernel.Op("ListClusters", tx.ListClusters),
		kernel.Op("UpdateClusterSettings", tx.UpdateClusterSettings), kernel.Op("UpdateCluster", tx.UpdateCluster), kernel.Op("PutClusterCapacityProviders", tx.PutClusterCapacityProviders),
		kernel.Op("ListAccountSettings", tx.ListAccountSettings), kernel.Op("PutAccountSetting", tx.PutAccountSetting), kernel.Op("PutAccountSettingDefault", tx.PutAccountSettingDefault),
		kernel.Op("DeleteAccountSetting", tx.DeleteAccountSetting),
		kernel.Op("RegisterTaskDefinition", tx.RegisterTaskDefinition), kernel.Op("DeregisterTaskDefinition", tx.DeregisterTaskDefinition),
		kernel.Op("DeleteTaskDefinitions", tx.DeleteTaskDefinitions), kernel.Op("DescribeTaskDefinition", tx.DescribeTaskDefinition),
		kernel.Op("ListTaskDefinitions", tx.ListTaskDefinitions), kernel.Op("ListTaskDefinitionFamilies", tx.ListTaskDefinitionFamilies),
		kernel.Op("CreateService", tx.CreateService), kernel.Op("UpdateService", tx.UpdateService), kernel.Op("DeleteService", tx.DeleteService),
		kernel.Op("DescribeServices", tx.DescribeServices), kernel.Op("ListServices", tx.ListServices),
		kernel.Op("ListServiceDeployments", tx.ListServiceDeployments), kernel.Op("DescribeServiceDeployments", tx.DescribeServiceDeployments),
		kernel.Op("DescribeServiceRevisions", tx.DescribeServiceRevisions), kernel.Op("StopServiceDeployment", tx.StopServiceDeployment), kernel.Op("ContinueServiceDeployment", tx.ContinueServiceDeployment),
		kernel.Op("RunTask", tx.RunTask), kernel.Op("StopTask", tx.StopTask), kernel.Op("DescribeTasks", tx.DescribeTasks), kernel.Op("ListTasks", tx.ListTasks),
		kernel.Op("ExecuteCommand", tx.ExecuteCommand),
		kernel.Op("TagResource", tx.TagResource), kernel.Op("UntagResource", tx.UntagResource), kernel.Op("ListTagsForResource", tx.ListTagsForResource),
	)}
}

// wakeScheduler lets the scheduler look at once.
func (a tx) wakeScheduler() {
	select {
	case a.wake <- struct{}{}:
	default: // it is about to look anyway, or does not run yet
	}
}

func lastPart(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }

var namePattern = pattern.New(`^[A-Za-z0-9_-]{1,255}$`)

// decimals is n random decimal digits, the first of them not 0.
func decimals(n int) string {
	text := fmt.Sprint(1 + rand.IntN(9)) //nolint:gosec // a name and no secret
	for len(text) < n {
		text += fmt.Sprint(rand.IntN(10)) //nolint:gosec // likewise
	}
	return text
}
