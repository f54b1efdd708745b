package homes_test

import (
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Who looks after a deployment wants to know on which of those that wait the new code has not been tried.
func TestWhatWaitsSaysWhichCodeHasRunIt(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		wants := func(want string) {
			t.Helper()
			info, err := b.backend.Load(b.ctx, "o", "")
			if err != nil {
				t.Fatal(err)
			}
			if info.Version != want {
				t.Errorf("its version is %q, want %q", info.Version, want)
			}
		}
		d := lambdabiz.Define("Waits", func(o lambdabiz.Context, _ int) (bool, error) {
			return lambdabiz.WaitForEvent[bool](o, "go")
		})
		e, stop := b.workerWith(lambdabiz.Config{Version: "one"}, d)
		start(b, e, d, "o", 0)
		time.Sleep(time.Minute)
		b.settle() // a worker that the store has just taken for dead releases nothing, and says nothing of its code
		stop()
		wants("one")
		e, stop = b.workerWith(lambdabiz.Config{Version: "two"}, d)
		time.Sleep(time.Minute)
		wants("one") // nothing has woken it
		if err := e.Resume(b.ctx, "o"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		b.settle()
		stop()
		wants("two")
	}, notOnSWF("it does not know who polls"),
		exception{"memory, a commit ends the claim", "what waits is released by no commit of its own"},
		exception{"memory, and performs timers", "what waits is released by no commit of its own"})
}
