package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// The statement that writes runs without a look at them first does what the rules say, whatever the runs are.
func TestQuickCommitsDoWhatTheRulesSay(t *testing.T) {
	onlyOnPostgreSQL(t)
	t.Parallel()
	blocked := &lambdabiz.Blocked{Reason: "a mistake", Version: "v1", Times: 1}
	failure := &lambdabiz.Failure{Message: "broken"}
	for name, what := range map[string]struct {
		commit lambdabiz.Commit
		rule   func(h rules.Head, c *lambdabiz.Commit) rules.Head
	}{
		"an end": {
			lambdabiz.Commit{Close: &lambdabiz.Close{Status: lambdabiz.StatusFailed, Error: failure, Orphans: []string{"o"}}},
			func(h rules.Head, c *lambdabiz.Commit) rules.Head { return rules.Close(h, c.Close, c.At).Head },
		},
		"a release": {lambdabiz.Commit{Conditional: true, Release: &lambdabiz.Release{}}, released},
		"a release until later": {
			lambdabiz.Commit{Conditional: true, Release: &lambdabiz.Release{WakeAt: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}}, released,
		},
		"a release of what is blocked": {
			lambdabiz.Commit{Conditional: true, Release: &lambdabiz.Release{Blocked: blocked, Version: "v1"}}, released,
		},
		"progress": {
			lambdabiz.Commit{Progress: lambdabiz.Payload(`"half"`)},
			func(h rules.Head, _ *lambdabiz.Commit) rules.Head { return h },
		},
		"the first sign of life": {
			lambdabiz.Commit{Started: true},
			func(h rules.Head, _ *lambdabiz.Commit) rules.Head { h, _ = rules.Started(h); return h },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			for id, ref := range b.heldRuns() {
				before := b.head(id)
				b.LookAtNothing(true)
				c := what.commit
				c.Run, c.Worker, c.At, c.Seen = &ref, b.worker, b.now.Add(time.Minute), 9
				c.Operations = []lambdabiz.Operation{operation(1), operation(2)}
				b.commit(&c)
				b.LookAtNothing(false)
				if got, want := b.head(id), what.rule(before, &c); !reflect.DeepEqual(got, want) {
					t.Errorf("%s:\n got %+v\nwant %+v", id, got, want)
				}
				record := b.load(id)
				if len(record.Operations) != 2 {
					t.Errorf("%s has %d operations", id, len(record.Operations))
				}
				if c.Close != nil && (record.Error == nil || record.Error.Message != "broken" || !record.EndedAt.Equal(c.At) ||
					len(record.Orphans) != 1) {
					t.Errorf("%s ended as %+v", id, record.RunInfo)
				}
				if c.Release != nil && c.Release.Blocked != nil && (record.Blocked == nil || record.Version != "v1") {
					t.Errorf("%s was released as %+v", id, record.RunInfo)
				}
				if c.Started && record.StartedAt.IsZero() || string(record.Progress) != string(c.Progress) {
					t.Errorf("%s is %+v", id, record.RunInfo)
				}
			}
		})
	}
}

func released(h rules.Head, c *lambdabiz.Commit) rules.Head {
	return rules.Release(h, c.Release, false)
}

// heldRuns are runs that the worker holds, in many states.
func (b *bundle) heldRuns() map[string]lambdabiz.RunRef {
	b.t.Helper()
	runs := map[string]lambdabiz.RunRef{}
	for id, asked := range map[string][]lambdabiz.ControlKind{
		"held":            nil,
		"held, paused":    {lambdabiz.ControlPause},
		"held, resumed":   {lambdabiz.ControlPause, lambdabiz.ControlResume},
		"held, cancelled": {lambdabiz.ControlCancel},
	} {
		runs[id] = b.start(id)
		for _, kind := range asked {
			b.control(kind, id, "why")
		}
	}
	// One that was claimed after its holder had died, and one that nobody has run yet.
	s := startOf("scheduled")
	s.Claim = false
	b.commit(&lambdabiz.Commit{Starts: []lambdabiz.RunStart{s}})
	dead := b.worker
	b.worker = b.join("v1", "Order")
	runs["crashed"] = b.start("crashed")
	if err := b.Leave(b.t.Context(), b.worker, 0); err != nil {
		b.t.Fatal(err)
	}
	b.worker = dead
	claims := b.claim(10, 0)
	if len(claims.Runs) != 2 {
		b.t.Fatalf("%d runs claimed", len(claims.Runs))
	}
	for _, c := range claims.Runs {
		runs[c.ID] = c.Ref
	}
	return runs
}

// A commit that is refused leaves the others of its batch alone, and nothing of itself.
func TestQuickCommitsAreRefusedAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good, late, stale, again := b.start("good"), b.start("late"), b.start("stale"), b.start("again")
	again.Fence++
	b.commit(&lambdabiz.Commit{Raises: []lambdabiz.Raise{{ID: "stale", Name: "e"}}})
	b.commit(&lambdabiz.Commit{Run: &late, Worker: b.worker, Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded}})
	ops := []lambdabiz.Operation{operation(1)}
	batch := []*lambdabiz.Commit{
		{Run: &late, Worker: b.worker, Operations: ops, Close: &lambdabiz.Close{Status: lambdabiz.StatusFailed}},
		{Run: &good, Worker: b.worker, Operations: ops},
		{Run: &stale, Worker: b.worker, Operations: ops, Conditional: true, Release: &lambdabiz.Release{}, Consumed: []int64{1}},
		{Run: &again, Worker: b.worker, Operations: ops, Progress: lambdabiz.Payload(`"half"`)},
		{Worker: b.worker, Starts: []lambdabiz.RunStart{startOf("good")}},
		{Worker: b.worker, Starts: []lambdabiz.RunStart{startOf("new")}},
	}
	batch[4].Starts[0].RunID, batch[4].Starts[0].Policy = "another", lambdabiz.RejectExisting
	v := b.commitAll(batch...)
	for i, want := range []error{lambdabiz.ErrFenced, nil, lambdabiz.ErrStale, lambdabiz.ErrFenced, nil, nil} {
		if !errors.Is(v[i].Err, want) || want == nil && v[i].Err != nil {
			t.Errorf("commit %d: %v, want %v", i, v[i].Err, want)
		}
	}
	if len(v[2].Messages) != 1 {
		t.Errorf("the stale one has %d messages", len(v[2].Messages))
	}
	wantErr(t, v[4].Starts[0].Err, lambdabiz.ErrExists)
	if !v[5].Starts[0].Created {
		t.Error("the new one is not created")
	}
	for id, n := range map[string]int{"good": 1, "late": 0, "stale": 0, "again": 0} {
		if r := b.load(id); len(r.Operations) != n || len(r.Progress) > 0 {
			t.Errorf("%s has %d operations and the progress %s", id, len(r.Operations), r.Progress)
		}
	}
	if n := len(b.load("stale").Messages); n != 1 {
		t.Errorf("stale has %d messages", n)
	}
	// What was released or has ended by this holder cannot be written by it again.
	r := &lambdabiz.Commit{
		Run: &good, Worker: b.worker, Conditional: true, Operations: []lambdabiz.Operation{operation(2)}, Release: &lambdabiz.Release{},
	}
	b.commit(r)
	r.Operations = []lambdabiz.Operation{operation(3)}
	wantErr(t, b.commitAll(r)[0].Err, lambdabiz.ErrFenced)
	if n := len(b.load("good").Operations); n != 2 {
		t.Errorf("good has %d operations", n)
	}
}

// stuck lets a batch come as far as that it has written an operation of the run a, and holds it there. It returns what lets it go
// on, and what waits for its end; and by which process of the server it is written.
func (b *bundle) stuck() (goOn func(), ended func() []lambdabiz.Verdict, pid uint32) {
	b.t.Helper()
	ctx := context.Background()
	b.SetLockTimeout(0)
	a, x := b.start("a"), b.start("x")
	b.commit(&lambdabiz.Commit{Run: &x, Worker: b.worker, Operations: []lambdabiz.Operation{operation(1)}})
	conn, err := pgx.Connect(ctx, b.url)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close(ctx) })
	users, err := conn.Begin(ctx)
	if err == nil {
		_, err = users.Exec(ctx, "SELECT 1 FROM lambdabiz.operations FOR UPDATE")
	}
	if err != nil {
		b.t.Fatal(err)
	}
	var verdicts []lambdabiz.Verdict
	done := make(chan struct{})
	go func() {
		defer close(done)
		verdicts, err = b.Commit(ctx, []*lambdabiz.Commit{
			{Run: &a, Worker: b.worker, At: b.now, Operations: []lambdabiz.Operation{operation(1)}},
			{Run: &x, Worker: b.worker, At: b.now, Operations: []lambdabiz.Operation{operation(1)}},
		})
	}()
	waitUntilWaitedFor(b.t, b.url, conn.PgConn().PID(), done)
	var writer uint32
	if err := users.QueryRow(ctx, "SELECT pid FROM pg_stat_activity WHERE $1::int = ANY(pg_blocking_pids(pid))",
		conn.PgConn().PID()).Scan(&writer); err != nil {
		b.t.Fatalf("the batch is not stuck: %v", err)
	}
	return func() { _ = users.Rollback(ctx) }, func() []lambdabiz.Verdict {
		<-done
		if err != nil {
			b.t.Fatal(err)
		}
		return verdicts
	}, writer
}

// takenMeanwhile takes a worker's runs away while a batch of its is on its way, and says what of the batch is lost.
func (b *bundle) takenMeanwhile() string {
	b.t.Helper()
	goOn, ended, writer := b.stuck()
	other := open(b.t, b.url)
	other.SetLockTimeout(0)
	next, err := other.Join(b.t.Context(), lambdabiz.WorkerInfo{Names: []string{"Order"}, Version: "v1"})
	if err != nil {
		b.t.Fatal(err)
	}
	left := make(chan struct{})
	var claims lambdabiz.Claims
	go func() {
		defer close(left)
		if err = other.Leave(context.Background(), b.worker, 0); err == nil {
			claims, err = other.Claim(context.Background(), lambdabiz.ClaimRequest{
				Worker: next, Names: []string{"Order"}, Limit: 10, Now: b.now,
			})
		}
	}()
	waitUntilWaitedFor(b.t, b.url, writer, left)
	goOn()
	v := ended()[0]
	<-left
	if err != nil {
		b.t.Fatal(err)
	}
	for _, r := range claims.Runs {
		if r.ID == "a" && v.Err == nil && len(r.Operations) == 0 {
			return "who has the run now does not know of an operation that its holder before was told is on disk"
		}
	}
	return ""
}

func TestWhoeverTakesRunsAwayWaitsForQuickCommits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if complaint := b.takenMeanwhile(); complaint != "" {
		t.Error(complaint)
	}
}

// Where a batch only asks whether the run is still its holder's, and does not lock its lane, the answer may be over before it
// has written.
func TestSabotageQuickCommitWithoutTheLane(t *testing.T) {
	onlyOnPostgreSQL(t)
	t.Parallel()
	b := setup(t)
	b.WithoutLaneLock()
	campaign.Red(t, "F5", "the lock of the lane", b.takenMeanwhile())
}

// terminatedMeanwhile terminates a run and removes it while a batch is on its way that writes it, and says what is left.
func (b *bundle) terminatedMeanwhile() string {
	b.t.Helper()
	goOn, ended, writer := b.stuck()
	other := open(b.t, b.url)
	other.SetLockTimeout(0)
	gone := make(chan struct{})
	var err error
	go func() {
		defer close(gone)
		terminate := &lambdabiz.Commit{At: b.now, Controls: []lambdabiz.Control{{Kind: lambdabiz.ControlTerminate, ID: "a"}}}
		if _, err = other.Commit(context.Background(), []*lambdabiz.Commit{terminate}); err == nil {
			_, err = other.Purge(context.Background(), lambdabiz.PurgeRequest{ID: "a"})
		}
	}()
	waitUntilWaitedFor(b.t, b.url, writer, gone)
	goOn()
	ended()
	<-gone
	if err != nil {
		b.t.Fatal(err)
	}
	if n := b.count("SELECT count(*) FROM lambdabiz.operations WHERE run_no NOT IN (SELECT no FROM lambdabiz.runs)"); n > 0 {
		return fmt.Sprintf("%d operations belong to no run", n)
	}
	return ""
}

func TestWhoeverTerminatesWaitsForQuickCommits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if complaint := b.terminatedMeanwhile(); complaint != "" {
		t.Error(complaint)
	}
}

func TestSabotageTerminationWithoutTheLane(t *testing.T) {
	onlyOnPostgreSQL(t)
	t.Parallel()
	b := setup(t)
	b.WithoutLaneLock()
	campaign.Red(t, "F5", "the lock of the lane", b.terminatedMeanwhile())
}

// Where a transaction sees a snapshot by default, what waits for its lane must not decide by what was there before it waited.
func TestQuickCommitsDecideByWhatIsThereWithinTheirLane(t *testing.T) {
	onlyOnPostgreSQL(t)
	t.Parallel()
	for _, level := range []string{"read committed", "repeatable read", "serializable"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			if complaint := writtenAfter(t, level, false); complaint != "" {
				t.Error(complaint)
			}
		})
	}
}

func TestSabotageIsolationOfTheDatabase(t *testing.T) {
	onlyOnPostgreSQL(t)
	t.Parallel()
	campaign.Red(t, "F5", "the isolation that transactions say themselves", writtenAfter(t, "repeatable read", true))
}

// writtenAfter lets a commit wait for its lane until its run is terminated, in a database with that isolation, and says whether
// it is applied then. Its transactions have it as well if they do not say theirs.
func writtenAfter(t *testing.T, level string, silent bool) (complaint string) {
	t.Helper()
	at := database(t) + "&default_transaction_isolation=" + url.PathEscape(level)
	b, other := setupAt(t, at), open(t, at)
	if silent {
		b.WithoutIsolation()
	}
	b.SetLockTimeout(0)
	ref := b.start("a")
	b.commit(&lambdabiz.Commit{Run: &ref, Worker: b.worker, Operations: []lambdabiz.Operation{operation(1)}})
	var verdicts []lambdabiz.Verdict
	var err error
	done := make(chan struct{})
	other.BeforeCommit(func(conn *pgx.Conn) {
		go func() {
			defer close(done)
			verdicts, err = b.Commit(context.Background(), []*lambdabiz.Commit{
				{Run: &ref, Worker: b.worker, At: b.now, Operations: []lambdabiz.Operation{operation(2)}},
			})
		}()
		waitUntilWaitedFor(t, b.url, conn.PgConn().PID(), done)
	})
	terminate := &lambdabiz.Commit{At: b.now, Controls: []lambdabiz.Control{{Kind: lambdabiz.ControlTerminate, ID: "a"}}}
	if _, err := other.Commit(t.Context(), []*lambdabiz.Commit{terminate}); err != nil {
		t.Fatal(err)
	}
	<-done
	if err != nil {
		t.Fatal(err)
	}
	if n := len(b.load("a").Operations); n != 1 || !errors.Is(verdicts[0].Err, lambdabiz.ErrFenced) {
		return fmt.Sprintf("a commit came after the end of its run: %v, and the run has %d operations", verdicts[0].Err, n)
	}
	return ""
}
