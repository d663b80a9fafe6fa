package localcloud

// ecrState is what ECR keeps.
type ecrState struct{}

type ecrAPI struct{ *Cloud }

func (c *Cloud) ecrService() service {
	return service{model: "ecr", signing: "ecr", protocol: protocolJSON, operations: operations()}
}
