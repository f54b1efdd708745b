package rest

import (
	"net/http"
	"slices"
	"strconv"
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

// retryAfter reads the header Retry-After: seconds or a date (RFC 9110, section 10.2.3). A date is
// compared with the service's own clock, when it shows that.
func retryAfter(h http.Header, most time.Duration) time.Duration {
	text := h.Get("Retry-After")
	if text == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, most)
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
