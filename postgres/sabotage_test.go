package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
	standin "github.com/lambdabiz/lambdabiz/internal/standins/postgres"
	"github.com/lambdabiz/lambdabiz/postgres"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// Without the lock of its lane a batch is guarded by its fences alone: a worker is removed between the look and the commit.
func TestSabotageGuardWithoutTheLaneLock(t *testing.T) {
	t.Parallel()
	campaign.Red(t, "F5", "the lock of the lane", removedOnTheWay(t, func(b *bundle) { b.start("b") }, (*postgres.Backend).WithoutLaneLock))
}

// Two senders overtake each other: who raised first commits last. Both events arrive.
func TestEventsThatOvertakeEachOtherAllArrive(t *testing.T) {
	t.Parallel()
	if complaint := overtaken(t, func(arrived map[string]int64) map[string]int64 { return arrived }); complaint != "" {
		t.Error(complaint)
	}
}

// The same with numbers of a sequence, which are given before the commit, and a claim that asks for what is above the last one
// that it has seen.
func TestSabotageSequenceAsMessageNumber(t *testing.T) {
	t.Parallel()
	sequence, through := map[string]int64{"slow": 1, "fast": 2}, int64(0)
	campaign.Red(t, "F4", "the numbers of messages within their run", overtaken(t, func(arrived map[string]int64) map[string]int64 {
		seen, last := map[string]int64{}, through
		for id := range arrived {
			if sequence[id] > through {
				seen[id] = sequence[id]
				last = max(last, sequence[id])
			}
		}
		through = last
		return seen
	}))
}

// overtaken raises an event that is committed after a later one was seen, and says which does not arrive. A claim gets what the
// function makes of the messages in it, by run.
func overtaken(t *testing.T, claim func(arrived map[string]int64) map[string]int64) string {
	t.Helper()
	b := setup(t)
	b.start("slow")
	b.start("fast")
	sender := open(t, b.url)
	arrived, after := map[string]bool{}, int64(0)
	look := func() {
		claims := b.claim(1, after)
		after = claims.Through
		got := map[string]int64{}
		for _, a := range claims.Arrived {
			got[a.Ref.ID] = a.Messages[0].Number
		}
		for id := range claim(got) {
			arrived[id] = true
		}
	}
	sender.BeforeCommit(func(*pgx.Conn) {
		b.commit(&lambdabiz.Commit{Raises: []lambdabiz.Raise{{ID: "fast", Name: "e"}}})
		look()
	})
	first := &lambdabiz.Commit{At: b.now, Raises: []lambdabiz.Raise{{ID: "slow", Name: "e"}}}
	if _, err := sender.Commit(t.Context(), []*lambdabiz.Commit{first}); err != nil {
		t.Fatal(err)
	}
	look()
	if !arrived["slow"] || !arrived["fast"] {
		return fmt.Sprintf("of two events arrived %v", arrived)
	}
	return ""
}

// A notice is a hint: with a connection that hears nothing a worker finds what there is to do all the same.
func TestWorkIsFoundWithoutANotice(t *testing.T) {
	onlyOnPostgreSQL(t)
	t.Parallel()
	if complaint := unheard(t, 50*time.Millisecond, time.Minute); complaint != "" {
		t.Error(complaint)
	}
}

func TestSabotageNoticeAsTheOnlyWakeUp(t *testing.T) {
	onlyOnPostgreSQL(t)
	t.Parallel()
	campaign.Red(t, "F27", "the asking", unheard(t, -1, 3*time.Second))
}

// unheard starts an orchestration for a worker whose connection for notices is half open, and says whether it was not found.
func unheard(t *testing.T, poll, patience time.Duration) string {
	t.Helper()
	server := standin.Start(t, standin.Config{Quick: true})
	proxy := server.Proxy(t)
	b := setupAt(t, proxy.URL("postgres"))
	b.SetPatience(2*time.Second, time.Second)
	<-b.Wake() // it listens, for the engine too
	engine, err := lambdabiz.New(b.Backend, lambdabiz.Config{PollInterval: poll, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.Register(addOne); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}()
	other, err := lambdabiz.New(open(t, server.URL("postgres")), lambdabiz.Config{PollInterval: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	first, err := lambdabiz.Start(t.Context(), other, addOne, "heard", 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Result(t.Context()); err != nil { // it works
		t.Fatal(err)
	}
	proxy.Strand() // what listens, too
	run, err := lambdabiz.Start(t.Context(), other, addOne, "unheard", 1)
	if err != nil {
		t.Fatal(err)
	}
	within, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	if _, err := run.Result(within); err != nil {
		return fmt.Sprintf("what another process has started is not found: %v", err)
	}
	return ""
}

// Numbers of runs and workers are made by processes. After a fail-over that has lost some they do not come again: who has a run
// in memory that is lost does not write into another one.
func TestNumbersDoNotComeAgainAfterAFailOver(t *testing.T) {
	t.Parallel()
	if complaint := mixed(t, false); complaint != "" {
		t.Error(complaint)
	}
}

func TestSabotageNumbersOfASequence(t *testing.T) {
	t.Parallel()
	campaign.Red(t, "F25", "the numbers that processes make", mixed(t, true))
}

// mixed starts a run that is lost by a fail-over, and another one afterwards, and says whether the process that has the first one
// in memory writes into the second.
func mixed(t *testing.T, sequence bool) string {
	t.Helper()
	c := setupCluster(t, standin.Asynchronous)
	later := open(t, c.url)
	next := func() int64 { return answer[int64](t, c.url, "SELECT nextval('lambdabiz.numbers')") }
	if sequence {
		execute(t, c.primary.URL("postgres"), "CREATE SEQUENCE lambdabiz.numbers")
		next()
		c.MakeNumbers(next)
		later.MakeNumbers(next)
	}
	c.fallBehind()
	if sequence {
		for range 40 { // the log is ahead of a sequence by 32
			next()
		}
	}
	c.worker = c.join("v1", "Order")
	lost := c.start("lost")
	c.failBack()
	if sequence {
		for last := next(); last < c.worker-1; {
			last = next()
		}
	}
	worker, err := later.Join(t.Context(), lambdabiz.WorkerInfo{Names: []string{"Order"}, Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := later.Commit(t.Context(), []*lambdabiz.Commit{{
		Worker: worker, At: c.now, Starts: []lambdabiz.RunStart{startOf("found")},
	}}); err != nil || v[0].Err != nil || v[0].Starts[0].Err != nil {
		t.Fatal(err, v)
	}
	c.commitAll(&lambdabiz.Commit{Run: &lost, Worker: c.worker, Operations: []lambdabiz.Operation{operation(1)}})
	if n := len(c.load("found").Operations); n != 0 {
		return fmt.Sprintf("I2: what belongs to a run that is lost was written into another one: %d operations", n)
	}
	return ""
}

// Without the look for what was lost a worker goes on from what it has in memory.
func TestSabotageNoLookForWhatAFailOverHasLost(t *testing.T) {
	t.Parallel()
	c := setupCluster(t, standin.Asynchronous)
	c.WithoutLooksForLosses()
	ref := c.start("a")
	c.fallBehind()
	c.commit(&lambdabiz.Commit{Run: &ref, Worker: c.worker, Operations: []lambdabiz.Operation{operation(1)}})
	c.failBack()
	c.commitAll(&lambdabiz.Commit{Run: &ref, Worker: c.worker, Operations: []lambdabiz.Operation{operation(2)}})
	complaint := ""
	if all := c.load("a").Operations; len(all) == 1 && all[0].Number == 2 {
		complaint = "I8: the record has operation 2, and not operation 1 before it"
	}
	campaign.Red(t, "F25", "the look for what was lost", complaint)
}

// Without timelines an old primary that comes back is taken for the primary.
func TestSabotageTimelinesNotRead(t *testing.T) {
	t.Parallel()
	c := setupCluster(t, standin.Asynchronous)
	c.WithoutTimelines()
	c.start("before")
	c.fallBehind()
	c.failBack()
	c.start("between")
	if err := c.standby.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	cut(t, c.primary)
	complaint := ""
	start := &lambdabiz.Commit{At: c.now, Starts: []lambdabiz.RunStart{{ID: "after", RunID: "r", Name: "Order"}}}
	_, err := c.Commit(t.Context(), []*lambdabiz.Commit{start})
	if err != nil || !answer[bool](t, c.primary.URL("postgres"), isThere, "after") {
		complaint = "I2: an acknowledged start is not on the primary"
	}
	campaign.Red(t, "F25", "the timelines", complaint)
}

// Without a limit for idle transactions nobody takes over from a process that is frozen within one.
func TestSabotageIdleTransactionsWithoutALimit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.SetPatience(time.Minute, 0)
	other := open(t, b.url)
	ref := b.start("a")
	complaint := ""
	b.BeforeCommit(func(*pgx.Conn) {
		if err := other.Leave(context.Background(), b.worker, 0); err != nil && complaint == "" {
			complaint = "nobody can take over: " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
	})
	b.commitAll(&lambdabiz.Commit{Run: &ref, Worker: b.worker, Operations: []lambdabiz.Operation{operation(1)}})
	campaign.Red(t, "F5", "the limit of idle transactions", complaint)
}
