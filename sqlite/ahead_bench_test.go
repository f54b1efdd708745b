package sqlite_test

import (
	"slices"
	"testing"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// fill gives a run operations that have ended, with results of so many bytes.
func (b *bundle) fill(ref lambdabiz.RunRef, operations, bytes int) {
	b.t.Helper()
	for n := 0; n < operations; {
		c := &lambdabiz.Commit{Run: &ref}
		for ; n < operations && len(c.Operations) < 5000; n++ {
			op := b.operation(int64(n + 1))
			op.Result = make(lambdabiz.Payload, bytes)
			c.Operations = append(c.Operations, op)
		}
		b.commit(c)
	}
}

// BenchmarkCommitBesideClaim is a claim of one run with 100,000 operations and 60 MB, while somebody else commits an
// operation after the other: it reports the longest that one of these took during a claim, in the median of the claims.
// Beside a load, which takes no lock, it is what the machine and the collector of garbage do.
func BenchmarkCommitBesideClaim(b *testing.B) {
	modes := map[string]lambdabiz.Mode{"worker": lambdabiz.ModeWorker, "hand": lambdabiz.ModeHand, "load": lambdabiz.ModeWorker}
	for name, mode := range modes {
		b.Run(name, func(b *testing.B) {
			s := setup(b)
			ref := s.startAs(lambdabiz.RunStart{ID: "huge", RunID: "huge", Name: "Order", Mode: mode, Claim: true}).Run
			s.fill(ref, 100_000, 600)
			other := s.start("other").Run
			var longest []time.Duration
			for b.Loop() {
				b.StopTimer()
				if name != "load" {
					s.commit(&lambdabiz.Commit{Run: &ref, Release: &lambdabiz.Release{WakeAt: s.now}})
				}
				begun, stop, most := make(chan struct{}), make(chan struct{}), make(chan time.Duration)
				go func() { most <- s.commitUntil(other, begun, stop) }()
				<-begun
				b.StartTimer()
				if name == "load" {
					s.load("huge")
					close(stop)
					longest = append(longest, <-most)
					continue
				}
				r := lambdabiz.ClaimRequest{Worker: s.worker, Names: []string{"Order"}, Limit: 1, Now: s.now}
				if mode == lambdabiz.ModeHand {
					r = lambdabiz.ClaimRequest{Hand: "huge"}
				}
				claims, err := s.Claim(b.Context(), r)
				if err != nil || len(claims.Runs) != 1 || len(claims.Runs[0].Operations) != 100_000 {
					b.Fatalf("claimed %d, %v", len(claims.Runs), err)
				}
				ref = claims.Runs[0].Ref
				close(stop)
				longest = append(longest, <-most)
			}
			slices.Sort(longest)
			b.ReportMetric(float64(longest[len(longest)/2].Microseconds())/1000, "wait-ms")
		})
	}
}

// commitUntil commits until stop is closed, and returns the longest that one commit took.
func (b *bundle) commitUntil(ref lambdabiz.RunRef, begun chan<- struct{}, stop <-chan struct{}) time.Duration {
	var most time.Duration
	for n := 0; ; n++ {
		select {
		case <-stop:
			return most
		default:
		}
		at := time.Now()
		b.commit(&lambdabiz.Commit{Run: &ref, Operations: []lambdabiz.Operation{b.operation(1)}})
		if n == 10 {
			most = 0
			close(begun)
		}
		most = max(most, time.Since(at))
	}
}
