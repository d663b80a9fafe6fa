//go:build linux && !race

package api

func raceRead([]byte)  {}
func raceWrite([]byte) {}
