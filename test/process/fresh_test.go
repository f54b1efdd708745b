package process_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// freshRole opens the file when the parent says so, and runs one orchestration on it.
func freshRole(c *child) {
	c.sayf("loaded")
	<-c.latch("go")
	e, backend := c.engine()
	done := make(chan error, 1)
	go func() { done <- e.Run(c.ctx) }()
	<-backend.works
	c.startAndWait(e, c.Name, `[{"ID":"work","Kind":"task","Text":"done"},{"ID":"more","Kind":"step","Text":"more"}]`)
	c.stop()
	c.must("run", <-done)
	c.must("close", e.Close())
	os.Exit(0)
}

// TestManyProcessesOpenNewFileAtOnce: whoever is first makes the schema, and the others wait for it.
func TestManyProcessesOpenNewFileAtOnce(t *testing.T) {
	t.Parallel()
	for round := range campaign.Rounds(t, 2, 2400) {
		b := setupUnopened(t)
		processes := make([]*process, 8)
		for i := range processes {
			processes[i] = b.spawn(args{Role: "fresh", Name: fmt.Sprintf("p%d", i), Lease: endless})
		}
		for _, p := range processes {
			p.await("loaded")
		}
		for _, p := range processes {
			p.tell("let go")
		}
		for _, p := range processes {
			if got := p.await("ended " + p.name); got != `"done,more"` {
				t.Errorf("round %d: %s ended with %s", round, p.name, got)
			}
			if code := p.awaitExit(); code != 0 {
				t.Errorf("round %d: %s ended with exit code %d", round, p.name, code)
			}
		}
		b.open()
		for _, p := range processes {
			b.wantBegun(p.name, "work", 1)
			b.wantBegun(p.name, "more", 1)
		}
		workers, err := b.client.Workers(t.Context())
		if err != nil || len(workers) > 0 {
			t.Errorf("round %d: left are the workers %+v, error %v", round, workers, err)
		}
	}
}
