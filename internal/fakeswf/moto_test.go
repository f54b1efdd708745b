package fakeswf_test

import (
	"crypto/rand"
	"net/http"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/standins"
)

// TestCasesOnMoto runs the overlap on moto: where it says something else than the fake, one of the two is wrong. What
// moto cannot do, or does otherwise than the documentation says, is not in the table: Lambda tasks, children, signals
// to other runs, ContinueAsNew, requests to cancel, pages, startAtPreviousStartedEvent, long polls, UNHANDLED_DECISION,
// START_TO_CLOSE and SCHEDULE_TO_START of activities, CancelTimer (it writes "TimerCancelled"), signals without input,
// filters of lists, counts of open runs, the limit of 32,768 characters, and decisions without a time-out.
func TestCasesOnMoto(t *testing.T) {
	t.Parallel()
	endpoint := standins.Moto(t)
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, newClient(endpoint, http.DefaultClient), "cases-"+rand.Text())
			w.pass = func(d time.Duration) { <-time.After(d) } // moto lives in real time
			c.run(t, w)
		})
	}
}
