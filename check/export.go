package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/lambdabiz/lambdabiz"
)

// Lister is what [Export] asks: a *lambdabiz.Engine.
type Lister interface {
	List(ctx context.Context, f lambdabiz.Filter) (lambdabiz.Page, error)
	StateOf(ctx context.Context, id, runID string) (*lambdabiz.State, error)
}

// Export writes the states of all orchestrations that are open, one in a line, as JSON, and returns how many there are.
// Each is one consistent snapshot; one that begins meanwhile may be missing, one that ends meanwhile is left out. After
// each line done is called, if it is not nil, with the number of lines so far. Payloads may be secrets.
func Export(ctx context.Context, from Lister, to io.Writer, done func(n int)) (int, error) {
	n := 0
	f := lambdabiz.Filter{
		Status: []lambdabiz.Status{lambdabiz.StatusScheduled, lambdabiz.StatusStarted}, AllRuns: true, Limit: 1000,
	}
	for more := true; more; more = f.Cursor != "" {
		page, err := from.List(ctx, f)
		if err != nil {
			return n, fmt.Errorf("list open orchestrations: %w", err)
		}
		f.Cursor = page.Next
		for i := range page.Runs {
			s, err := from.StateOf(ctx, page.Runs[i].ID, page.Runs[i].RunID)
			if errors.Is(err, lambdabiz.ErrNotFound) || err == nil && s.Status.Ended() {
				continue // it is over meanwhile
			}
			if err != nil {
				return n, fmt.Errorf("read orchestration %s: %w", page.Runs[i].ID, err)
			}
			line, err := json.Marshal(s)
			if err != nil {
				return n, fmt.Errorf("write orchestration %s: %w", s.ID, err)
			}
			if _, err := to.Write(append(line, '\n')); err != nil {
				return n, fmt.Errorf("write the export: %w", err)
			}
			if n++; done != nil {
				done(n)
			}
		}
	}
	return n, nil
}
