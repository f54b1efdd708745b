package process_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

const (
	freshCrowd = 12 // processes that open a file at once
	freshFiles = 24 // that they open one after the other, at most
)

// freshRole opens each of its files when the parent says so, and runs one orchestration on it.
func freshRole(c *child) {
	c.sayf("loaded")
	for i, file := range c.Files {
		<-c.latch(fmt.Sprintf("go-%d", i))
		c.File = file
		e, backend := c.engine()
		c.workWhile(e, backend, func() {
			c.startAndWait(e, fmt.Sprintf("%s-%d", c.Name, i),
				`[{"ID":"work","Kind":"task","Text":"done"},{"ID":"more","Kind":"step","Text":"more"}]`)
		})
		c.sayf("closed %d", i)
	}
	os.Exit(0)
}

// naiveRole opens files as programs do that are alone: it does not wait for others, and makes the schema in steps.
func naiveRole(c *child) {
	c.sayf("loaded")
	for i, file := range c.Files {
		<-c.latch(fmt.Sprintf("go-%d", i))
		db, err := sqlite3.Open("file:" + file + "?_pragma=busy_timeout(0)")
		c.must("open", err)
		for _, sql := range []string{"PRAGMA journal_mode=WAL", "CREATE TABLE runs (id)", "INSERT INTO runs VALUES (1)"} {
			c.must(sql, db.Exec(sql))
		}
		c.must("close", db.Close())
		c.sayf("closed %d", i)
	}
	os.Exit(0)
}

// openTogether lets a crowd open new files, each of them at once, and returns the processes.
func (b *bench) openTogether(role string, files int) []*process {
	b.t.Helper()
	a := args{Role: role, Lease: endless}
	for i := range files {
		a.Files = append(a.Files, filepath.Join(filepath.Dir(b.file), fmt.Sprintf("fresh-%d.db", i)))
	}
	processes := make([]*process, freshCrowd)
	for i := range processes {
		a.Name = fmt.Sprintf("p%d", i)
		processes[i] = b.spawn(a)
	}
	for _, p := range processes {
		p.await("loaded")
	}
	for i := range files {
		for _, p := range processes {
			p.tell(fmt.Sprintf("let go-%d", i))
		}
		for _, p := range processes {
			if role == "naive" {
				break // it may have ended
			}
			p.await(fmt.Sprintf("closed %d", i))
		}
	}
	return processes
}

// TestManyProcessesOpenNewFileAtOnce: whoever is first makes the schema, and the others wait for it.
func TestManyProcessesOpenNewFileAtOnce(t *testing.T) {
	t.Parallel()
	left := campaign.Rounds(t, 4, 10*freshFiles)
	opened, ended := 0, 0
	for left > 0 {
		b := setupUnopened(t)
		files := min(left, freshFiles)
		left -= files
		for _, p := range b.openTogether("fresh", files) {
			if code := p.awaitExit(); code != 0 {
				t.Errorf("%s ended with exit code %d", p.name, code)
			}
			for i := range files {
				id := fmt.Sprintf("%s-%d", p.name, i)
				if got := p.await("ended " + id); got != `"done,more"` {
					t.Errorf("%s ended with %s", id, got)
				}
				b.wantBegun(id, "work", 1)
				b.wantBegun(id, "more", 1)
				ended++
			}
		}
		for i := range files {
			b.wantWhole(filepath.Join(filepath.Dir(b.file), fmt.Sprintf("fresh-%d.db", i)))
			opened++
		}
	}
	campaign.Report(t, "F21", []campaign.Count{
		{What: "files", N: opened}, {What: "processes at once", N: freshCrowd}, {What: "orchestrations ended", N: ended},
	})
}

// wantWhole: every process's orchestration is in the file, once, and no worker is left.
func (b *bench) wantWhole(file string) {
	b.t.Helper()
	backend, err := sqlite.Open(file)
	if err != nil {
		b.t.Fatal(err)
	}
	page, err := backend.List(b.t.Context(), lambdabiz.Filter{AllRuns: true, Status: []lambdabiz.Status{lambdabiz.StatusSucceeded}})
	if err != nil || len(page.Runs) != freshCrowd {
		b.t.Errorf("%s has %d orchestrations that succeeded, error %v", filepath.Base(file), len(page.Runs), err)
	}
	workers, err := backend.Workers(b.t.Context())
	if err != nil || len(workers) > 0 {
		b.t.Errorf("%s: left are the workers %+v, error %v", filepath.Base(file), workers, err)
	}
	if err := backend.Close(); err != nil {
		b.t.Error(err)
	}
}

// TestSabotageOpenWithoutWaiting: the same crowd without the protection of Open.
func TestSabotageOpenWithoutWaiting(t *testing.T) {
	t.Parallel()
	campaign.Red(t, "F21", "the lock around the opening", campaign.UntilRed(func(int) (said string) {
		for _, p := range setupUnopened(t).openTogether("naive", 3) {
			if code := p.awaitExit(); code != 0 {
				said = fmt.Sprintf("%s ended with exit code %d: %s", p.name, code, p.lastWords())
			}
		}
		return said
	}))
}
