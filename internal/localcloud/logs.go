package localcloud

// logsState is what CloudWatch Logs keeps.
type logsState struct{}

type logsAPI struct{ *Cloud }

func (c *Cloud) logsService() service {
	return service{model: "logs", signing: "logs", protocol: protocolJSON, operations: operations()}
}
