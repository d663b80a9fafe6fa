package naming

// The tags that every resource of a stack carries.
const (
	// TagStack holds the stack's name. It is the mark of ownership.
	TagStack = "bookctl:stack"
	// TagResource holds the name of the resource in the stack.
	TagResource = "bookctl:resource"
	// TagVersion holds the version of bookctl that created or last updated it.
	TagVersion = "bookctl:version"
	// TagRegion holds the region, on IAM roles, which all regions of an account
	// share. On them it is part of the mark of ownership.
	TagRegion = "bookctl:region"
	// TagName is what the AWS console shows as the name of EC2 resources.
	TagName = "Name"
)

// Tags returns the tags of the resource of the graph with that name, created by that
// version of bookctl. The caller owns the map.
func (n Names) Tags(resource, version string) map[string]string {
	return map[string]string{
		TagStack:    n.Stack,
		TagResource: resource,
		TagVersion:  version,
		TagName:     n.Of(resource),
	}
}
