//go:build !unix

package lambdabiz_test

import "time"

var processStart = time.Now()

// cpuTime is the time since the process began, where it cannot be asked for its CPU time.
func cpuTime() time.Duration { return time.Since(processStart) }
