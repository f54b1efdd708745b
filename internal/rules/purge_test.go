package rules_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

func TestPurges(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status  lambdabiz.Status
		endedAt time.Time
		purge   lambdabiz.PurgeRequest
		want    bool
		err     error
	}{
		"ended":                   {lambdabiz.StatusFailed, noon, lambdabiz.PurgeRequest{}, true, nil},
		"ended before":            {lambdabiz.StatusFailed, noon, lambdabiz.PurgeRequest{EndedBefore: later}, true, nil},
		"ended then":              {lambdabiz.StatusFailed, noon, lambdabiz.PurgeRequest{EndedBefore: noon}, false, nil},
		"ended after":             {lambdabiz.StatusFailed, later, lambdabiz.PurgeRequest{EndedBefore: noon}, false, nil},
		"open":                    {lambdabiz.StatusStarted, time.Time{}, lambdabiz.PurgeRequest{EndedBefore: later}, false, nil},
		"open, and its id":        {lambdabiz.StatusStarted, time.Time{}, lambdabiz.PurgeRequest{ID: "a"}, false, lambdabiz.ErrOpen},
		"ended, and its id":       {lambdabiz.StatusTerminated, noon, lambdabiz.PurgeRequest{ID: "a"}, true, nil},
		"ended after, and its id": {lambdabiz.StatusFailed, later, lambdabiz.PurgeRequest{ID: "a", EndedBefore: noon}, false, nil},
	} {
		got, err := rules.Purges(c.status, c.endedAt, &c.purge)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for p, want := range map[lambdabiz.PurgeRequest]int64{
		{}: 1000, {Limit: -1}: 1000, {Limit: 7}: 7, {Limit: 5000}: 5000, {ID: "a", Limit: 7}: math.MaxInt64,
	} {
		if got := rules.PurgeLimit(&p); got != want {
			t.Errorf("purge %+v: %d, want %d", p, got, want)
		}
	}
	for limit, want := range map[int]int{0: 100, -1: 100, 7: 7, 1000: 1000, 5000: 1000} {
		if got := rules.PageSize(&lambdabiz.Filter{Limit: limit}); got != want {
			t.Errorf("page of %d: %d, want %d", limit, got, want)
		}
	}
}
