package localcloud

// autoScalingState is what Application Auto Scaling keeps.
type autoScalingState struct{}

type autoScalingAPI struct{ *Cloud }

func (c *Cloud) autoScalingService() service {
	return service{model: "application-autoscaling", signing: "application-autoscaling", protocol: protocolJSON, operations: operations()}
}
