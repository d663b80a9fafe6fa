package ssm

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// Tasks are what a session can lead to.
type Tasks interface {
	// Connected reports whether the agent in a container is there for sessions. The
	// target is ecs:CLUSTER_TASK_RUNTIME.
	Connected(t *kernel.Tx, target string) bool
}

// portForwarding is the document for a port of another host.
const portForwarding = "AWS-StartPortForwardingSessionToRemoteHost"

// StartSession opens a session through a container to another host. It is Systems Manager's
// own protocol over a web socket, which the local cloud does not speak: whoever is given the
// answer reaches the host by itself.
func (a tx) StartSession(in *ssm.StartSessionInput) (*ssm.StartSessionOutput, error) {
	if !a.tasks.Connected(a.Tx, aws.ToString(in.Target)) {
		return nil, kernel.Fail("TargetNotConnected", "%s is not connected.", aws.ToString(in.Target))
	}
	if name := aws.ToString(in.DocumentName); name != portForwarding {
		return nil, kernel.Fail("InvalidDocument", "Document with name %s does not exist.", name)
	}
	id := "local-" + kernel.HexDigits(17)
	return &ssm.StartSessionOutput{
		SessionId: &id, TokenValue: aws.String(kernel.HexDigits(64)), StreamUrl: aws.String("ws://127.0.0.1:1/v1/data-channel/" + id),
	}, nil
}
