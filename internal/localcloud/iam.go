package localcloud

// iamState is what IAM keeps.
type iamState struct{}

type iamAPI struct{ *Cloud }

func (c *Cloud) iamService() service {
	return service{model: "iam", signing: "iam", protocol: protocolQuery, operations: operations()}
}
