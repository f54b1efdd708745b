package homes_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/logbook"
)

// restsInRealTime runs an orchestration until it has ended, or is blocked. It does without virtual time, which a lock that
// is held for ever would stop.
func restsInRealTime(
	t *testing.T, c lambdabiz.Config, d *lambdabiz.Definition[int, int], items ...lambdabiz.Registrable,
) {
	t.Helper()
	rests := make(chan struct{})
	var once sync.Once
	store := homes[0].open(t)
	b := &bench{t: t, logs: &logbook.Book{}, ctx: t.Context()}
	b.backend = &proxy{Backend: store, commit: func(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
		verdicts, err := store.Commit(ctx, batch)
		for _, c := range batch {
			if err == nil && c.Run != nil && c.Run.ID == "x" && (c.Close != nil || c.Release != nil && c.Release.Blocked != nil) {
				once.Do(func() { close(rests) })
			}
		}
		return verdicts, err
	}}
	c.PollInterval = 10 * time.Millisecond
	e := b.engine(c, append(items, d)...)
	ended := make(chan error, 1)
	go func() {
		ended <- e.RunWhile(b.ctx, func(ctx context.Context) error {
			if _, err := lambdabiz.Start(ctx, e, d, "x", 0); err != nil {
				return err
			}
			select {
			case <-rests:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("the run is neither blocked nor ended, or the worker does not stop")
	}
}
