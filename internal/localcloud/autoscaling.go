package localcloud

import "context"

// autoScalingState is what Application Auto Scaling keeps.
type autoScalingState struct{}

type autoScalingAPI struct{ *Cloud }

type scalingSample struct{}

func (c *Cloud) runScaling(context.Context) {}

func (c *Cloud) autoScalingService() service {
	return service{model: "application-autoscaling", signing: "application-autoscaling", protocol: protocolJSON, operations: operations()}
}
