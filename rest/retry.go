package rest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// defaultAttempts is how often a call is attempted that has no lambdabiz.Retry.
const defaultAttempts = 4

// retryStatuses pass by themselves: RFC 9110, sections 15.5.9 and 15.6; RFC 8470 (425); RFC 6585 (429).
var retryStatuses = []int{408, 425, 429, 500, 502, 503, 504}

// unprocessed are the statuses by which a service says that it did not act on the request.
var unprocessed = []int{http.StatusTooManyRequests, http.StatusServiceUnavailable}

// repeatable reports whether the request may reach the service twice: by its method (RFC 9110, section
// 9.2.2), or by the caller's word.
func (r Request) repeatable() bool {
	return r.Idempotent || r.Method != http.MethodPost && r.Method != http.MethodPatch
}

func (r Request) retryStatus(status int) bool {
	if r.repeatable() {
		return slices.Contains(retryStatuses, status)
	}
	return slices.Contains(unprocessed, status)
}

// retryAfter reads the header Retry-After: seconds or a date (RFC 9110, section 10.2.3), at most as long
// as given. A date is compared with the service's own clock, when it shows that.
func retryAfter(h http.Header, most time.Duration) time.Duration {
	text := h.Get("Retry-After")
	if text == "" {
		return 0
	}
	if wait, ok := delaySeconds(text, most); ok {
		return wait
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return min(max(at.Sub(now), 0), most)
}

// delaySeconds reads seconds, more of them than any number holds too, and with a fraction, which some
// services send: it counts as a whole second, so that nobody comes too early.
func delaySeconds(text string, most time.Duration) (time.Duration, bool) {
	whole, fraction, _ := strings.Cut(strings.TrimSpace(text), ".")
	if whole == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return 0, false
	}
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || seconds >= int64(most/time.Second) { // an error is one of range
		return most, true
	}
	if strings.Trim(fraction, "0") != "" {
		seconds++
	}
	return min(time.Duration(seconds)*time.Second, most), true
}
