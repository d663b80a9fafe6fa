package localcloud

// rdsState is what RDS keeps.
type rdsState struct{}

type rdsAPI struct{ *Cloud }

func (c *Cloud) rdsService() service {
	return service{model: "rds", signing: "rds", protocol: protocolQuery, operations: operations()}
}

// rdsLive is what runs behind RDS.
type rdsLive struct{}
