package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// untried is an open orchestration that waits, and that no live worker's code has run yet. It is no problem: but if the
// code does not fit, that shows only when what it waits for has come.
type untried struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	RunID   string `json:"runId"`
	Version string `json:"version,omitempty"` // of the code that has run it last, if that is known
}

// untriedIn adds a run of a list if code has run it up to where it waits, and live workers of other versions only know
// its definition. One that is due now or is held is tried anyway, and what is blocked has been.
func untriedIn(found []untried, workers []lambdabiz.WorkerRecord, run *lambdabiz.RunInfo, now time.Time) []untried {
	if run.Status != lambdabiz.StatusStarted || run.Mode == lambdabiz.ModeHand || run.Worker != 0 || run.Blocked != nil ||
		!run.WakeAt.IsZero() && !run.WakeAt.After(now) {
		return found
	}
	u := untried{ID: run.ID, Name: run.Name, RunID: run.RunID, Version: run.Version}
	if !u.on(workers) {
		return found
	}
	return append(found, u)
}

// on reports whether live workers know the definition, and all have another version than the one that ran it last.
func (u *untried) on(workers []lambdabiz.WorkerRecord) bool {
	known := false
	for i := range workers {
		w := &workers[i]
		if w.Gone || !slices.Contains(w.Names, u.Name) {
			continue
		}
		if w.Version == u.Version {
			return false
		}
		known = true
	}
	return known
}

// confirmUntried asks for the workers again: one that joined during the first look may have tried what that found.
func confirmUntried(ctx context.Context, r reader, found []untried) ([]untried, error) {
	if len(found) == 0 {
		return nil, nil
	}
	workers, err := r.Workers(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(u untried) bool { return !u.on(workers) }), nil
}

// untriedShown is how many are named in the note; JSON has all.
const untriedShown = 3

func untriedNote(found []untried) string {
	if len(found) == 0 {
		return ""
	}
	var ids []string
	for _, u := range found[:min(len(found), untriedShown)] {
		ids = append(ids, u.ID)
	}
	if len(found) > untriedShown {
		ids = append(ids, "...")
	}
	return fmt.Sprintf("note: on %d that wait the code of the live workers has not been tried (%s). Whether it fits: "+
		"`lambdabiz export`, and `check` of your program; or try it now: lambdabiz resume ID\n",
		len(found), strings.Join(ids, ", "))
}
