package localcloud

type taggingAPI struct{ *Cloud }

func (c *Cloud) taggingService() service {
	return service{model: "resourcegroupstaggingapi", signing: "tagging", protocol: protocolJSON, operations: operations()}
}
