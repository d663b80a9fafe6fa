// Package ui serves a page that shows one stack and how it changes, on this machine
// and to read only.
//
// A Source looks at the stack (stack.go). While somebody has the page open, a watcher
// asks it every few seconds, once for all who look (watch.go), and follows the logs
// (lines.go). What was seen becomes HTML here and not in the browser (page.go and
// bars.go, written by markup.go), so that the page works without a script; the script
// in page/ui.js puts in what changes. server.go decides who may ask for what.
package ui
