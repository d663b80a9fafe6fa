// Package picture draws a stack with the state of its resources (as SVG, Mermaid or
// Graphviz), and a timeline of a run.
package picture
