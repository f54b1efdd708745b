package memory_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
)

func TestNewRefusesWhatItCannotKeep(t *testing.T) {
	t.Parallel()
	timers := []lambdabiz.Kind{lambdabiz.KindTimer}
	for name, config := range map[string]memory.Config{
		"a kind that is no timer": {CommitEndsClaim: true, Performs: []lambdabiz.Kind{lambdabiz.KindTask}},
		"timers of a held run":    {Performs: timers},
	} {
		if _, err := memory.NewWith(config); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := memory.NewWith(memory.Config{CommitEndsClaim: true, Performs: timers}); err != nil {
		t.Error(err)
	}
}

func TestNothingWorksAfterClose(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := open(memory.Config{})(t)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	_, join := b.Join(ctx, lambdabiz.WorkerInfo{})
	_, workers := b.Workers(ctx)
	_, claim := b.Claim(ctx, lambdabiz.ClaimRequest{Worker: 1})
	_, commit := b.Commit(ctx, nil)
	_, load := b.Load(ctx, "a", "")
	_, list := b.List(ctx, lambdabiz.Filter{})
	_, purge := b.Purge(ctx, lambdabiz.PurgeRequest{})
	for i, err := range []error{
		join, b.Renew(ctx, 1), b.Leave(ctx, 1, -1), workers, claim, commit, load, list, purge,
	} {
		if err == nil {
			t.Errorf("call %d after Close: no error", i)
		}
	}
}

func TestListRefusesAForeignCursor(t *testing.T) {
	t.Parallel()
	b := open(memory.Config{})(t)
	if _, err := b.List(context.Background(), lambdabiz.Filter{Cursor: "x"}); err == nil {
		t.Error("no error")
	}
}

func TestAnUnknownControlIsRefused(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := open(memory.Config{})(t)
	v, err := b.Commit(ctx, []*lambdabiz.Commit{{
		Starts:   []lambdabiz.RunStart{{ID: "a", RunID: "r", Name: "n"}},
		Controls: []lambdabiz.Control{{Kind: 99, ID: "a"}},
	}})
	if err != nil || v[0].Err != nil || v[0].Controls[0] == nil {
		t.Errorf("verdicts %+v, error %v", v, err)
	}
}

// A worker in a bubble: virtual time passes while it waits, and the backend's channel wakes it.
func TestWorksInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		b := memory.New()
		wake := b.Wake()
		worker, err := b.Join(ctx, lambdabiz.WorkerInfo{Names: []string{"n"}})
		if err != nil {
			t.Fatal(err)
		}
		<-wake
		go func() {
			time.Sleep(365 * 24 * time.Hour)
			start := lambdabiz.RunStart{ID: "a", RunID: "r", Name: "n"}
			if _, err := b.Commit(ctx, []*lambdabiz.Commit{{At: time.Now(), Starts: []lambdabiz.RunStart{start}}}); err != nil {
				t.Error(err)
			}
		}()
		begin := time.Now()
		<-wake
		if waited := time.Since(begin); waited != 365*24*time.Hour {
			t.Errorf("woken after %v", waited)
		}
		claims, err := b.Claim(ctx, lambdabiz.ClaimRequest{
			Worker: worker, Names: []string{"n"}, Limit: 1, Now: time.Now(),
		})
		if err != nil || len(claims.Runs) != 1 {
			t.Errorf("claims %+v, error %v", claims, err)
		}
	})
}

func TestEveryReceiverIsWoken(t *testing.T) {
	t.Parallel()
	b := memory.New()
	first, second := b.Wake(), b.Wake()
	if _, err := b.Join(context.Background(), lambdabiz.WorkerInfo{}); err != nil {
		t.Fatal(err)
	}
	<-first
	<-second
}

func TestAnEndedContextChangesNothing(t *testing.T) {
	t.Parallel()
	b := open(memory.Config{})(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := b.Join(ctx, lambdabiz.WorkerInfo{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Join: %v", err)
	}
	if w, err := b.Workers(context.Background()); err != nil || len(w) != 0 {
		t.Errorf("workers %v, error %v", w, err)
	}
}
