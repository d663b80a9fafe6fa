package localcloud

// secretsState is what Secrets Manager keeps.
type secretsState struct{}

type secretsAPI struct{ *Cloud }

func (c *Cloud) secretsService() service {
	return service{model: "secretsmanager", signing: "secretsmanager", protocol: protocolJSON, operations: operations()}
}
