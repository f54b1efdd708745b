package postgres_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/postgres"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// begun is when the first of many runs was started. Another one begins each second.
var begun = time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC)

// grow adds runs to the table until it has n. Most have succeeded; what is rare is spread evenly.
func (b *bundle) grow(n int) {
	b.t.Helper()
	b.execute(`
		INSERT INTO lambdabiz.runs (no, fence, owner, chain, scheduled_at, started_after, ended_after, status, mode, latest, paused, id,
			run_id, name, blocked, blocked_by, input, result)
		SELECT i, 1, 0, i, $1::bigint + i * 1000000, 0, CASE WHEN i % 1000 <> 8 THEN 5000 END,
			CASE i % 1000 WHEN 7 THEN 4 WHEN 8 THEN 2 ELSE 3 END, 0, i % 100 <> 50, i % 20000 = 1008,
			CASE WHEN i % 100 = 50 THEN 'loop' ELSE 'order-' || i END, 'run-' || i, CASE i % 10000 WHEN 3 THEN 'Rare' ELSE 'Order' END,
			CASE i % 20000 WHEN 2008 THEN '{"reason":"a mistake"}' END, CASE i % 20000 WHEN 2008 THEN 'v1' END, '{"Number1":1}', '20'
		FROM generate_series((SELECT count(*) FROM lambdabiz.runs) + 1, $2) AS i`, begun.UnixMicro(), n)
	for tag, every := range map[string]int{"often": 2, "seldom": 10_000} {
		b.tag(tag, every)
	}
	b.execute(`INSERT INTO lambdabiz.operations (run_no, number, attempts, kind, status, path)
		SELECT no, 1, 1, 1, 3, 'Operation1' FROM lambdabiz.runs ON CONFLICT DO NOTHING`)
}

func (b *bundle) vacuum() {
	b.t.Helper()
	for _, table := range []string{"runs", "operations", "tags", "inbox"} {
		execute(b.t, b.url, "VACUUM ANALYZE lambdabiz."+table)
	}
}

func (b *bundle) tag(value string, every int) {
	b.t.Helper()
	b.execute(`INSERT INTO lambdabiz.tags (no, digest) SELECT no, $1 FROM lambdabiz.runs WHERE no % $2 = 1 ON CONFLICT DO NOTHING`,
		postgres.Digest("tag", value), every)
}

func (b *bundle) execute(statement string, args ...any) {
	b.t.Helper()
	if err := b.On(b.t.Context(), func(conn *pgx.Conn) error {
		_, err := conn.Exec(b.t.Context(), statement, args...)
		return err
	}); err != nil {
		b.t.Fatal(err)
	}
}

// node is a step of a plan.
type node struct {
	Type      string `json:"Node Type"`     //nolint:tagliatelle // as the server says
	Relation  string `json:"Relation Name"` //nolint:tagliatelle // as the server says
	Index     string `json:"Index Name"`    //nolint:tagliatelle // as the server says
	Condition string `json:"Index Cond"`    //nolint:tagliatelle // as the server says
	Plans     []node `json:"Plans"`         //nolint:tagliatelle // as the server says
}

// leading is a condition on the first column of each index of runs that has the number behind others: without it all of the index
// is read.
var leading = map[string]string{"runs_due": "(name", "runs_status": "(status", "runs_name": "(name", "runs_stopped": "(paused"}

// scans are the tables that a plan reads from one end to the other.
func (n *node) scans() (tables []string) {
	if strings.HasSuffix(n.Type, "Scan") && n.Relation != "" && n.Condition == "" {
		tables = append(tables, n.Type+" on "+n.Relation)
	}
	if !strings.Contains(n.Condition, leading[n.Index]) {
		tables = append(tables, "all of "+n.Index)
	}
	if n.Type == "Nested Loop" {
		if inner := n.Plans[1].Type; inner == "Function Scan" || inner == "Materialize" {
			tables = append(tables, "each with each")
		}
	}
	for i := range n.Plans {
		tables = append(tables, n.Plans[i].scans()...)
	}
	return tables
}

// scanning says which of the statements that each orchestration needs scan a table, on an empty one, a small one and a large
// one, by plans that were made when it was empty.
func (b *bundle) scanning(rows int, settings bool) string {
	b.t.Helper()
	p := b.Plans(b.t.Context(), settings)
	defer p.Close()
	var complaints []string
	for _, n := range []int{0, 100, rows} {
		if n > 0 {
			b.grow(n)
			b.vacuum()
		}
		if complaint := b.explain(p); complaint != "" {
			complaints = append(complaints, fmt.Sprintf("with %d runs %s", n, complaint))
		}
	}
	return strings.Join(complaints, "\n")
}

// explain says which statements read more than they were sent.
func (b *bundle) explain(p *postgres.Plans) string {
	b.t.Helper()
	plans, err := p.Explain(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	var complaints []string
	for statement, text := range plans {
		var plan []struct{ Plan node }
		if err := json.Unmarshal(text, &plan); err != nil {
			b.t.Fatal(err)
		}
		if scans := plan[0].Plan.scans(); len(scans) > 0 {
			complaints = append(complaints, fmt.Sprintf("%s: %s", scans, statement))
		}
	}
	return strings.Join(complaints, "\n")
}

// A plan that was made while a table was small is the plan when it is large. None reads all of a table. Lists read a few pages
// of it, whatever they filter by.
func TestStatementsOnALargeTable(t *testing.T) {
	onlyOnPostgreSQL(t)
	t.Parallel()
	b := setup(t)
	rows := campaign.Rounds(t, 100_000, 1_000_000)
	if complaint := b.scanning(rows, true); complaint != "" {
		t.Error(complaint)
	}
	lists := b.lists(rows)
	campaign.Report(t, "F26", []campaign.Count{{What: "runs in the table", N: rows}, {What: "lists", N: lists}})
}

// With the settings that a server has by itself some plans are scans.
func TestSabotagePlansOfTheServersOwn(t *testing.T) {
	onlyOnPostgreSQL(t)
	t.Parallel()
	b := setup(t)
	campaign.Red(t, "F26", "the settings of the planner", b.scanning(200, false))
}

// grown says which statements read more than they were sent when a table has grown that nobody has analyzed since: in its first
// minute many orchestrations may begin. Their plans were made when it was small, on connections of their own.
func (b *bundle) grown() string {
	b.t.Helper()
	var all []*postgres.Plans
	for _, n := range []int{0, 30, 300} {
		b.grow(n)
		p := b.Plans(b.t.Context(), true)
		defer p.Close()
		if complaint := b.explain(p); complaint != "" {
			return fmt.Sprintf("with %d runs %s", n, complaint)
		}
		all = append(all, p)
	}
	b.grow(5000)
	var complaints []string
	for _, p := range all {
		if complaint := b.explain(p); complaint != "" {
			complaints = append(complaints, complaint)
		}
	}
	return strings.Join(complaints, "\n")
}

func TestPlansOfSmallTablesAreThoseOfLargeOnes(t *testing.T) {
	onlyOnPostgreSQL(t)
	t.Parallel()
	if complaint := setup(t).grown(); complaint != "" {
		t.Error(complaint)
	}
}

// A statement that names its rows twice is not one that looks up each row that was sent.
func TestSabotageNumbersThatAreNamedTwice(t *testing.T) {
	onlyOnPostgreSQL(t)
	t.Parallel()
	b := setup(t)
	b.NameNumbersTwice()
	campaign.Red(t, "F26", "the join alone", b.grown())
}

// mostPages is how many pages a list of twenty runs may read.
const mostPages = 100

// lists reads lists by each filter.
func (b *bundle) lists(rows int) (lists int) {
	b.t.Helper()
	tag := func(value string) map[string]string { return map[string]string{"tag": value} }
	second := func(i int) time.Time { return begun.Add(time.Duration(i) * time.Second) }
	bad := []lambdabiz.Status{
		lambdabiz.StatusFailed, lambdabiz.StatusTimeout, lambdabiz.StatusCancelled, lambdabiz.StatusTerminated,
	}
	open := []lambdabiz.Status{lambdabiz.StatusScheduled, lambdabiz.StatusStarted}
	for name, f := range map[string]lambdabiz.Filter{
		"all":                     {},
		"all, former runs too":    {AllRuns: true},
		"failed":                  {Status: []lambdabiz.Status{lambdabiz.StatusFailed}},
		"bad":                     {Status: bad},
		"open":                    {Status: open},
		"open, former runs too":   {Status: open, AllRuns: true},
		"succeeded":               {Status: []lambdabiz.Status{lambdabiz.StatusSucceeded}},
		"a rare name":             {Name: "Rare"},
		"a name of many":          {Name: "Order"},
		"no such name":            {Name: "None"},
		"a name of many, failed":  {Name: "Order", Status: bad},
		"a rare tag":              {Tags: tag("seldom")},
		"a tag of many":           {Tags: tag("often")},
		"no such tag":             {Tags: tag("none")},
		"an id":                   {IDPrefix: "order-12345"},
		"a prefix of many":        {IDPrefix: "order-"},
		"no such prefix":          {IDPrefix: "x"},
		"a prefix of former runs": {IDPrefix: "loop", AllRuns: true},
		"blocked":                 {Blocked: true},
		"paused":                  {Paused: true},
		"after":                   {ScheduledAfter: second(rows - 10)},
		"before":                  {ScheduledBefore: second(100)},
		"between":                 {ScheduledAfter: second(rows / 2), ScheduledBefore: second(rows/2 + 50)},
	} {
		f.Limit = 20
		_, _, _, _ = b.PagesOfList(b.t.Context(), f) // the statements are prepared, which reads the catalogue
		pages, got, want, err := b.PagesOfList(b.t.Context(), f)
		if err != nil {
			b.t.Fatalf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(got, want) {
			b.t.Errorf("%s: got %d runs, not the %d newest", name, len(got), len(want))
		}
		b.t.Logf("%-24s %3d pages, %2d runs", name, pages, len(got))
		if pages > mostPages {
			b.t.Errorf("%s: a list of %d runs reads %d pages", name, len(got), pages)
		}
		lists++
	}
	return lists
}
