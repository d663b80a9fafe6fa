// Package provision makes a stack on AWS through the raw SDK: one file per
// resource, wired together in dependency order in stack.go and run by package
// graph.
//
// AWS is the only state. A resource is found by its ownership tag, or by its
// name inside a parent that is ours; what has our name and not our tag is
// somebody else's and is never touched.
//
// In names, live is what AWS has now, and want is what the settings ask for.
package provision
