package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// page is what `list -o json` prints.
type page struct {
	Runs []struct{ ID, Name, Status string }
	Next string
}

func (p *page) ids() []string {
	ids := []string{}
	for _, r := range p.Runs {
		ids = append(ids, r.ID)
	}
	return ids
}

func TestListFilters(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.must("start", "Red", "a-1", "--tag", "size=big", "--tag", "odd=yes")
	c.must("start", "Blue", "a-2", "--tag", "size=big")
	c.must("start", "Red", "b-3", "--tag", "odd=yes")
	c.must("terminate", "b-3")
	c.must("pause", "a-2")
	for args, want := range map[string][]string{
		"":                                 {"b-3", "a-2", "a-1"},
		"--status scheduled":               {"a-2", "a-1"},
		"--status SCHEDULED,TERMINATED":    {"b-3", "a-2", "a-1"},
		"--status STARTED":                 {},
		"--name Red":                       {"b-3", "a-1"},
		"--prefix a-":                      {"a-2", "a-1"},
		"--tag size=big":                   {"a-2", "a-1"},
		"--tag size=big --tag odd=yes":     {"a-1"},
		"--paused":                         {"a-2"},
		"--blocked":                        {},
		"--limit 1 --all":                  {"b-3", "a-2", "a-1"},
		"--limit 2":                        {"b-3", "a-2"},
		"--name Red --status TERMINATED":   {"b-3"},
		"--limit 1000 --prefix a --paused": {"a-2"},
	} {
		p := decode[page](t, c.must(append([]string{"list", "-o", "json"}, strings.Fields(args)...)...))
		if !slices.Equal(p.ids(), want) {
			t.Errorf("list %s: %v, want %v", args, p.ids(), want)
		}
	}
}

func TestListPages(t *testing.T) {
	t.Parallel()
	c := setup(t)
	for i := range 5 {
		c.must("start", "Red", fmt.Sprint("r-", i))
	}
	var ids []string
	p := decode[page](t, c.must("list", "-o", "json", "--limit", "2"))
	for ids = p.ids(); p.Next != ""; ids = append(ids, p.ids()...) {
		p = decode[page](t, c.must("list", "-o", "json", "--limit", "2", "--cursor", p.Next))
	}
	if want := []string{"r-4", "r-3", "r-2", "r-1", "r-0"}; !slices.Equal(ids, want) {
		t.Errorf("pages have %v, want %v", ids, want)
	}
	r := c.call("list", "--limit", "2")
	if !strings.Contains(r.errs, "--cursor") || strings.Count(r.out, "\n") != 3 {
		t.Errorf("list printed %s and %s", r.out, r.errs)
	}
}

func TestListBadInput(t *testing.T) {
	t.Parallel()
	c := setup(t)
	c.must("start", "Red", "r-1")
	c.fails(exitUsage, "--status is \"DONE\", it must be one of SCHEDULED", "list", "--status", "DONE")
	c.fails(exitUsage, "--limit is 0, it must be 1 to 1000", "list", "--limit", "0")
	c.fails(exitUsage, "--limit is 1001", "list", "--limit", "1001")
	c.fails(exitUsage, "--tag is \"=v\"", "list", "--tag", "=v")
	c.fails(exitUsage, "takes no arguments", "list", "r-1")
	c.fails(exitUsage, "--cursor", "list", "--cursor", "?")
}
