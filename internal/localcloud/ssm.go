package localcloud

// ssmState is what SSM keeps.
type ssmState struct{}

type ssmAPI struct{ *Cloud }

func (c *Cloud) ssmService() service {
	return service{model: "ssm", signing: "ssm", protocol: protocolJSON, operations: operations()}
}
