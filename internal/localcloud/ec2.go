package localcloud

// ec2State is what EC2 keeps.
type ec2State struct{}

type ec2API struct{ *Cloud }

func (c *Cloud) ec2Service() service {
	return service{model: "ec2", signing: "ec2", protocol: protocolEC2, operations: operations()}
}
