package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/sqlite"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// Every payload of a commit has the largest size that Describe allows: it is taken and read back, alone and among
// others, and the connection is none the worse for it.
func TestLargestPayloads(t *testing.T) {
	t.Parallel()
	b := setup(t)
	most := b.Describe().MaxPayloadBytes
	if underRace || testing.Short() {
		most /= 16
	}
	large := func(c byte) lambdabiz.Payload { return bytes.Repeat([]byte{c}, most) }
	start := lambdabiz.RunStart{ID: "a", RunID: "a1", Name: "Order", Input: large('i'), Claim: true}
	ref := b.startAs(start).Run
	op := func(n int64) lambdabiz.Operation {
		o := b.operation(n)
		o.Input, o.Result, o.Details = large('1'), large('2'), large('3')
		return o
	}
	b.commit(&lambdabiz.Commit{Run: &ref, Operations: []lambdabiz.Operation{op(1)}})
	verdicts, err := b.Commit(t.Context(), []*lambdabiz.Commit{
		{Run: &ref, At: b.now, Operations: []lambdabiz.Operation{b.operation(2)}, Progress: large('p')},
		{At: b.now, Raises: []lambdabiz.Raise{{ID: "a", Name: "e", Payload: large('e')}}},
		{At: b.now, Raises: []lambdabiz.Raise{{ID: "b", Name: "e", Payload: large('k'), Until: b.now.AddDate(1, 0, 0)}}},
		startOf(b, "small"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range verdicts {
		if v.Err != nil {
			t.Fatalf("commit %d: %v", i, v.Err)
		}
	}
	b.start("b")
	r := b.load("a")
	check := func(what string, p lambdabiz.Payload, c byte) {
		t.Helper()
		if !bytes.Equal(p, large(c)) {
			t.Errorf("%s: %d bytes, want %d of %c", what, len(p), most, c)
		}
	}
	check("input", r.Input, 'i')
	check("progress", r.Progress, 'p')
	check("operation's input", r.Operations[0].Input, '1')
	check("operation's result", r.Operations[0].Result, '2')
	check("operation's details", r.Operations[0].Details, '3')
	check("event", r.Messages[0].Payload, 'e')
	check("kept event", b.load("b").Messages[0].Payload, 'k')
	b.commit(&lambdabiz.Commit{Run: &ref, Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded, Result: large('r')}})
	check("result", b.load("a").Result, 'r')
	b.integrity()
}

// A commit may have any number of operations: each statement takes as many as the driver has memory for, and keeps
// nothing of them.
func TestCommitOfManyLargeOperations(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ref := b.start("a").Run
	if err := b.LimitMemory(32 << 20); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{4 << 20, 1 << 20, 300 << 10, 100 << 10, 10} {
		c := &lambdabiz.Commit{Run: &ref}
		for n := range int64(min(200, 100<<20/size)) {
			o := b.operation(n + 1)
			o.Input = bytes.Repeat([]byte{byte(n)}, size)
			c.Operations = append(c.Operations, o)
		}
		b.commit(c)
		for i, o := range b.load("a").Operations[:len(c.Operations)] {
			if !bytes.Equal(o.Input, c.Operations[i].Input) {
				t.Fatalf("operation %d of %d bytes has another input", i, size)
			}
		}
	}
	b.integrity()
	b.start("later")
}

// The store takes the largest payloads that it promises, all in one snapshot.
func TestLargestSnapshot(t *testing.T) {
	t.Parallel()
	s, err := sqlite.OpenStore(filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	most := 16 << 20
	if underRace {
		most >>= 4
	}
	large := func(c byte) lambdabiz.Payload { return bytes.Repeat([]byte{c}, most) }
	want := &lambdabiz.Snapshot{Record: lambdabiz.Record{
		RunInfo: lambdabiz.RunInfo{
			ID: "a", RunID: "a1", Name: "Order", ScheduledAt: epoch, Input: large('i'), Result: large('r'), Progress: large('p'),
		},
		Operations: []lambdabiz.Operation{
			{Number: 1, ID: "one", Input: large('1'), Result: large('2'), Details: large('3')},
			{Number: 2, ID: "two", Input: large('4'), Result: large('5'), Details: large('6')},
		},
	}}
	for n := range int64(4) {
		want.Messages = append(want.Messages, lambdabiz.Message{Number: n + 1, Kind: lambdabiz.MessageEvent, Payload: large('m')})
	}
	if err := s.Put(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	got, err := s.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range want.Operations {
		if !bytes.Equal(got.Operations[i].Input, o.Input) || !bytes.Equal(got.Operations[i].Details, o.Details) {
			t.Errorf("operation %d has other payloads", i)
		}
	}
	if !bytes.Equal(got.Result, want.Result) || len(got.Messages) != 4 || !bytes.Equal(got.Messages[3].Payload, want.Messages[3].Payload) {
		t.Error("the run has other payloads")
	}
}

// unlimited is a backend that does not say how much it can take.
type unlimited struct{ lambdabiz.Backend }

// Describe names no limit.
func (u unlimited) Describe() lambdabiz.Description {
	d := u.Backend.Describe()
	d.MaxPayloadBytes = 0
	return d
}

// overTheLimit asks for payloads of the largest size and of one byte more, everywhere. It returns what is wrong.
func overTheLimit(t *testing.T, backend lambdabiz.Backend, most int) (taken, refused int, complaint string) {
	t.Helper()
	echo := lambdabiz.Define("Echo", func(_ lambdabiz.Context, in string) (string, error) { return in, nil })
	wait := lambdabiz.Define("Wait", func(o lambdabiz.Context, _ int) (int, error) {
		text, err := lambdabiz.WaitForEvent[string](o, "text")
		return len(text), errors.Join(err, lambdabiz.SetProgress(o, text))
	})
	c := lambdabiz.Config{MaxPayloadBytes: most, Logger: slog.New(slog.DiscardHandler)}
	if own := backend.Describe().Name == "sqlite"; own {
		c.MaxPayloadBytes = 1 << 30 // the backend's own limit counts
	}
	e, err := lambdabiz.New(backend, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Register(echo, wait); err != nil {
		t.Fatal(err)
	}
	err = e.RunWhile(t.Context(), func(ctx context.Context) error {
		for _, size := range []int{most, most + 1} {
			text := strings.Repeat("x", size-2) // its JSON has two quotes more
			id := fmt.Sprint("echo-", size)
			run, err := lambdabiz.Start(ctx, e, echo, id, text)
			if err == nil {
				var got string
				if got, err = run.Result(ctx); len(got) != len(text) && err == nil {
					err = fmt.Errorf("a result of %d bytes", len(got))
				}
			}
			if _, other := lambdabiz.Start(ctx, e, wait, "wait-"+id, 0); other != nil {
				return other
			}
			raised := e.RaiseEvent(ctx, "wait-"+id, "text", text)
			if raised == nil {
				_, raised = lambdabiz.Get(e, wait, "wait-"+id).Result(ctx)
			}
			for what, err := range map[string]error{"start": err, "event": raised} {
				switch {
				case size > most && !errors.Is(err, lambdabiz.ErrTooLarge):
					complaint = fmt.Sprintf("%s of %d bytes, the limit is %d: %v", what, size, most, err)
				case size > most:
					refused++
				case err != nil:
					return fmt.Errorf("%s of %d bytes: %w", what, size, err)
				default:
					taken++
				}
			}
		}
		return nil
	})
	if err != nil && complaint == "" {
		complaint = err.Error()
	}
	return taken, refused, complaint
}

// The largest payload goes all the way, and one byte more is refused at the door. An orchestration may have any
// number of large operations, and small ones beside it end. In memory all is as large as the engine is told.
func TestSizesUpToTheLimitsAndBeyond(t *testing.T) {
	t.Parallel()
	tasks, size := 80, 256<<10
	if campaign.Rounds(t, 1, 1000) > 1 {
		tasks, size = 300, 1<<20-2
	}
	b := setup(t)
	if err := b.LimitMemory(int64(20<<20 + 16*size)); err != nil {
		t.Fatal(err)
	}
	inMemory := memory.New()
	var taken, refused, small int
	for _, home := range []struct {
		wide, limited lambdabiz.Backend
		most          int
	}{{b.Backend, setup(t).Backend, b.Describe().MaxPayloadBytes}, {inMemory, inMemory, 4 << 20}} {
		fits, beyond, complaint := overTheLimit(t, home.limited, home.most)
		if complaint != "" {
			t.Error(complaint)
		}
		beside, err := wideMap(t, home.wide, tasks, size)
		if err != nil {
			t.Error(err)
		}
		taken, refused, small = taken+fits, refused+beyond, small+beside
	}
	campaign.Report(t, "F46", []campaign.Count{
		{What: "largest payloads taken", N: taken}, {What: "larger ones refused", N: refused},
		{What: "large tasks of one orchestration", N: tasks}, {What: "small orchestrations beside it", N: small},
	})
}

// wideMap runs one orchestration over tasks with large inputs, results and heartbeats, and small ones beside it.
func wideMap(t *testing.T, b lambdabiz.Backend, tasks, size int) (small int, err error) {
	t.Helper()
	blob := lambdabiz.NewTask("Blob", func(ctx context.Context, in string) (string, error) {
		return in, lambdabiz.Heartbeat(ctx, in)
	})
	wide := lambdabiz.Define("Wide", func(o lambdabiz.Context, n int) (int, error) {
		items := make([]int, n)
		for i := range items {
			items[i] = i
		}
		got, err := lambdabiz.Map(o, "all", items, strconv.Itoa, func(o lambdabiz.Context, i int) (string, error) {
			return lambdabiz.Call(o, "blob", blob, strings.Repeat(string(rune('a'+i%26)), size))
		})
		sum := 0
		for _, s := range got {
			sum += len(s)
		}
		return sum, err
	})
	one := lambdabiz.Define("Small", func(o lambdabiz.Context, n int) (int, error) {
		return lambdabiz.Step(o, "s", func(context.Context) (int, error) { return n, nil })
	})
	e, err := lambdabiz.New(b, lambdabiz.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return 0, err
	}
	if err := e.Register(blob, wide, one); err != nil {
		return 0, err
	}
	err = e.RunWhile(t.Context(), func(ctx context.Context) error {
		run, err := lambdabiz.Start(ctx, e, wide, "wide", tasks)
		if err != nil {
			return err
		}
		for ; small < 20; small++ {
			other, err := lambdabiz.Start(ctx, e, one, fmt.Sprint("small-", small), small)
			if err != nil {
				return err
			}
			if _, err := other.Result(ctx); err != nil {
				return err
			}
		}
		sum, err := run.Result(ctx)
		if err == nil && sum != tasks*size {
			err = fmt.Errorf("the results have %d bytes, want %d", sum, tasks*size)
		}
		return err
	})
	return small, err
}

// Without the limit at the door something is taken that is larger than what is promised.
func TestSabotageNoLimitAtTheDoor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, _, complaint := overTheLimit(t, unlimited{b.Backend}, 1<<20)
	campaign.Red(t, "F46", "the limit of a payload", complaint)
}
