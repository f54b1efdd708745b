package lambdabiz

import (
	"errors"
	"math"
	"math/rand/v2"
	"time"
)

// Backoff says how failed attempts are repeated. Attempt, error and the time of the next attempt are
// recorded, so a backoff survives parking, crashes and takeover. The zero value is one attempt.
type Backoff struct {
	Attempts int           // attempts at most; 0 means 1, negative means no limit
	Initial  time.Duration // before the second attempt; 0 means 1 s
	Max      time.Duration // between attempts; 0 means 1 min
	Factor   float64       // from one wait to the next; 0 means 2
	Jitter   float64       // part of each wait that is left to chance, 0 to 1; negative means none, 0 means 0.2

	// NonRetryable lists errors after which no attempt is made: by errors.Is, and an empty value of a type, as
	// &CardDeclined{}, stands for all errors of that type. An error marked with the function of that name is never
	// retried either, nor one that has, or wraps one that has, a method Retryable() bool which returns false.
	// Where one of them has a method RetryAfter() time.Duration, the next attempt waits for that long at least.
	NonRetryable []error
}

// again reports whether attempt, which failed with err, is followed by another one, and when.
func (b Backoff) again(attempt int, err error) (time.Duration, bool) {
	limit := b.Attempts
	if limit == 0 {
		limit = 1
	}
	if limit > 0 && attempt >= limit || !retryable(err) {
		return 0, false
	}
	for _, final := range b.NonRetryable {
		if errors.Is(err, final) || isOfType(err, final) {
			return 0, false
		}
	}
	return max(b.wait(attempt), retryWait(err)), true
}

func (b Backoff) wait(attempt int) time.Duration {
	initial, most, factor, jitter := b.Initial, b.Max, b.Factor, b.Jitter
	if initial <= 0 {
		initial = time.Second
	}
	if most <= 0 {
		most = time.Minute
	}
	if !(factor >= 1) { // nor is NaN a factor
		factor = 2
	}
	if jitter == 0 {
		jitter = 0.2
	}
	wait := float64(initial) * math.Pow(factor, float64(attempt-1))
	if jitter > 0 {
		wait = min(wait, float64(most)) * (1 - min(jitter, 1)*rand.Float64())
	}
	if wait >= float64(most) { // which may be more than a Duration holds
		return most
	}
	return time.Duration(wait)
}

var blockedBackoff = Backoff{Initial: time.Second, Max: 5 * time.Minute, Jitter: -1}
