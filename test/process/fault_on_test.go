//go:build fault

package process_test

import (
	"os"
	"sync"

	"github.com/lambdabiz/lambdabiz/internal/fault"
)

// arrivals at points.
var (
	arriving sync.Mutex
	arrivals = map[string]int{}
)

// arm ends the process where its parent said: at once, as a kill does, or in an orderly way.
func (c *child) arm() {
	fault.Set(func(name string) {
		arriving.Lock()
		defer arriving.Unlock()
		arrivals[name]++
		switch {
		case name != c.Fault || arrivals[name] != c.Hit:
		case c.Stops:
			os.Stdout.WriteString("stop at " + name + "\n")
			go c.stop() // the point is inside of locks
		default:
			os.Stdout.WriteString("exit at " + name + "\n")
			os.Exit(exitAtPoint)
		}
	})
}

// tellArrivals tells how often the process came to each point.
func (c *child) tellArrivals() {
	arriving.Lock()
	defer arriving.Unlock()
	for name, n := range arrivals {
		c.sayf("hits %s %d", name, n)
	}
}

// tear is a point that only sabotage has.
func tear() { fault.Point("torn") }
