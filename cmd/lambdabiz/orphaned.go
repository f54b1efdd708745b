package main

import (
	"context"
	"fmt"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// orphaned is a run whose code has come to its end without operations that are recorded. It is no problem if they were
// removed. What was renamed without a word was done again.
type orphaned struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	RunID   string   `json:"runId"`
	Orphans []string `json:"orphans"`
}

// orphanedAmong is how many of those that have ended are looked at: all that have ever ended may be millions.
const orphanedAmong = 1000

// findOrphaned looks through the runs that have ended, the newest first. What an open run leaves out is known when its
// code ends.
func findOrphaned(ctx context.Context, r reader) ([]orphaned, error) {
	page, err := r.List(ctx, lambdabiz.Filter{
		Status: []lambdabiz.Status{
			lambdabiz.StatusSucceeded, lambdabiz.StatusFailed, lambdabiz.StatusTimeout, lambdabiz.StatusCancelled,
		},
		AllRuns: true, Limit: orphanedAmong,
	})
	if err != nil {
		return nil, err
	}
	var found []orphaned
	for i := range page.Runs {
		if run := &page.Runs[i]; len(run.Orphans) > 0 {
			found = append(found, orphaned{ID: run.ID, Name: run.Name, RunID: run.RunID, Orphans: run.Orphans})
		}
	}
	return found, nil
}

// orphanedNote names the newest one; JSON has all.
func orphanedNote(found []orphaned) string {
	if len(found) == 0 {
		return ""
	}
	first := &found[0]
	return fmt.Sprintf("note: %d have ended without operations that are recorded (%s: %q). If one was renamed or moved, it was "+
		"done again: add Formerly or FormerlyAt, for those that are open. All of them: lambdabiz list --orphans\n",
		len(found), first.ID, first.Orphans)
}
