//go:build !unix

package main

import "time"

// cpuTime is what this process has computed so far; 0 where that cannot be asked.
func cpuTime() time.Duration { return 0 }
