// Package picture draws a stack: its parts with their state (SVG, Mermaid or
// Graphviz), and where the time of a run went.
package picture
