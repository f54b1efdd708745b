package check_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/check"
	"github.com/lambdabiz/lambdabiz/internal/logbook"
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// item is the input of what is done in the world.
type item struct{ Key, Note string }

// world is where things are done. Held is what does not end while the code of before runs.
type world struct {
	mu    sync.Mutex
	held  string
	after bool // the new code runs
	done  map[string]int
	paths []string // of what the new code has done
	logs  logbook.Book
}

func (w *world) holds(key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.after && key == w.held
}

// do is the body of a task or a step.
func (w *world) do(ctx context.Context, key string) error {
	if w.holds(key) {
		<-ctx.Done()
		return ctx.Err()
	}
	info, _ := lambdabiz.TaskInfoFrom(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done[key]++
	if w.after {
		w.paths = append(w.paths, info.OperationID)
	}
	return nil
}

func (w *world) time(key string) time.Duration {
	if w.holds(key) {
		return 2 * time.Minute
	}
	return time.Second
}

// code is the definitions of a program.
func (w *world) code(lines []line, opts ...lambdabiz.DefineOption) lambdabiz.Registrables {
	body := func(ctx context.Context, in item) (int, error) { return 1, w.do(ctx, in.Key) }
	child := lambdabiz.Define("Child", func(o lambdabiz.Context, in item) (int, error) {
		err := lambdabiz.Do(o, "work", func(context.Context) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.done[in.Key]++
			return nil
		})
		return 1, errors.Join(err, lambdabiz.Sleep(o, "nap", w.time(in.Key)))
	})
	return lambdabiz.Registrables{
		lambdabiz.NewTask("Charge", body), lambdabiz.NewTask("Charge2", body), child,
		lambdabiz.Define("Sink", func(o lambdabiz.Context, _ int) (bool, error) { return lambdabiz.WaitForEvent[bool](o, "End") }),
		lambdabiz.Define("Order", func(o lambdabiz.Context, _ int) (int, error) { return 1, w.run(o, lines) }, opts...),
	}
}

func (w *world) run(o lambdabiz.Context, lines []line) error {
	var aside []*lambdabiz.Future[int]
	for _, l := range lines {
		if l.kind == "aside" || l.kind == "branch" {
			f := lambdabiz.Go(o, l.id, func(o lambdabiz.Context) (int, error) { return 1, w.run(o, l.inside) }, l.former)
			if l.kind == "aside" {
				aside = append(aside, f)
				continue
			}
			if _, err := f.Wait(o); err != nil {
				return err
			}
			continue
		}
		if err := w.line(o, l); err != nil {
			return err
		}
	}
	for _, f := range aside {
		if _, err := f.Wait(o); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) line(o lambdabiz.Context, l line) error {
	calls, raises := []lambdabiz.CallOption{l.former}, []lambdabiz.RaiseFromOption{l.former}
	children := []lambdabiz.ChildOption{l.former}
	if l.notRenamed {
		calls, raises = append(calls, lambdabiz.NotRenamed()), append(raises, lambdabiz.NotRenamed())
		children = append(children, lambdabiz.NotRenamed())
	}
	var err error
	in := item{l.key, l.note}
	switch l.kind {
	case "step":
		err = lambdabiz.Do(o, l.id, func(ctx context.Context) error { return w.do(ctx, l.key) }, calls...)
	case "task":
		name := l.task
		if name == "" {
			name = "Charge"
		}
		_, err = lambdabiz.CallTask[int](o, l.id, name, in, calls...)
	case "raise":
		err = lambdabiz.RaiseEvent(o, l.id, "sink", "Note", in, raises...)
	case "child":
		_, err = lambdabiz.CallChildByName[int](o, l.id, "Child", in, children...)
	case "timer":
		err = lambdabiz.Sleep(o, l.id, w.time(l.key), l.former)
	case "event":
		_, err = lambdabiz.WaitForEvent[bool](o, l.id, lambdabiz.Named("Approve"), l.former)
	}
	return err
}

// cell is what came of one edit where the orchestration stood at one point.
type cell struct {
	report *check.Report
	state  *lambdabiz.State
	*world
}

// changed runs the code of before until it stands at a point, checks the new code, and goes on with that.
func changed(t *testing.T, point string, old, code []line, opts ...lambdabiz.DefineOption) *cell {
	c := &cell{world: &world{held: point, done: map[string]int{}}}
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		work := func(version string, items lambdabiz.Registrable, f func(ctx context.Context, e *lambdabiz.Engine) error) {
			e, err := lambdabiz.New(store, lambdabiz.Config{
				Version: version, DrainTimeout: time.Second, PollInterval: time.Minute, Logger: slog.New(slog.NewTextHandler(&c.logs, nil)),
			})
			if err == nil {
				err = e.Register(items)
			}
			if err == nil {
				err = e.RunWhile(t.Context(), func(ctx context.Context) error { return f(ctx, e) })
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		work("1", c.code(old), func(ctx context.Context, e *lambdabiz.Engine) error {
			_, err := e.StartByName(ctx, "Sink", "sink", 0)
			if err == nil {
				_, err = e.StartByName(ctx, "Order", "x", 0)
			}
			if err == nil && point != "approve" {
				err = e.RaiseEvent(ctx, "x", "Approve", true)
			}
			time.Sleep(10 * time.Second)
			return err
		})
		c.mu.Lock()
		c.after = true
		c.logs.Reset()
		c.mu.Unlock()
		reader, err := lambdabiz.New(store, lambdabiz.Config{})
		if err != nil {
			t.Fatal(err)
		}
		c.report = checked(t, reader, c.code(code, opts...))
		work("2", c.code(code, opts...), func(ctx context.Context, e *lambdabiz.Engine) error {
			if point == "approve" {
				if err := e.RaiseEvent(ctx, "x", "Approve", true); err != nil {
					return err
				}
			}
			time.Sleep(5 * time.Minute)
			return nil
		})
		if c.state, err = reader.State(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		c.told(t, reader)
	})
	return c
}

// checked is what the new code would do.
func checked(t *testing.T, e *lambdabiz.Engine, code lambdabiz.Registrable) *check.Report {
	s, err := e.State(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	report, err := check.Config{}.Resume(t.Context(), text, code)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// told counts the events that were raised.
func (c *cell) told(t *testing.T, e *lambdabiz.Engine) {
	sink, err := e.State(t.Context(), "sink")
	if err != nil {
		t.Fatal(err)
	}
	for i := range sink.Events {
		var in item
		if err := json.Unmarshal(sink.Events[i].Payload, &in); err != nil {
			t.Fatal(err)
		}
		c.done[in.Key]++
	}
}

// lists reports whether an operation is in one of the lists.
func lists(path string, all ...[]check.Item) bool {
	for _, list := range all {
		if slices.ContainsFunc(list, func(i check.Item) bool { return i.Operation == path }) {
			return true
		}
	}
	return false
}

// repeated is the keys of what was done more often than the new code has lines for it.
func (c *cell) repeated(code []line) (keys []string) {
	lines := map[string]int{}
	flat(code, "", func(_ string, l line) { lines[l.key]++ })
	for key, n := range c.done {
		if n > max(1, lines[key]) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// complaints says what is wrong: something was done twice without a word, or was not as check has said.
func (c *cell) complaints(e *edit, path, point string, code []line) (all []string) {
	// What follows what was recorded last stands in its place when that is removed.
	removesLast := e.name == "remove" && (strings.HasSuffix(path, point) || path == "ship" && (point == "pack" || point == "send"))
	complain := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	r := c.report
	told := !r.Fits() || e.name == "swap ids with the next" && len(r.Beside) > 0 // it looks as if they were reordered
	if twice := c.repeated(code); len(twice) > 0 && !told {
		complain("%q done too often, without a word", twice)
	}
	switch b := c.state.Blocked; {
	case r.Blocked != nil && (b == nil || b.Operation != r.Blocked.Operation):
		complain("check says that it is blocked, and it is %+v", b)
	case b != nil && r.Blocked == nil && lists(b.Operation, r.New, r.Next, r.Kept, r.Waits, r.Goes, r.Repeated):
		complain("it is blocked at %q, which check has in another list: %s", b.Operation, b.Reason)
	}
	performed := func(list string, items []check.Item, want int) {
		for _, i := range items {
			n := len(slices.DeleteFunc(slices.Clone(c.paths), func(path string) bool { return path != i.Operation }))
			if (i.Kind == lambdabiz.KindStep || i.Kind == lambdabiz.KindTask) && n != want {
				complain("%s is %s and was performed %d times", i.Operation, list, n)
			}
		}
	}
	performed("kept", r.Kept, 0)
	if c.state.Blocked == nil {
		performed("new", r.New, 1)
		performed("next", slices.DeleteFunc(slices.Clone(r.Next), func(check.Item) bool { return e.moves() }), 1)
		for _, i := range r.Orphaned {
			if !slices.Contains(c.state.Orphans, i.Operation) && !has(code, i.Operation) {
				complain("%s is orphaned, and the state has %q", i.Operation, c.state.Orphans)
			}
		}
		for _, i := range r.Repeated {
			if !c.logs.Has("operation=" + i.Operation + " ") {
				complain("%s is repeated, and nothing is logged of it", i.Operation)
			}
		}
		if c.state.Status != lambdabiz.StatusSucceeded {
			complain("it is %v, %+v", c.state.Status, c.state.Error)
		}
	}
	if e.allowed && (c.state.Blocked != nil || !r.Fits() && !removesLast) {
		complain("it is allowed, and does not fit: %+v", c.state.Blocked)
	}
	if e.allowed {
		flat(code, "", func(path string, l line) {
			if strings.Contains(anEffect, l.kind) && c.done[l.key] == 0 {
				complain("%s was not done", path)
			}
		})
	}
	return all
}

// has reports whether the code has an operation, which it may come to later.
func has(code []line, path string) (found bool) {
	flat(code, "", func(p string, _ line) { found = found || p == path })
	return found
}

// moves reports whether operations have former names, under which their bodies know them.
func (e *edit) moves() bool { return strings.Contains(e.name, "Formerly") }

// grid tries the edits of every line: where the code stands at that line, at the next one if the edit is not allowed, and at
// the last one of all; at every point if all is set. Each edit whose name has part in it counts.
func grid(t *testing.T, all bool, part string, opts ...lambdabiz.DefineOption) (cells int, complaints []string) {
	var points, paths []string
	flat(order(), "", func(path string, l line) {
		paths = append(paths, path)
		if l.kind != "raise" && l.kind != "branch" {
			points = append(points, l.key)
		}
	})
	for _, e := range edits() {
		for at, path := range paths {
			code := e.apply(order(), "", path)
			if code == nil || !strings.Contains(e.name, part) {
				continue
			}
			near := 0
			for _, point := range points {
				stands := slices.IndexFunc(paths, func(p string) bool { return p == point || strings.HasSuffix(p, "/"+point) })
				if at > stands+1 {
					continue // nothing is recorded of it, nor of what follows
				}
				if near++; !all && point != "close" && (near > 2 || near > 1 && e.allowed) {
					continue
				}
				cells++
				c := changed(t, point, order(), code, opts...)
				for _, text := range c.complaints(&e, path, point, code) {
					complaints = append(complaints, fmt.Sprintf("%s %s, at %s: %s\n%s", e.name, path, point, text, c.report))
				}
			}
		}
	}
	return cells, complaints
}

// Code is edited in every way that docs/changing-code.md knows of, where the orchestration stands at every point. Nothing is
// done twice without a word of check, what check says is what happens, and what the page allows goes through.
func TestEveryEditAtEveryPointIsDoneAsCheckSays(t *testing.T) {
	t.Parallel()
	cells, complaints := grid(t, campaign.Rounds(t, 0, 1000) > 0, "")
	t.Logf("%d cells", cells)
	if cells < 400 {
		t.Errorf("%d cells only", cells)
	}
	for _, text := range complaints {
		t.Error(text)
	}
}

// NotRenamed said of the whole definition takes the guard away, and what check says of repeats.
func TestSabotageNothingIsTakenForARepeat(t *testing.T) {
	t.Parallel()
	for _, part := range []string{"rename and change", "move into a branch", "move out of", "split"} {
		complaint := ""
		for _, text := range second(grid(t, false, part, lambdabiz.NotRenamed())) {
			if strings.Contains(text, "without a word") {
				complaint = text
			}
		}
		campaign.Red(t, "F51", "the guard of "+part, complaint)
	}
}

func second(_ int, texts []string) []string { return texts }

// The table of the page has a row for every edit. What is tested elsewhere is named here.
func TestTheTableOfChangesHasEveryEdit(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "docs", "changing-code.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	inTable := false
	for row := range strings.Lines(string(page)) {
		cells := strings.Split(row, "|")
		inTable = len(cells) == 5 && (inTable || strings.TrimSpace(cells[1]) == "change")
		if inTable && !strings.HasPrefix(row, "|---") {
			rows[strings.NewReplacer("*", "", "`", "").Replace(strings.TrimSpace(cells[1]))] = cells[2] + "|" + cells[3]
		}
	}
	elsewhere := map[string]bool{
		"change": true, "rename a Race": true, "change the key function of a Map": true, "change a result's type": true,
		"change what a task or step does": true, "change a timer's duration or a wait's time-out": true,
		"change the orchestration's input or result type": true, "rename the definition": true,
		"give a former id to something else": true,
	}
	found := map[string]bool{}
	for _, e := range edits() {
		how, known := rows[e.row]
		switch {
		case e.row != "" && !known:
			t.Errorf("the table has no row %q for %q", e.row, e.name)
		case strings.Contains(e.name, "FormerlyAt") && !strings.Contains(how, "`FormerlyAt("),
			strings.Contains(e.name, "NotRenamed") && !strings.Contains(how, "`NotRenamed"),
			!e.allowed && !strings.Contains(how, "blocked"):
			t.Errorf("row %q does not fit %q: %s", e.row, e.name, how)
		}
		found[e.row] = true
	}
	for row := range rows {
		if !found[row] && !elsewhere[row] {
			t.Errorf("no edit is for row %q", row)
		}
	}
}
