package localcloud

// ecsState is what ECS keeps.
type ecsState struct{}

type ecsAPI struct{ *Cloud }

func (c *Cloud) ecsService() service {
	return service{model: "ecs", signing: "ecs", protocol: protocolJSON, operations: operations()}
}

// ecsLive is what runs behind ECS.
type ecsLive struct{}
