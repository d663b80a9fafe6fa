package localcloud

// elbState is what ELBv2 keeps.
type elbState struct{}

type elbAPI struct{ *Cloud }

func (c *Cloud) elbService() service {
	return service{model: "elbv2", signing: "elasticloadbalancing", protocol: protocolQuery, operations: operations()}
}

// elbLive is what runs behind ELBv2.
type elbLive struct{}
