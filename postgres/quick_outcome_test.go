package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/postgres"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// What happens to the next thing that is sent.
const (
	arrives int32 = iota
	isLost
	itsAnswerIsLost
	comesLate
	comesVeryLate // and from then on nobody gets through
	outOfReach
)

// lossy is a connection that breaks: what is sent gets lost, or the answer to it. Or it lies somewhere on the way, and comes
// when nobody thinks of it any more.
type lossy struct {
	net.Conn

	next   *atomic.Int32 // of all connections
	broken int32         // what has happened here
	late   chan *lossy   // gets it when it is closed and something is still on the way
	onWay  []byte
}

// notBatch is more than what else is sent here: the pool tries a connection that it has not used for a while, and there are
// notices.
const notBatch = 500

func (l *lossy) Write(p []byte) (int, error) {
	if l.broken == arrives && len(p) > notBatch {
		if l.broken = l.next.Swap(arrives); l.broken == comesVeryLate {
			l.broken = comesLate
			l.next.Store(outOfReach)
		}
	}
	switch l.broken {
	case comesLate:
		l.onWay = append(l.onWay, p...)
		return len(p), nil
	case isLost:
		return len(p), nil
	}
	return l.Conn.Write(p)
}

func (l *lossy) Close() error {
	if l.broken == comesLate {
		select {
		case l.late <- l:
		default: // once more
		}
		return nil
	}
	return l.Conn.Close()
}

// arrive lets what was on the way come to the server, and waits until that is through with it.
func (l *lossy) arrive(t testing.TB) {
	t.Helper()
	defer func() { _ = l.Conn.Close() }()
	if _, err := l.Conn.Write(l.onWay); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 1<<16)
	for {
		n, err := l.Conn.Read(answer)
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 && bytes.HasSuffix(answer[:n-1], readyForQuery[:5]) { // in whatever state it is
			return
		}
	}
}

// readyForQuery is how the answer to a transaction ends.
var readyForQuery = []byte{'Z', 0, 0, 0, 5, 'I'}

func (l *lossy) Read(p []byte) (int, error) {
	for l.broken == itsAnswerIsLost {
		n, err := l.Conn.Read(p)
		if err != nil || bytes.HasSuffix(p[:n], readyForQuery) {
			break // the server is through with it
		}
	}
	if l.broken != arrives {
		return 0, net.ErrClosed
	}
	return l.Conn.Read(p)
}

// lossyBundle is a bundle on one connection, which may break.
func lossyBundle(t *testing.T) (b *bundle, next *atomic.Int32, late chan *lossy) {
	t.Helper()
	url := database(t)
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = 1
	next, late = &atomic.Int32{}, make(chan *lossy, 1)
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if next.Load() == outOfReach {
			return nil, net.ErrClosed
		}
		conn, err := dial(ctx, network, address)
		return &lossy{Conn: conn, next: next, late: late}, err
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	backend, err := postgres.New(pool, postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = backend.Close() })
	b = &bundle{Backend: backend, t: t, url: url, now: moment}
	b.worker = b.join("v1", "Order")
	return b, next, late
}

// everyKind is a batch with all that can be written without a look at the runs, and some that is refused.
func (b *bundle) everyKind(prefix string) []*lambdabiz.Commit {
	b.t.Helper()
	var refs []lambdabiz.RunRef
	for _, id := range []string{"new", "again", "ends", "leaves", "half", "waits", "consumes", "stale", "fenced"} {
		refs = append(refs, b.start(prefix+id))
	}
	ops := []lambdabiz.Operation{operation(1)}
	stored := operation(1)
	stored.Status = lambdabiz.StatusStarted
	b.commit(&lambdabiz.Commit{Run: &refs[1], Worker: b.worker, Operations: []lambdabiz.Operation{stored}})
	for _, id := range []string{"consumes", "stale"} {
		b.commit(&lambdabiz.Commit{Raises: []lambdabiz.Raise{{ID: prefix + id, Name: "e"}}})
	}
	fenced := refs[8]
	fenced.Fence++
	release := &lambdabiz.Release{WakeAt: b.now.Add(time.Hour)}
	batch := []*lambdabiz.Commit{
		{Run: &refs[0], Operations: ops},
		{Run: &refs[1], Operations: ops},
		{Run: &refs[2], Operations: ops, Close: &lambdabiz.Close{Status: lambdabiz.StatusFailed}},
		{Run: &refs[3], Operations: ops, Release: release, Conditional: true},
		{Run: &refs[4], Progress: lambdabiz.Payload(`"half"`)},
		{Run: &refs[5], Operations: ops, Conditional: true},
		{Run: &refs[6], Consumed: []int64{1}, Seen: 1},
		{Run: &refs[7], Operations: ops, Release: release, Conditional: true},
		{Run: &fenced, Operations: ops},
		{Starts: []lambdabiz.RunStart{startOf(prefix + "begins")}},
	}
	for _, c := range batch {
		c.Worker, c.At = b.worker, b.now
	}
	return batch
}

// The connection breaks while a batch is written in one round trip: with the lane in hand it is known what became of each
// commit of it.
func TestQuickCommitsWithoutAnAnswerAreFound(t *testing.T) {
	onlyOnPostgreSQL(t)
	t.Parallel()
	for name, happens := range map[string]int32{"applied": itsAnswerIsLost, "not applied": isLost} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, next, _ := lossyBundle(t)
			b.commitAll(b.everyKind("first ")...) // the statements are prepared
			batch := b.everyKind("")
			next.Store(happens)
			verdicts, err := b.Commit(t.Context(), batch)
			if next.Load() != arrives {
				t.Fatal("nothing was lost")
			}
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range verdicts {
				want := map[int]error{7: lambdabiz.ErrStale, 8: lambdabiz.ErrFenced}[i]
				if !errors.Is(v.Err, want) || want == nil && v.Err != nil {
					t.Errorf("commit %d: %v, want %v", i, v.Err, want)
				}
			}
			if s := verdicts[9].Starts[0]; !s.Created || s.Run.Fence != 1 {
				t.Errorf("the start: %+v", s)
			}
			for id, n := range map[string]int{"new": 1, "again": 1, "ends": 1, "leaves": 1, "waits": 1, "stale": 0, "fenced": 0} {
				r := b.load(id)
				if len(r.Operations) != n || n > 0 && r.Operations[0].Status != lambdabiz.StatusSucceeded {
					t.Errorf("%s has the operations %+v", id, r.Operations)
				}
			}
			if r := b.load("leaves"); r.Worker != 0 || !r.WakeAt.Equal(b.now.Add(time.Hour)) {
				t.Errorf("it has not left: %+v", r.RunInfo)
			}
			if r := b.load("half"); string(r.Progress) != `"half"` {
				t.Errorf("the progress is %s", r.Progress)
			}
			if r := b.load("consumes"); len(r.Messages) != 0 {
				t.Errorf("the messages are %+v", r.Messages)
			}
			if n := b.count("SELECT count(*) FROM lambdabiz.runs WHERE id = 'begins'"); n != 1 {
				t.Errorf("%d runs have begun", n)
			}
		})
	}
}

// A batch that is written in one round trip lies on its way, in a server that hangs or a pooler, until its sender has given it
// up and gone on. When it comes at last it changes nothing.
func TestAQuickBatchThatComesLateChangesNothing(t *testing.T) {
	onlyOnPostgreSQL(t)
	t.Parallel()
	for name, happens := range lateness {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, next, late := lossyBundle(t)
			if complaint := b.overtaken(next, late, happens); complaint != "" {
				t.Error(complaint)
			}
		})
	}
}

func TestSabotageReadingBackWithoutAWitness(t *testing.T) {
	onlyOnPostgreSQL(t)
	t.Parallel()
	for name, happens := range lateness {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, next, late := lossyBundle(t)
			b.PutNoWitness()
			campaign.Red(t, "F25", "the witness in the place of one that has not come", b.overtaken(next, late, happens))
		})
	}
}

var lateness = map[string]int32{"its sender has looked for it": comesLate, "nobody could look for it": comesVeryLate}

// overtaken lets a batch come after one that its sender has written since, and says what it has changed.
func (b *bundle) overtaken(next *atomic.Int32, late chan *lossy, happens int32) string {
	b.t.Helper()
	ref := b.start("a")
	commit := func(status lambdabiz.Status, progress string) *lambdabiz.Commit {
		o := operation(1)
		o.Status = status
		return &lambdabiz.Commit{
			Run: &ref, Worker: b.worker, At: b.now, Operations: []lambdabiz.Operation{o}, Progress: lambdabiz.Payload(progress),
		}
	}
	write := func(status lambdabiz.Status, progress string) { b.commit(commit(status, progress)) }
	write(lambdabiz.StatusScheduled, `"none"`)
	write(lambdabiz.StatusScheduled, `"none"`) // the statements are prepared
	next.Store(happens)
	if happens == comesVeryLate {
		b.SetReadBackPatience(time.Millisecond)
		_, err := b.Commit(b.t.Context(), []*lambdabiz.Commit{commit(lambdabiz.StatusStarted, `"half"`)})
		wantErr(b.t, err, lambdabiz.ErrOutcomeUnknown)
		b.SetReadBackPatience(time.Minute)
		next.Store(arrives)
	}
	write(lambdabiz.StatusStarted, `"half"`)
	write(lambdabiz.StatusSucceeded, `"all"`)
	(<-late).arrive(b.t)
	if r := b.load("a"); r.Operations[0].Status != lambdabiz.StatusSucceeded || string(r.Progress) != `"all"` {
		return fmt.Sprintf("a late batch has made a recorded operation %v again, and the progress %s", r.Operations[0].Status, r.Progress)
	}
	return ""
}
