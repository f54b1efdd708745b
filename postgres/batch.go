package postgres

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
)

// batch is commits that become one transaction. It finds the runs that they speak of, locks them in the order of their numbers,
// applies the commits in memory, and writes what has become of the runs.
type batch struct {
	t       *tx
	commits []*lambdabiz.Commit

	wanted map[name]bool // what is looked for
	runs   map[int64]*run
	latest map[string]*run // by id; places, too
	named  map[name]*run   // by id and run id
	keys   map[keyed]bool  // those that are known
	kept   map[string]*shelf

	touched []*run // to be written, in the order in which they were changed first
	writes  writes
	wake    bool // somebody may have something to do
}

func newBatch(t *tx, commits []*lambdabiz.Commit) *batch {
	return &batch{
		t: t, commits: commits, wanted: map[name]bool{}, runs: map[int64]*run{}, latest: map[string]*run{},
		named: map[name]*run{}, keys: map[keyed]bool{}, kept: map[string]*shelf{},
	}
}

// name is a run as others speak of it. Without a run id it is the latest of the id.
type name struct{ id, runID string }

type keyed struct {
	chain  int64
	digest string
}

// run is a run of a batch.
type run struct {
	stored

	fresh, touched   bool
	input            lambdabiz.Payload   // of a fresh one
	result, progress lambdabiz.Payload   // nil for what it is
	unread           []lambdabiz.Message // in the table, above what the commit of its holder has seen
	added            []lambdabiz.Message // by the batch
}

// shelf is the events that are kept for a start of an id.
type shelf struct {
	list []shelved
	last int64 // the highest number
}

type shelved struct {
	message lambdabiz.Message
	until   time.Time
	fresh   bool
}

// newer are the messages above a number.
func (r *run) newer(seen int64) []lambdabiz.Message {
	var found []lambdabiz.Message
	for _, m := range slices.Concat(r.unread, r.added) {
		if m.Number > seen {
			m.Payload = slices.Clone(m.Payload)
			found = append(found, m)
		}
	}
	return found
}

// find returns the run that is meant, nil if there is none.
func (b *batch) find(id, runID string) *run {
	if runID != "" {
		return b.named[name{id, runID}]
	}
	if r := b.latest[id]; r != nil && !r.isPlace() {
		return r
	}
	return nil
}

// own returns the run that a commit writes.
func (b *batch) own(c *lambdabiz.Commit) *run {
	if no, ok := numberOf(c.Run); ok {
		return b.runs[no]
	}
	return b.find(c.Run.ID, c.Run.RunID)
}

// enter makes a run known by its names.
func (b *batch) enter(r *run) {
	b.runs[r.no] = r
	if r.latest {
		b.latest[r.head.ID] = r
	}
	if r.head.RunID != "" {
		b.named[name{r.head.ID, r.head.RunID}] = r
	}
}

// touch notes that a run is to be written.
func (b *batch) touch(r *run) {
	if !r.touched {
		r.touched = true
		b.touched = append(b.touched, r)
	}
}

// gather finds and locks all that the commits speak of.
func (b *batch) gather(ctx context.Context) error {
	b.want()
	numbers, err := b.numbers(ctx)
	if err != nil {
		return err
	}
	if err := b.lock(ctx, numbers); err != nil {
		return err
	}
	return b.look(ctx)
}

// want notes the names of all that the commits speak of.
func (b *batch) want() {
	for _, c := range b.commits {
		if c.Run != nil {
			if _, known := numberOf(c.Run); !known {
				b.wanted[name{c.Run.ID, c.Run.RunID}] = true
			}
		}
		for i := range c.Starts {
			s := &c.Starts[i]
			b.wanted[name{s.ID, ""}], b.wanted[name{s.ID, s.RunID}] = true, true
		}
		for i := range c.Raises {
			b.wanted[name{c.Raises[i].ID, c.Raises[i].RunID}] = true
		}
		for i := range c.Controls {
			b.wanted[name{c.Controls[i].ID, c.Controls[i].RunID}] = true
		}
	}
}

// numbers finds the numbers of the runs that are wanted, and of the parents that they may tell of their end.
func (b *batch) numbers(ctx context.Context) ([]int64, error) {
	found := map[int64]bool{}
	ends := false
	for _, c := range b.commits {
		if c.Run != nil {
			if no, known := numberOf(c.Run); known {
				found[no] = true
			}
		}
		ends = ends || c.Close != nil && c.Close.Next == nil || slices.ContainsFunc(c.Controls, func(k lambdabiz.Control) bool {
			return k.Kind == lambdabiz.ControlTerminate
		})
	}
	err := b.resolve(ctx, slices.Collect(maps.Keys(b.wanted)), found)
	if err != nil || !ends || len(found) == 0 {
		return slices.Sorted(maps.Keys(found)), err
	}
	var parents []name
	err = b.t.query(ctx, qFindParents, func(rows pgx.Rows) error {
		var encoded *string
		if err := rows.Scan(&encoded); err != nil {
			return err
		}
		var d decoder
		var p lambdabiz.Parent
		if d.json("parent", encoded, &p); d.err == nil && !p.Detached { // else its run says so when it is read
			parents = append(parents, name{p.ID, p.RunID})
		}
		return nil
	}, slices.Collect(maps.Keys(found)))
	if err == nil {
		err = b.resolve(ctx, parents, found)
	}
	return slices.Sorted(maps.Keys(found)), err
}

// resolve adds the numbers of the runs with those names.
func (b *batch) resolve(ctx context.Context, names []name, found map[int64]bool) error {
	if len(names) == 0 {
		return nil
	}
	var ids, runIDs []string
	for _, n := range names {
		ids, runIDs = append(ids, text(n.id)), append(runIDs, text(n.runID))
	}
	return b.t.query(ctx, qFindRuns, func(rows pgx.Rows) error {
		var at, no int64
		err := rows.Scan(&at, &no)
		found[no] = true
		return err
	}, ids, runIDs)
}

// lock locks the runs and reads them. One that is not what it was when it was found begins the transaction anew.
func (b *batch) lock(ctx context.Context, numbers []int64) error {
	if len(numbers) == 0 {
		return nil
	}
	err := b.t.query(ctx, qLockRuns, func(rows pgx.Rows) error {
		s, err := scanRun(rows)
		if err == nil {
			b.enter(&run{stored: *s})
		}
		return err
	}, numbers)
	if err != nil {
		return err
	}
	for n := range b.wanted {
		// One that was the latest when it was found may have been followed by another one since.
		if n.runID == "" && b.latest[n.id] == nil && slices.ContainsFunc(numbers, func(no int64) bool {
			r := b.runs[no]
			return r == nil || r.head.ID == n.id
		}) {
			again := map[int64]bool{}
			if err := b.resolve(ctx, []name{n}, again); err != nil {
				return err
			}
			if len(again) > 0 {
				return errAgain
			}
		}
	}
	return nil
}

// look reads what the rules ask about the runs: messages, keys, and what is kept for starts.
func (b *batch) look(ctx context.Context) error {
	p := b.t.pipe()
	b.lookForMessages(p)
	b.lookForKeys(p)
	b.lookForKept(p)
	return p.run(ctx)
}

func (b *batch) lookForMessages(p *pipe) {
	var unread columns
	for _, c := range b.commits {
		if c.Run == nil || !c.Conditional && !c.Fetch && c.Release == nil {
			continue
		}
		if r := b.own(c); r != nil && r.lastMessage > c.Seen {
			unread.add(r.no, c.Seen)
		}
	}
	if unread.rows() == 0 {
		return
	}
	p.add(qNewer, nil, func(rows pgx.Rows) error {
		var no int64
		m, err := scanMessage(rows, &no)
		if r := b.runs[no]; isUnreadable(err) {
			r.broken = cmp.Or(r.broken, err)
			return nil
		} else if err == nil {
			r.unread = append(r.unread, m)
		}
		return err
	}, unread.args()...)
}

func (b *batch) lookForKeys(p *pipe) {
	var keys columns
	var asked []keyed
	for _, c := range b.commits {
		for i := range c.Raises {
			e := &c.Raises[i]
			if r := b.find(e.ID, e.RunID); r != nil && e.Key != "" {
				k := keyed{r.chain, string(digest(e.Key))}
				asked = append(asked, k)
				keys.add(k.chain, []byte(k.digest))
			}
		}
	}
	if len(asked) == 0 {
		return
	}
	p.add(qFindKeys, nil, func(rows pgx.Rows) error {
		var at int64
		err := rows.Scan(&at)
		if err == nil {
			b.keys[asked[at-1]] = true
		}
		return err
	}, keys.args()...)
}

func (b *batch) lookForKept(p *pipe) {
	ids := map[string]bool{}
	for _, c := range b.commits {
		for i := range c.Starts {
			ids[c.Starts[i].ID] = true
		}
		for i := range c.Raises {
			if !c.Raises[i].Until.IsZero() {
				ids[c.Raises[i].ID] = true
			}
		}
	}
	if len(ids) == 0 {
		return
	}
	asked := make([]string, 0, len(ids))
	for id := range ids {
		b.kept[id] = &shelf{}
		asked = append(asked, text(id))
	}
	p.add(qFindKept, nil, func(rows pgx.Rows) error {
		var id string
		var until int64
		m, err := scanMessage(rows, &id, &until)
		if isUnreadable(err) {
			return nil // its start goes on without it
		}
		var d decoder
		if s := b.kept[d.text("id", &id)]; err == nil {
			s.list = append(s.list, shelved{message: m, until: time.UnixMicro(until).UTC()})
			s.last = m.Number
		}
		return err
	}, asked)
}
