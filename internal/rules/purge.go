package rules

import (
	"math"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

const (
	defaultPurge = 1000
	defaultPage  = 100
	maxPage      = 1000
)

// Purges reports whether a purge removes a run, one of the id if it names one. An open run refuses a purge of its id.
func Purges(status lambdabiz.Status, endedAt time.Time, p *lambdabiz.PurgeRequest) (bool, error) {
	if !status.Ended() {
		if p.ID != "" {
			return false, lambdabiz.ErrOpen
		}
		return false, nil
	}
	return p.EndedBefore.IsZero() || endedAt.Before(p.EndedBefore), nil
}

// PurgeLimit is how many runs a purge removes at most.
func PurgeLimit(p *lambdabiz.PurgeRequest) int64 {
	switch {
	case p.ID != "":
		return math.MaxInt64
	case p.Limit <= 0:
		return defaultPurge
	}
	return int64(p.Limit)
}

// PageSize is how many runs a page of a list has at most.
func PageSize(f *lambdabiz.Filter) int {
	if f.Limit <= 0 {
		return defaultPage
	}
	return min(f.Limit, maxPage)
}
