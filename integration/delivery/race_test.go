//go:build race

package delivery

func init() { raceDetector = true }
