package localcloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bookctl/bookctl/internal/advice"
)

// state is everything that survives a restart, a field per service; each is
// defined in its service's file. Secrets are in it only encrypted.
type state struct {
	Port        int              `json:"port"` // of the endpoint
	Region      string           `json:"region,omitempty"`
	ACM         acmState         `json:"acm"`
	EC2         ec2State         `json:"ec2"`
	ECR         ecrState         `json:"ecr"`
	ECS         ecsState         `json:"ecs"`
	ELB         elbState         `json:"elb"`
	IAM         iamState         `json:"iam"`
	Logs        logsState        `json:"logs"`
	RDS         rdsState         `json:"rds"`
	Route53     route53State     `json:"route53"`
	AutoScaling autoScalingState `json:"autoScaling"`
	Secrets     secretsState     `json:"secrets"`
	SSM         ssmState         `json:"ssm"`
}

// live is what runs behind the state and is started anew after a restart, a
// field per service that has such things.
type live struct {
	ECS ecsLive
	ELB elbLive
	RDS rdsLive
}

func (c *Cloud) stateFile() string { return filepath.Join(c.cfg.StateDir, "state.json") }

func (c *Cloud) load() error {
	text, err := os.ReadFile(c.stateFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the local cloud's state: %w", err)
	}
	if err := json.Unmarshal(text, &c.state); err != nil {
		return advice.With(fmt.Errorf("read the local cloud's state %s: %w", c.stateFile(), err), "'bookctl local stop --purge' removes it")
	}
	return nil
}

// save writes the state if it has changed; the lock is held. A cloud that can't
// save goes on: what it says is still true for as long as it runs.
func (c *Cloud) save() {
	if !c.dirty {
		return
	}
	text, err := json.Marshal(c.state)
	if err == nil {
		tmp := c.stateFile() + ".new"
		if err = os.WriteFile(tmp, text, 0o600); err == nil {
			err = os.Rename(tmp, c.stateFile())
		}
	}
	if err != nil {
		c.log.Error("the state could not be saved", "error", err)
		return
	}
	c.dirty = false
}
