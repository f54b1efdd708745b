package sqlite_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

const (
	largeOperations = 64
	// amidALargeRun is how many pages are read before a claim is in the middle of the large run.
	amidALargeRun = 250
)

// setupLarge makes a file with a run of 2 MB, of which nothing is in the memory of the backend, and with one message.
// Beside it there is another backend on the file, as another process would have it.
func setupLarge(t *testing.T, mode lambdabiz.Mode) (b *bundle, f *faulty, beside *bundle) {
	t.Helper()
	first := setup(t)
	ref := first.startAs(lambdabiz.RunStart{
		ID: "large", RunID: "1", Name: "Order", Mode: mode, Claim: true, Input: lambdabiz.Payload(`"in"`),
	}).Run
	first.fill(ref, largeOperations, 32<<10)
	first.commit(&lambdabiz.Commit{Run: &ref, Started: true, Progress: lambdabiz.Payload(`"half"`)})
	if mode == lambdabiz.ModeWorker {
		first.commit(&lambdabiz.Commit{Run: &ref, Release: &lambdabiz.Release{WakeAt: first.now}})
	}
	if err := first.raise(lambdabiz.Raise{ID: "large", Name: "before"}); err != nil {
		t.Fatal(err)
	}
	f = newFaulty(t)
	backend, err := sqlite.OpenConfig(t.Context(), sqlite.Config{Path: first.path, VFS: f.name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = backend.Close() })
	b = &bundle{Backend: backend, t: t, path: first.path, now: first.now}
	b.worker = b.join("v1", "Order")
	beside = &bundle{Backend: openImpatient(t, first.path), t: t, path: first.path, now: first.now}
	beside.worker = beside.join("v1", "Order")
	return b, f, beside
}

// claimAmid claims while something happens in the middle of the reading.
func (b *bundle) claimAmid(f *faulty, r lambdabiz.ClaimRequest, do func() error) (lambdabiz.Claims, error) {
	b.t.Helper()
	happened := false
	f.onRead(amidALargeRun, func() error {
		happened = true
		return do()
	})
	claims, err := b.Claim(b.t.Context(), r)
	if !happened {
		b.t.Fatal("the claim has not read much")
	}
	return claims, err
}

func (b *bundle) request(after int64) lambdabiz.ClaimRequest {
	return lambdabiz.ClaimRequest{Worker: b.worker, Names: []string{"Order"}, Limit: 10, Now: b.now, After: after}
}

func eventsOf(messages []lambdabiz.Message) string {
	names := make([]string, 0, len(messages))
	for _, m := range messages {
		names = append(names, m.Name)
	}
	return strings.Join(names, " ")
}

// Others write while a claim reads a large run, and what arrives meanwhile for it is neither lost nor passed over.
func TestOthersWriteWhileAClaimReadsALargeRun(t *testing.T) {
	t.Parallel()
	t.Run("worker", func(t *testing.T) {
		t.Parallel()
		b, f, beside := setupLarge(t, lambdabiz.ModeWorker)
		claims, err := b.claimAmid(f, b.request(0), func() error {
			return beside.raises("large", "amid")
		})
		if err != nil || len(claims.Runs) != 1 || claims.More || !claims.NextWake.IsZero() {
			t.Fatalf("claimed %d runs, more %t, the next at %v: %v", len(claims.Runs), claims.More, claims.NextWake, err)
		}
		run := claims.Runs[0]
		wantWhole(t, &run, "before amid")
		if run.Worker != b.worker || run.Status != lambdabiz.StatusStarted || run.Crashes != 0 {
			t.Errorf("claimed %+v", run.RunInfo)
		}
		if err := beside.raise(lambdabiz.Raise{ID: "large", Name: "after"}); err != nil {
			t.Fatal(err)
		}
		claims, err = b.Claim(t.Context(), b.request(claims.Through))
		if err != nil || len(claims.Arrived) != 1 || len(claims.Runs) != 0 {
			t.Fatalf("the next claim: %+v, %v", claims, err)
		}
		seen := run.Messages[len(run.Messages)-1].Number
		newer := slices.DeleteFunc(claims.Arrived[0].Messages, func(m lambdabiz.Message) bool { return m.Number <= seen })
		if got := eventsOf(newer); got != "after" {
			t.Errorf("then arrived %q, want what came after the claim", got)
		}
		b.commit(&lambdabiz.Commit{Run: &run.Ref, Operations: []lambdabiz.Operation{b.operation(100)}})
	})
	t.Run("hand", func(t *testing.T) {
		t.Parallel()
		b, f, beside := setupLarge(t, lambdabiz.ModeHand)
		claims, err := b.claimAmid(f, lambdabiz.ClaimRequest{Hand: "large"}, func() error {
			return beside.raises("large", "amid")
		})
		if err != nil || len(claims.Runs) != 1 {
			t.Fatalf("claimed %d runs: %v", len(claims.Runs), err)
		}
		run := claims.Runs[0]
		wantWhole(t, &run, "before") // and the rest with the next commit:
		c := &lambdabiz.Commit{Run: &run.Ref, Fetch: true, Seen: run.Messages[0].Number}
		c.Operations = []lambdabiz.Operation{b.operation(100)}
		if got := eventsOf(b.commit(c).Messages); got != "amid" {
			t.Errorf("then arrived %q", got)
		}
	})
}

// raises raises an event, from wherever it is called.
func (b *bundle) raises(id, name string) error {
	verdicts, err := b.Commit(context.Background(), []*lambdabiz.Commit{
		{At: b.now, Raises: []lambdabiz.Raise{{ID: id, Name: name}}},
	})
	if err == nil {
		err = verdicts[0].Raises[0].Err
	}
	if err != nil {
		b.t.Errorf("another one cannot write while a claim reads: %v", err)
	}
	return nil
}

func wantWhole(t *testing.T, run *lambdabiz.Claimed, messages string) {
	t.Helper()
	if len(run.Operations) != largeOperations || string(run.Input) != `"in"` || string(run.Progress) != `"half"` {
		t.Errorf("claimed with %d operations, %s, %s", len(run.Operations), run.Input, run.Progress)
	}
	if got := eventsOf(run.Messages); got != messages {
		t.Errorf("claimed with the messages %q, want %q", got, messages)
	}
}

// What happens to a run between the reading and the claim counts: the claim has it, or does not take the run.
func TestWhatHappensToALargeRunBeforeItIsClaimed(t *testing.T) {
	t.Parallel()
	controls := func(kinds ...lambdabiz.ControlKind) func(*bundle) error {
		return func(beside *bundle) error {
			for _, kind := range kinds {
				if err := beside.control(kind, "large"); err != nil {
					return err
				}
			}
			return nil
		}
	}
	for name, test := range map[string]struct {
		happens func(beside *bundle) error
		claimed int // runs, and after another claim:
		then    int
		check   func(t *testing.T, run *lambdabiz.Claimed)
	}{
		"it is cancelled": {controls(lambdabiz.ControlCancel), 1, 1, func(t *testing.T, run *lambdabiz.Claimed) {
			if !run.CancelRequested || run.CancelReason != "test" || len(run.Messages) != 2 {
				t.Errorf("cancelled: %t, with %d messages", run.CancelRequested, len(run.Messages))
			}
		}},
		"it is paused":             {controls(lambdabiz.ControlPause), 0, 0, nil},
		"it is paused and resumed": {controls(lambdabiz.ControlPause, lambdabiz.ControlResume), 1, 1, nil},
		"it loses a message": {func(beside *bundle) error {
			return beside.WithdrawMessages("large")
		}, 0, 1, func(t *testing.T, run *lambdabiz.Claimed) {
			if len(run.Messages) > 0 {
				t.Errorf("claimed with %d messages", len(run.Messages))
			}
		}},
		"it is terminated": {controls(lambdabiz.ControlTerminate), 0, 0, nil},
		"it is terminated and removed": {func(beside *bundle) error {
			if err := beside.control(lambdabiz.ControlTerminate, "large"); err != nil {
				return err
			}
			_, err := beside.Purge(context.Background(), lambdabiz.PurgeRequest{ID: "large"})
			return err
		}, 0, 0, nil},
		"somebody else takes it": {func(beside *bundle) error {
			return wantRuns(beside.claim(1, 0), 1)
		}, 0, 0, nil},
		"somebody else goes on with it": {func(beside *bundle) error {
			claims := beside.claim(1, 0)
			c := &lambdabiz.Commit{Run: &claims.Runs[0].Ref, Operations: []lambdabiz.Operation{beside.operation(100)}}
			c.Progress, c.Release = lambdabiz.Payload(`"more"`), &lambdabiz.Release{WakeAt: beside.now}
			beside.commit(c)
			return nil
		}, 0, 1, func(t *testing.T, run *lambdabiz.Claimed) {
			if len(run.Operations) != largeOperations+1 || string(run.Progress) != `"more"` {
				t.Errorf("claimed with %d operations and the progress %s", len(run.Operations), run.Progress)
			}
		}},
		"somebody else blocks it for another version": {func(beside *bundle) error {
			claims := beside.claim(1, 0)
			blocked := &lambdabiz.Blocked{Reason: "test", Version: "v1", Times: 1, Since: beside.now}
			beside.commit(&lambdabiz.Commit{Run: &claims.Runs[0].Ref, Release: &lambdabiz.Release{WakeAt: beside.now, Blocked: blocked}})
			beside.join("v2", "Order")
			return nil
		}, 0, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, f, beside := setupLarge(t, lambdabiz.ModeWorker)
			claims, err := b.claimAmid(f, b.request(0), func() error {
				if err := test.happens(beside); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				return nil
			})
			if err == nil {
				err = wantRuns(claims, test.claimed)
			}
			if err != nil {
				t.Fatal(err)
			}
			again, err := b.Claim(t.Context(), b.request(claims.Through))
			if err == nil {
				err = wantRuns(again, test.then-test.claimed)
			}
			if err != nil {
				t.Fatalf("the next claim: %v", err)
			}
			if runs := slices.Concat(claims.Runs, again.Runs); test.check != nil {
				test.check(t, &runs[0])
			}
		})
	}
}

// What a small run gets between the look and the claim is in the claim: nothing would tell of it later, and what comes
// after it would be taken first.
func TestAnEventThatComesBetweenTheLookAndTheClaimIsInIt(t *testing.T) {
	t.Parallel()
	b, f, beside := setupLarge(t, lambdabiz.ModeWorker)
	b.startAs(lambdabiz.RunStart{ID: "small", RunID: "small", Name: "Order"})
	claims, err := b.claimAmid(f, b.request(0), func() error {
		return errors.Join(beside.raises("small", "first"), beside.raises("small", "second"))
	})
	if err == nil {
		err = wantRuns(claims, 2)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, run := range claims.Runs {
		if run.ID == "small" && eventsOf(run.Messages) != "first second" {
			t.Errorf("claimed with the messages %q, want both", eventsOf(run.Messages))
		}
	}
}

func wantRuns(claims lambdabiz.Claims, want int) error {
	if len(claims.Runs) != want {
		return fmt.Errorf("claimed %d runs, want %d", len(claims.Runs), want)
	}
	return nil
}

// A caller by hand that has found the run paused does not go on under the fence of the one who holds it, when it is
// resumed while the caller reads.
func TestAClaimByHandOfARunThatIsResumedMeanwhileHasAFenceOfItsOwn(t *testing.T) {
	t.Parallel()
	b, _, beside := setupLarge(t, lambdabiz.ModeHand)
	held := beside.mustHand("large")
	if err := beside.control(lambdabiz.ControlPause, "large"); err != nil {
		t.Fatal(err)
	}
	b.OnHandClaimed(func() {
		b.OnHandClaimed(nil)
		if err := beside.control(lambdabiz.ControlResume, "large"); err != nil {
			t.Error(err)
		}
	})
	if run := b.mustHand("large"); run.Paused || run.Ref.Fence <= held.Ref.Fence {
		t.Errorf("paused: %t, fence %d, that of the holder is %d", run.Paused, run.Ref.Fence, held.Ref.Fence)
	}
}

// mustHand claims a run by hand.
func (b *bundle) mustHand(id string) lambdabiz.Claimed {
	b.t.Helper()
	claims, err := b.Claim(b.t.Context(), lambdabiz.ClaimRequest{Hand: id, Now: b.now})
	if err == nil {
		err = wantRuns(claims, 1)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return claims.Runs[0]
}

// A worker that is declared dead while it reads claims nothing: nobody would ever take it over.
func TestAWorkerThatIsRemovedWhileItReadsClaimsNothing(t *testing.T) {
	t.Parallel()
	b, f, beside := setupLarge(t, lambdabiz.ModeWorker)
	_, err := b.claimAmid(f, b.request(0), func() error { return beside.Leave(context.Background(), b.worker, -1) })
	wantErr(t, err, lambdabiz.ErrFenced)
	if err := wantRuns(beside.claim(1, 0), 1); err != nil {
		t.Error(err)
	}
}

// A large run of a claim that fails while it reads is held by nobody: no crash is counted, and whoever claims next
// gets it.
func TestAClaimThatFailsWhileItReadsHoldsNothing(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]func(cancel func()) error{
		"an error":             func(func()) error { return sqlite3.IOERR_READ },
		"a panic":              func(func()) error { panic("out of memory") },
		"the caller has ended": func(cancel func()) error { cancel(); return nil },
	} {
		for _, small := range []int{0, 2} {
			t.Run(fmt.Sprintf("%s, %d small", name, small), func(t *testing.T) {
				t.Parallel()
				b, f, beside := setupLarge(t, lambdabiz.ModeWorker)
				for i := range small {
					b.startAs(lambdabiz.RunStart{ID: fmt.Sprint("small-", i), RunID: fmt.Sprint("small-", i), Name: "Order"})
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				failed := false
				f.onRead(amidALargeRun, func() error { failed = true; return fails(cancel) })
				claims, err := b.Claim(ctx, b.request(0))
				if !failed || err == nil || errors.Is(err, lambdabiz.ErrOutcomeUnknown) {
					t.Fatalf("failed %t: claimed %d runs, %v", failed, len(claims.Runs), err)
				}
				if held := beside.load("large").Worker; held != 0 {
					t.Errorf("worker %d holds the run", held)
				}
				claims = beside.claim(10, 0)
				if err := wantRuns(claims, 1+small); err != nil {
					t.Fatal(err)
				}
				slices.SortFunc(claims.Runs, func(a, b lambdabiz.Claimed) int { return strings.Compare(a.ID, b.ID) })
				wantWhole(t, &claims.Runs[0], "before")
				if claims.Runs[0].Crashes != 0 {
					t.Errorf("%d crashes", claims.Runs[0].Crashes)
				}
			})
		}
	}
}

// A claim by hand that fails while it reads can be made again. Its former caller may have lost the run to it.
func TestAClaimByHandThatFailsWhileItReadsCanBeMadeAgain(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func() error{
		"an error": func() error { return sqlite3.IOERR_READ }, "a panic": func() error { panic("out of memory") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, f, _ := setupLarge(t, lambdabiz.ModeHand)
			_, err := b.claimAmid(f, lambdabiz.ClaimRequest{Hand: "large"}, fault)
			if err == nil || errors.Is(err, lambdabiz.ErrOutcomeUnknown) {
				t.Fatalf("the claim gave %v", err)
			}
			claims, err := b.Claim(t.Context(), lambdabiz.ClaimRequest{Hand: "large"})
			if err != nil {
				t.Fatal(err)
			}
			wantWhole(t, &claims.Runs[0], "before")
			b.commit(&lambdabiz.Commit{Run: &claims.Runs[0].Ref, Operations: []lambdabiz.Operation{b.operation(100)}})
		})
	}
}

// A claim by hand of a large run that another caller takes while it is read writes nothing.
func TestAClaimByHandThatIsOvertaken(t *testing.T) {
	t.Parallel()
	b, f, beside := setupLarge(t, lambdabiz.ModeHand)
	claims, err := b.claimAmid(f, lambdabiz.ClaimRequest{Hand: "large"}, func() error {
		_, err := beside.Claim(context.Background(), lambdabiz.ClaimRequest{Hand: "large"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	v := b.try(&lambdabiz.Commit{Run: &claims.Runs[0].Ref, Operations: []lambdabiz.Operation{b.operation(100)}})
	wantErr(t, v.Err, lambdabiz.ErrFenced)
}

// The nth call fails, or panics, on the way of claims that read ahead, as of every other method: what is claimed is
// held and known, or not held.
func TestFaultAtEveryCallOfClaimsThatReadAhead(t *testing.T) {
	t.Parallel()
	first, stride := strides(t, false)
	for _, kind := range []trouble{onRead, onSync, onSize, onStatement, onRow, onCommit} {
		for _, panics := range []bool{false, true} {
			if !panics && codes[kind] == nil {
				continue // what SQLite calls by itself can only panic
			}
			t.Run(fmt.Sprintf("%s, panics %t", kind, panics), func(t *testing.T) {
				t.Parallel()
				d, b := panicking(t)
				d.panics = panics
				b.ReadAhead()
				most := cmp.Or(most[kind], 5)
				struck, complaint := d.strikeOn(t, b, kind, first%2 == 0, min(first, most), min(stride, most))
				if complaint != "" {
					t.Error(complaint)
				}
				if struck == 0 {
					t.Error("no call has failed")
				}
			})
		}
	}
}
