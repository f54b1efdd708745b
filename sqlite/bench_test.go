package sqlite_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// limit measures one-row commits on a connection beside the backend's, in slices that alternate with
// what is measured: the machine is shared, and only the ratio says something.
type limit struct {
	insert *sqlite3.Stmt
	spent  time.Duration
	rows   int
}

func newLimit(b *testing.B) *limit {
	b.Helper()
	db, err := sqlite3.Open("file:" + filepath.Join(b.TempDir(), "limit.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	if err := db.Exec(`PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000;
		CREATE TABLE bare (no INTEGER PRIMARY KEY, payload BLOB)`); err != nil {
		b.Fatal(err)
	}
	insert, _, err := db.Prepare(`INSERT INTO bare (payload) VALUES (?)`)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = insert.Close() })
	return &limit{insert: insert}
}

var barePayload = make([]byte, 100)

// slice inserts rows for some milliseconds.
func (l *limit) slice(b *testing.B) {
	b.StopTimer()
	defer b.StartTimer()
	begin := time.Now()
	for time.Since(begin) < 20*time.Millisecond {
		if err := l.insert.BindBlob(1, barePayload); err != nil {
			b.Fatal(err)
		}
		if err := l.insert.Exec(); err != nil {
			b.Fatal(err)
		}
		l.rows++
	}
	l.spent += time.Since(begin)
}

// report gives how many of the things measured fit into one bare insert.
func (l *limit) report(b *testing.B, each int) {
	bare := float64(l.spent) / float64(l.rows)
	measured := float64(b.Elapsed()) / float64(b.N*each)
	b.ReportMetric(bare/measured, "xbare")
	b.ReportMetric(1e9/bare, "bare/s")
	b.ReportMetric(1e9/measured, "each/s")
}

const sliceEvery = 64

func BenchmarkCommitOne(b *testing.B) {
	s, l := setup(b), newLimit(b)
	ref := s.start("one").Run
	b.ResetTimer()
	for i := range b.N {
		if i%sliceEvery == 0 {
			l.slice(b)
		}
		s.commit(&lambdabiz.Commit{
			Run: &ref, Worker: s.worker, Operations: []lambdabiz.Operation{s.operation(int64(i + 1))},
		})
	}
	l.report(b, 1)
}

func BenchmarkStart(b *testing.B) {
	s, l := setup(b), newLimit(b)
	b.ResetTimer()
	for i := range b.N {
		if i%sliceEvery == 0 {
			l.slice(b)
		}
		s.start(fmt.Sprintf("order-%d", i))
	}
	l.report(b, 1)
}

// BenchmarkSequence is the six commits of a five-task sequence, one after the other.
func BenchmarkSequence(b *testing.B) {
	s, l := setup(b), newLimit(b)
	b.ResetTimer()
	for i := range b.N {
		if i%16 == 0 {
			l.slice(b)
		}
		ref := s.start(fmt.Sprintf("order-%d", i)).Run
		for n := range int64(4) {
			s.commit(&lambdabiz.Commit{Run: &ref, Worker: s.worker, Operations: []lambdabiz.Operation{s.operation(n + 1)}})
		}
		s.commit(s.completion(&ref))
	}
	l.report(b, 6)
}

func (b *bundle) completion(ref *lambdabiz.RunRef) *lambdabiz.Commit {
	return &lambdabiz.Commit{
		Run: ref, Worker: b.worker, Conditional: true, Operations: []lambdabiz.Operation{b.operation(5)},
		Close: &lambdabiz.Close{Status: lambdabiz.StatusSucceeded, Result: lambdabiz.Payload(`{"result":100}`)},
	}
}

// BenchmarkCommitBatch is five-task sequences, 256 in flight: what is counted is orchestrations.
func BenchmarkCommitBatch(b *testing.B) {
	s, l := setup(b), newLimit(b)
	const flight = 256
	b.ResetTimer()
	for i := range b.N {
		if i%4 == 0 {
			l.slice(b)
		}
		s.flight(i, flight)
	}
	l.report(b, flight)
	b.StopTimer()
	b.ReportMetric(float64(s.bytes())/float64(b.N*flight), "disk-B/each")
}

// flight runs as many sequences in step.
func (b *bundle) flight(round, flight int) {
	batch := make([]*lambdabiz.Commit, flight)
	refs := make([]lambdabiz.RunRef, flight)
	commit := func(build func(i int) *lambdabiz.Commit) []lambdabiz.Verdict {
		for i := range batch {
			batch[i] = build(i)
			batch[i].At = b.now
		}
		verdicts, err := b.Commit(b.t.Context(), batch)
		if err != nil {
			b.t.Fatal(err)
		}
		return verdicts
	}
	verdicts := commit(func(i int) *lambdabiz.Commit {
		id := fmt.Sprintf("order-%d", round*flight+i)
		return &lambdabiz.Commit{Worker: b.worker, Starts: []lambdabiz.RunStart{{
			ID: id, RunID: fmt.Sprintf("%026d", round*flight+i), Name: "Order", Claim: true,
			Input: lambdabiz.Payload(`{"number1":15,"number2":5}`),
		}}}
	})
	for i := range refs {
		refs[i] = verdicts[i].Starts[0].Run
	}
	for n := range int64(4) {
		commit(func(i int) *lambdabiz.Commit {
			return &lambdabiz.Commit{
				Run: &refs[i], Worker: b.worker, Operations: []lambdabiz.Operation{b.operation(n + 1)},
			}
		})
	}
	for _, v := range commit(func(i int) *lambdabiz.Commit { return b.completion(&refs[i]) }) {
		if v.Err != nil {
			b.t.Fatal(v.Err)
		}
	}
}

// bytes is the size of the database without its log.
func (b *bundle) bytes() int64 {
	b.t.Helper()
	db, err := sqlite3.Open("file:" + b.path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer db.Close()
	pages, _, err := db.Prepare(`SELECT page_count * page_size FROM pragma_page_count, pragma_page_size`)
	if err != nil {
		b.t.Fatal(err)
	}
	defer pages.Close()
	pages.Step()
	return pages.ColumnInt64(0)
}

func BenchmarkClaim(b *testing.B) {
	s, l := setup(b), newLimit(b)
	const limit = 64
	b.ResetTimer()
	for i := range b.N {
		b.StopTimer()
		batch := make([]*lambdabiz.Commit, limit)
		for j := range batch {
			id := fmt.Sprintf("order-%d", i*limit+j)
			batch[j] = &lambdabiz.Commit{At: s.now, Starts: []lambdabiz.RunStart{{ID: id, RunID: id, Name: "Order"}}}
		}
		if _, err := s.Commit(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if i%16 == 0 {
			l.slice(b)
		}
		if got := len(s.claim(limit, 0).Runs); got != limit {
			b.Fatalf("claimed %d", got)
		}
	}
	l.report(b, limit)
}

// BenchmarkClaimIdle is a claim that finds nothing and knows it.
func BenchmarkClaimIdle(b *testing.B) {
	s := setup(b)
	for b.Loop() {
		s.claim(64, 0)
	}
}
