package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// quick is commits that are written without a look at their runs first, in one round trip. Each statement asks by itself
// whether the run is still its holder's, and a commit of which less is written than was sent was refused: then nothing of it
// is. What became of the others is not its business.
//
// All of them are one transaction, which begins with the lock of the lane. As long as it has that, nobody takes a run away from
// the worker: who does so deletes the lane first, or locks it. So a statement may trust what one before it has seen. It says
// its isolation itself: by that of a database's or a role's default, all would see what was there before the lane was waited for.
type quick struct {
	b       *Backend
	lane    int
	batch   int64 // its witness, and what the rows of runs get that it writes
	owner   int64 // whose lane it is: the worker's, or where only clients write, this process's
	commits []*lambdabiz.Commit

	at      map[int64]int // by number of a run: which commit writes it
	through []bool        // by commit: it was applied
	starts  map[int]*run  // by commit
	news    map[int][]lambdabiz.Message
	rotten  map[int]bool // of news: some cannot be read
	wake    bool

	runs     columns // that end, are given back, go on or say something of themselves; sorted by number
	inserts  columns // runs
	tags     columns
	added    columns // operations with new numbers
	replaced columns // others
	consumed columns
	held     columns // of commits that write nothing else
	fetched  columns
}

// split takes from a batch what can be written quickly, by place. The others are the rest, in which each commit sees what those
// before it have done: so those of whose runs two commits speak belong to it as well.
func split(commits []*lambdabiz.Commit) (worker int64, places []int) {
	spoken := make(map[string]int, len(commits))
	for i, c := range commits {
		if c.Worker > 0 && worker == 0 {
			worker = c.Worker
		}
		if c.Worker > 0 && c.Worker != worker || !speaks(c, i, spoken) {
			return 0, nil
		}
	}
	for i, c := range commits {
		if isQuick(c) && !slices.ContainsFunc(idsOf(c), func(id string) bool { return spoken[id] == several }) {
			places = append(places, i)
		}
	}
	return worker, places
}

const several = -1

// speaks notes of which ids a commit speaks. It reports false if that cannot be known.
func speaks(c *lambdabiz.Commit, at int, spoken map[string]int) bool {
	note := func(id string) {
		if before, known := spoken[id]; known && before != at {
			spoken[id] = several
		} else {
			spoken[id] = at
		}
	}
	for _, id := range idsOf(c) {
		note(id)
	}
	for i := range c.Raises {
		note(c.Raises[i].ID)
	}
	for i := range c.Controls {
		if c.Controls[i].Kind == lambdabiz.ControlTerminate {
			return false // who knows its parent
		}
		note(c.Controls[i].ID)
	}
	if c.Run == nil || c.Close == nil {
		return true
	}
	h, ok := c.Run.Handle.(*handle)
	if ok && h.parent != nil {
		note(h.parent.ID)
	}
	return ok
}

// idsOf are the ids of the runs that a commit writes or starts.
func idsOf(c *lambdabiz.Commit) []string {
	ids := make([]string, 0, 2)
	if c.Run != nil {
		ids = append(ids, c.Run.ID)
	}
	for i := range c.Starts {
		ids = append(ids, c.Starts[i].ID)
	}
	return ids
}

// isQuick reports whether a commit says nothing that depends on how a run stands, but for whether its holder still has it.
func isQuick(c *lambdabiz.Commit) bool {
	if len(c.Raises) > 0 || len(c.Controls) > 0 || c.At.IsZero() {
		return false
	}
	if c.Run == nil {
		return len(c.Starts) == 1 && c.Starts[0].Parent == nil && c.Starts[0].Operation == 0
	}
	h, ok := c.Run.Handle.(*handle)
	switch {
	case !ok, len(c.Starts) > 0, c.Run.Fence == 0, c.Worker == 0, h.worker != c.Worker:
		return false
	case c.Close != nil:
		return c.Release == nil && c.Close.Next == nil && h.parent == nil
	case c.Release != nil:
		return c.Conditional
	}
	return true
}

// statements adds all that is written.
func (q *quick) statements(p *pipe) {
	p.add(qQuickLane, nil, nil, q.owner, q.lane)
	passed := func(rows pgx.Rows) error {
		var no int64
		err := rows.Scan(&no)
		q.through[q.at[no]] = true
		return err
	}
	write := func(which query, c columns, read func(pgx.Rows) error, last ...any) {
		if c.rows() == 0 {
			return
		}
		first := []any{q.owner, q.lane, q.batch}
		if which == qQuickStarts || which == qQuickTags {
			first = first[:2]
		}
		p.add(which, nil, read, slices.Concat(first, c.args(), last)...)
	}
	write(qQuickRuns, q.runs, func(rows pgx.Rows) error {
		var no int64
		var due bool
		err := rows.Scan(&no, &due)
		q.through[q.at[no]] = true
		q.wake = q.wake || due
		return err
	})
	write(qQuickStarts, q.inserts, passed)
	write(qQuickTags, q.tags, nil)
	write(qQuickConsume, q.consumed, nil, kindsThat(rules.Stays))
	write(qQuickAdd, q.added, passed)
	write(qQuickReplace, q.replaced, passed)
	write(qQuickHeld, q.held, passed)
	if q.fetched.rows() > 0 {
		p.add(qNewer, nil, q.scanNews, q.fetched.args()...)
	}
	p.t.testify(p, q.batch)
}

// scanNews reads a row of qNewer. Of a run with a message that cannot be read there are none: its holder is told when it asks
// for work.
func (q *quick) scanNews(rows pgx.Rows) error {
	var no int64
	m, err := scanMessage(rows, &no)
	at := q.at[no]
	switch {
	case isUnreadable(err):
		q.rotten[at] = true
		return nil
	case err == nil && !q.rotten[at]:
		q.news[at] = append(q.news[at], m)
	}
	return err
}

// verdict is that on a commit that was applied.
func (q *quick) verdict(at int) lambdabiz.Verdict {
	c := q.commits[at]
	noteStored(c)
	var v lambdabiz.Verdict
	if r := q.starts[at]; r != nil {
		v.Starts = []lambdabiz.StartVerdict{{Created: true, Run: r.held()}}
	}
	if !q.rotten[at] {
		v.Messages = q.news[at]
	}
	return v
}

// commit writes all that may be written, in one transaction. If the answer is lost, it finds what became of it.
func (q *quick) commit(ctx context.Context) error {
	if err := q.plan(); err != nil {
		return err
	}
	q.b.pending[q.lane].Store(q.batch)
	sent := false
	err := q.b.on(ctx, func(conn *pgx.Conn) error {
		// What is sent on a connection that is dead may have been applied for all that is known. So look first.
		if !isQuiet(conn.PgConn().Conn()) {
			if err := conn.Ping(ctx); err != nil {
				return err
			}
		}
		sent = true
		t := &tx{b: q.b, conn: conn, lane: q.lane}
		err := q.sendTo(ctx, t)
		if err == nil {
			q.b.witnesses[q.lane].Store(q.batch)
			if q.b.lineage.isOutdated(conn.PgConn()) { // another server has taken over: what that one has counts
				err = errOldPrimary
			}
		}
		return err
	})
	if err == nil || !sent || isFinal(err) {
		return err
	}
	var workers []int64
	if q.owner != q.b.process {
		workers = []int64{q.owner}
	}
	return q.b.readBack(ctx, q.lane, q.batch, workers, err, q.find)
}

// sendTo sends all in one round trip.
func (q *quick) sendTo(ctx context.Context, t *tx) error {
	p := t.pipe()
	if q.b.beforeCommit != nil { // a test wants to come between
		return t.whole(ctx, func() error { q.statements(p); return p.run(ctx) })
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	p.add(qBegin, nil, nil)
	p.settle()
	q.statements(p)
	p.add(qCommit, nil, nil)
	said := t.conn.PgConn().CustomData()
	delete(said, warningKey)
	err := p.run(ctx)
	if err != nil {
		t.rollBack(ctx)
	}
	if warning, warned := said[warningKey]; warned && err == nil { // as in tx.commit
		err = fmt.Errorf("%w: the server warns: %s", errConnection, warning)
	}
	return err
}

// quickly commits a batch: quickly what can be, and the others after that, with those that were refused.
func (b *Backend) quickly(ctx context.Context, lane int, commits []*lambdabiz.Commit) ([]lambdabiz.Verdict, bool, error) {
	worker, places := split(commits)
	if len(places) == 0 || b.way.portable { // there is no lock there by which one statement could trust another
		return b.commit(ctx, lane, commits)
	}
	var q *quick
	look := false
	err := b.retry(ctx, func() error {
		q = b.newQuick(lane, worker, commits, places)
		err := q.commit(ctx)
		if look = needsLook(err); look {
			return nil
		}
		return err
	})
	switch {
	case err != nil:
		return nil, false, err
	case look:
		return b.commit(ctx, lane, commits)
	}
	verdicts := make([]lambdabiz.Verdict, len(commits))
	done := make([]bool, len(commits))
	for i, at := range places {
		if q.through[i] {
			verdicts[at], done[at] = q.verdict(i), true
		}
	}
	var rest []*lambdabiz.Commit
	for at, c := range commits {
		if !done[at] {
			rest = append(rest, c)
		}
	}
	if len(rest) == 0 {
		return verdicts, q.wake, nil
	}
	others, wake, err := b.commit(ctx, lane, rest)
	if err != nil && (len(rest) == len(commits) || errors.Is(err, lambdabiz.ErrOutcomeUnknown)) {
		return nil, false, err
	}
	for at := range commits {
		switch {
		case done[at]:
		case err != nil:
			verdicts[at] = lambdabiz.Verdict{Err: faultOf(ctx, "commit", err)}
		default:
			verdicts[at], others = others[0], others[1:]
		}
	}
	return verdicts, q.wake || wake, nil
}

func (b *Backend) newQuick(lane int, worker int64, commits []*lambdabiz.Commit, places []int) *quick {
	q := &quick{b: b, lane: lane, batch: b.numbers.next(), owner: worker, commits: make([]*lambdabiz.Commit, len(places))}
	if worker == 0 {
		q.owner = b.process
	}
	for i, at := range places {
		q.commits[i] = commits[at]
	}
	return q
}

// needsLook reports whether a batch may succeed that looks at its runs, and at what of it can be written.
func needsLook(err error) bool {
	switch code(err) {
	case "23505", "21000", "55P03": // an operation that is stored, or comes twice
		return true
	}
	return isConflict(err)
}
