// Package balancer is the local cloud's Application Load Balancer: listeners
// that are really bound on loopback, and target groups with real health checks
// and draining.
//
// Behaviour follows
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-target-groups.html,
// target-group-health-checks.html and load-balancer-troubleshooting.html there.
package balancer
