package wire

import (
	"testing"
	"time"
)

func TestSecondsAreRoundedUp(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0", 0: "0", 1: "1", time.Second: "1", time.Second + 1: "2", 1500 * time.Millisecond: "2", MaxRun: "31536000",
	} {
		if got := *Seconds(d); got != want || len(got) > 8 {
			t.Errorf("%v is %s, want %s", d, got, want)
		}
	}
}
