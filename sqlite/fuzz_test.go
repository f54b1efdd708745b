package sqlite_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
)

// vandal changes columns of one file behind a backend's back. Targets of a fuzzer run in one goroutine each.
type vandal struct {
	*bundle
	db *sqlite3.Conn
	mu sync.Mutex
}

func newVandal(f *testing.F) *vandal {
	f.Helper()
	b := setup(f)
	db, err := sqlite3.Open("file:" + b.path)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = db.Close() })
	ref := b.start("run").Run
	b.commit(&lambdabiz.Commit{Run: &ref, Operations: []lambdabiz.Operation{b.operation(1)}, Release: &lambdabiz.Release{}})
	if err := b.raise(lambdabiz.Raise{ID: "run", Name: "E", Payload: lambdabiz.Payload("1")}); err != nil {
		f.Fatal(err)
	}
	return &vandal{bundle: b, db: db}
}

func (v *vandal) set(t *testing.T, statement, text string, number int64) {
	t.Helper()
	s, _, err := v.db.Prepare(statement)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := errors.Join(s.BindText(1, text), s.BindInt64(2, number), s.Exec()); err != nil {
		t.Fatal(err)
	}
}

// A run whose columns are anything is loaded and listed, or refused by an error; it takes no other run with it.
func FuzzRow(f *testing.F) {
	v := newVandal(f)
	v.start("neighbour")
	f.Add(`{"a":"b"}`, int64(2))
	f.Add(`{`, int64(-1))
	f.Add(`[]`, int64(1<<62))
	f.Add(`null`, int64(256))
	f.Add(`{"message":"m","causes":[{}]}`, int64(7))
	f.Fuzz(func(t *testing.T, text string, number int64) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.set(t, `UPDATE runs SET tags=?1, parent=?1, orphans=?1, error=?1, status=?2&7, scheduled_at=?2, deadline_after=?2
			WHERE id='run'`, text, number)
		v.set(t, `UPDATE operations SET error=?1, kind=?2, attempts=?2, due_after=?2, ended_after=?2, path=?1 WHERE run_no=1`, text, number)
		v.set(t, `UPDATE inbox SET error=?1, kind=?2&255, arrived_at=?2`, text, number)
		if r, err := v.Load(t.Context(), "run", ""); (err == nil) != (r != nil) {
			t.Errorf("loaded %v, %v", r, err)
		}
		if page, err := v.List(t.Context(), lambdabiz.Filter{Tags: map[string]string{"a": "b"}}); err != nil && len(page.Runs) > 0 {
			t.Errorf("listed %+v, %v", page, err)
		}
		v.t = t
		if r := v.load("neighbour"); r.Status != lambdabiz.StatusStarted && r.Status != lambdabiz.StatusScheduled {
			t.Errorf("the neighbour is %v", r.Status)
		}
	})
}

// both is a backend and the memory, which must answer alike.
type both struct {
	mu   sync.Mutex
	all  []lambdabiz.Backend
	next int
}

func newBoth(f *testing.F) *both {
	f.Helper()
	m := memory.New()
	return &both{all: []lambdabiz.Backend{setup(f).Backend, m}}
}

func (b *both) commit(t *testing.T, c lambdabiz.Commit) [2]lambdabiz.Verdict {
	t.Helper()
	var got [2]lambdabiz.Verdict
	for i, backend := range b.all {
		one := c
		verdicts, err := backend.Commit(t.Context(), []*lambdabiz.Commit{&one})
		if err != nil {
			t.Fatal(err)
		}
		got[i] = verdicts[0]
	}
	return got
}

// Filters of any text select the same runs as in memory, and a cursor of any text is an error or a page.
func FuzzFilter(f *testing.F) {
	b := newBoth(f)
	f.Add("id", "tag", "value", "i", "t", "v", "")
	f.Add("a%b", `"`, `\`, "a%", `"`, `\`, "zz")
	f.Add("é\xff", "<", "&", "é", "<", "&", "-1")
	f.Add("\x7f", "k\u2028", "", "\x7f", "k\u2028", "", "9223372036854775808")
	at := epoch
	f.Fuzz(func(t *testing.T, id, tag, value, prefix, askTag, askValue, cursor string) {
		for _, text := range []string{id, tag, value, prefix, askTag, askValue} {
			if strings.ToValidUTF8(text, "") != text || strings.ContainsRune(text, 0) {
				return // refused before a backend sees it
			}
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.next++
		at = at.Add(time.Second)
		start := lambdabiz.RunStart{ID: id, RunID: fmt.Sprint(b.next), Name: "N", Tags: map[string]string{tag: value}}
		b.commit(t, lambdabiz.Commit{At: at, Starts: []lambdabiz.RunStart{start}})
		for _, filter := range []lambdabiz.Filter{
			{IDPrefix: prefix}, {Tags: map[string]string{askTag: askValue}}, {IDPrefix: id, Tags: map[string]string{tag: value}},
		} {
			filter.Limit, filter.ScheduledAfter = 1000, at.Add(-100*time.Second)
			var ids [2][]string
			for i, backend := range b.all {
				page, err := backend.List(t.Context(), filter)
				if err != nil {
					t.Fatalf("%+v: %v", filter, err)
				}
				for _, run := range page.Runs {
					ids[i] = append(ids[i], run.RunID)
				}
			}
			if !slices.Equal(ids[0], ids[1]) {
				t.Errorf("%+v selects %v, in memory %v", filter, ids[0], ids[1])
			}
		}
		if page, err := b.all[0].List(t.Context(), lambdabiz.Filter{Cursor: cursor}); err != nil && len(page.Runs) > 0 {
			t.Errorf("cursor %q: %d runs and %v", cursor, len(page.Runs), err)
		}
	})
}

// Events of any name, key and payload are kept once for each key and orchestration, as in memory.
func FuzzRaise(f *testing.F) {
	b := newBoth(f)
	f.Add("a", "name", "key", []byte("1"))
	f.Add("a", "name", "", []byte{})
	f.Add("b\x00", "\xff", "k\x00k", []byte("\xff\x00"))
	f.Add("' OR 1=1", "%", "KEY", []byte("null"))
	f.Fuzz(func(t *testing.T, id, name, key string, payload []byte) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.next++
		id = fmt.Sprint(b.next, " ", id)
		b.commit(t, lambdabiz.Commit{At: epoch, Starts: []lambdabiz.RunStart{{ID: id, RunID: "r", Name: "N"}}})
		want := 3
		if key != "" {
			want = 2
		}
		for _, k := range []string{key, key, "other " + key} {
			got := b.commit(t, lambdabiz.Commit{At: epoch, Raises: []lambdabiz.Raise{{ID: id, Name: name, Key: k, Payload: payload}}})
			if got[0].Raises[0].Err != nil || got[1].Raises[0] != got[0].Raises[0] {
				t.Errorf("answers %+v, in memory %+v", got[0].Raises[0], got[1].Raises[0])
			}
		}
		for i, backend := range b.all {
			r, err := backend.Load(t.Context(), id, "")
			if err != nil || len(r.Messages) != want {
				t.Fatalf("%d: id %q, key %q: %+v, %v", i, id, key, r, err)
			}
			if m := r.Messages[0]; m.Name != name || m.Key != key || !bytes.Equal(m.Payload, payload) {
				t.Errorf("%d: %q, %q, %q became %+v", i, name, key, payload, m)
			}
		}
	})
}
