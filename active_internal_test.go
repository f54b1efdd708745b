package lambdabiz

import (
	"runtime"
	"testing"
)

type spreadBackend struct{ Backend }

func (spreadBackend) Describe() Description { return Description{Name: "spread", Spread: true} }

// On one machine nobody else has processors of his own: there a worker takes what there is.
func TestHowManyAWorkerTakesUnlessTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		home                 Backend
		config               Config
		active, piece, asked int
	}{
		"one machine":            {noBackend{}, Config{}, 10_000, 256, 256},
		"one machine, few":       {noBackend{}, Config{MaxResident: 7}, 7, 256, 7},
		"many machines":          {spreadBackend{}, Config{}, max(512, 16*runtime.GOMAXPROCS(0)), 64, 64},
		"many machines, as told": {spreadBackend{}, Config{MaxActive: 3}, 3, 64, 3},
	} {
		e, err := New(c.home, c.config)
		if err != nil {
			t.Fatal(err)
		}
		if e.works != c.active || e.piece != c.piece || e.room() != c.asked {
			t.Errorf("%s: %d may be active, %d are claimed at a time, at first %d", name, e.works, e.piece, e.room())
		}
	}
}
