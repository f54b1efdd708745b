package sqlite_test

import (
	"fmt"
	"testing"
)

// BenchmarkLeave is the end of a worker that holds 100 runs, with more or fewer operations: everybody else who writes
// waits for it.
func BenchmarkLeave(b *testing.B) {
	for _, operations := range []int{10, 2000} {
		b.Run(fmt.Sprint(operations), func(b *testing.B) {
			s := setup(b)
			for i := range 100 {
				s.fill(s.start(fmt.Sprint("run", i)).Run, operations, 100)
			}
			for b.Loop() {
				if err := s.Leave(b.Context(), s.worker, -1); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				s.worker = s.join("v1", "Order")
				for n := 0; n < 100; {
					n += len(s.claim(100, 0).Runs)
				}
				b.StartTimer()
			}
		})
	}
}

// Leave keeps everybody else from writing for as long as it takes to free runs, whatever is recorded of them. It counted
// the operations of all of them.
func TestLeaveDoesNotReadWhatIsRecorded(t *testing.T) {
	t.Parallel()
	s := setup(t)
	var steps [2]int
	for i := range steps {
		s.fill(s.start(fmt.Sprint("run", i)).Run, 3000, 100)
		var err error
		if steps[i], err = s.LeaveSteps(t.Context(), s.worker); err != nil {
			t.Fatal(err)
		}
	}
	if most := 200; steps[0] > most || steps[1]-steps[0] > most {
		t.Errorf("it took %d steps to free one run, and %d for two", steps[0], steps[1])
	}
}
