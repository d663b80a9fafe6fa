// Package kill holds the proof that a run of bookctl can be cut off anywhere:
// it joins the provisioning code with the local cloud in one process, so that
// every single write of a run can be the last.
package kill
