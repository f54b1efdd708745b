package backendtest

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/lambdabiz/lambdabiz"
)

var batchChecks = []check{
	{name: "batch/a verdict in the place of each commit", run: batchVerdicts},
	{name: "batch/a later commit sees an earlier one", run: batchOrder},
	{name: "batch/of a hundred runs", run: batchLarge},
	{name: "batch/an empty one is no error", run: batchEmpty},
	{name: "batch/as large as it describes", run: batchLargest},
}

// batchSize keeps a batch within what the backend takes.
func (h *harness) batchSize(n int) int { return min(n, max(1, h.b.Describe().BatchSize)) }

// batchLargest writes one commit, and then a batch of two, that are as large as the description allows: in items, and in bytes.
// Where it names no limit, two
// thousand items and 12 MiB.
func batchLargest(h *harness) {
	d := h.describes
	if d.MaxCommitItems != 0 && d.MaxCommitItems < 16 {
		h.Fatalf("MaxCommitItems is %d, 16 are the least", d.MaxCommitItems)
	}
	if most := d.MaxCommitBytes; most != 0 && (d.MaxPayloadBytes == 0 || 8*d.MaxPayloadBytes > most) {
		h.Fatalf("MaxCommitBytes is %d, which is less than eight payloads of MaxPayloadBytes, %d", most, d.MaxPayloadBytes)
	}
	if d.CommitEndsClaim && d.MaxCommitItems == 0 && d.MaxCommitBytes == 0 {
		return // what it takes depends on the kinds of operations
	}
	bytes := cmp.Or(d.MaxCommitBytes, 12<<20)
	if d.MaxCommitBytes == 0 && d.MaxPayloadBytes > 0 {
		bytes = min(bytes, 14*d.MaxPayloadBytes)
	}
	for name, sizes := range map[string]struct{ items, bytes int }{
		"items": {cmp.Or(d.MaxCommitItems, 2000), 0}, "bytes": {16, bytes},
	} {
		one, two, three := h.startHeld(name+"-1"), h.startHeld(name+"-2"), h.startHeld(name+"-3")
		alone := one.sized(sizes.items, sizes.bytes)
		want(h, []int{alone.Items(), alone.Bytes()}, []int{sizes.items, sizes.bytes}, "size of "+name)
		h.is(h.commitAll(alone)[0].Err, nil, "the largest commit by its "+name)
		want(h, len(h.load(name+"-1").Operations), sizes.items-1, "operations of the largest commit by its "+name)
		if h.batchSize(2) == 2 {
			v := h.commitAll(two.sized(sizes.items/2, sizes.bytes/2), three.sized(sizes.items/2, sizes.bytes/2))
			h.is(errors.Join(v[0].Err, v[1].Err), nil, "the largest batch by its "+name)
		}
	}
}

// sized is a commit of so many items, the run itself among them, and so many bytes.
func (x *holding) sized(items, bytes int) *lambdabiz.Commit {
	operations := make([]lambdabiz.Operation, items-1)
	for i := range operations {
		o := &operations[i]
		*o = operation(int64(i + 1))
		o.Input, o.Result, o.Details = make([]byte, bytes/len(operations)), nil, nil
	}
	operations[0].Input = append(operations[0].Input, make([]byte, bytes%len(operations))...)
	return x.fill(lambdabiz.Commit{Operations: operations})
}

func batchVerdicts(h *harness) {
	good, stale, fenced, ended, last := h.startHeld("good"), h.startHeld("stale"), h.startHeld("fenced"),
		h.startHeld("ended"), h.startHeld("last")
	h.raise("stale", "e")
	h.leave(fenced.worker)
	ref := ended.Ref
	ended.end()
	ended.Ref = ref
	write := lambdabiz.Commit{Operations: []lambdabiz.Operation{operation(1)}}
	conditional := write
	conditional.Conditional = true
	batch := []*lambdabiz.Commit{
		good.fill(write),
		stale.fill(conditional),
		fenced.fill(write),
		{At: at(3), Raises: []lambdabiz.Raise{{ID: "nobody", Name: "e"}, {ID: "good", Name: "e"}}},
		ended.fill(write),
		last.fill(conditional),
	}
	if h.batchSize(len(batch)) < len(batch) {
		return
	}
	v := h.commitAll(batch...)
	for i, wanted := range []error{nil, lambdabiz.ErrStale, lambdabiz.ErrFenced, nil, lambdabiz.ErrFenced, nil} {
		h.is(v[i].Err, wanted, fmt.Sprintf("verdict %d", i))
	}
	h.inbox(v[1].Messages, "e")
	h.is(v[3].Raises[0].Err, lambdabiz.ErrNotFound, "first raise")
	h.is(v[3].Raises[1].Err, nil, "second raise")
	for id, operations := range map[string]int{"good": 1, "stale": 0, "fenced": 0, "ended": 0, "last": 1} {
		want(h, len(h.load(id).Operations), operations, "operations of "+id)
	}
	h.inbox(h.load("good").Messages, "e")
}

func batchOrder(h *harness) {
	x := h.startHeld("a")
	batch := []*lambdabiz.Commit{
		{At: at(1), Starts: []lambdabiz.RunStart{startOf("b", 1)}},
		{At: at(1), Raises: []lambdabiz.Raise{{ID: "b", Name: "e1"}, {ID: "a", Name: "to a"}}},
		x.fill(lambdabiz.Commit{Raises: []lambdabiz.Raise{{ID: "b", Name: "e2"}}, Fetch: true}),
		{At: at(1), Controls: []lambdabiz.Control{{Kind: lambdabiz.ControlTerminate, ID: "b"}}},
		{At: at(1), Raises: []lambdabiz.Raise{{ID: "b", Name: "e3"}}},
	}
	if h.batchSize(len(batch)) < len(batch) {
		return
	}
	v := h.commitAll(batch...)
	h.is(v[1].Raises[0].Err, nil, "raise in a run that an earlier commit has started")
	h.inbox(v[2].Messages, "to a")
	h.is(v[4].Raises[0].Err, lambdabiz.ErrClosed, "raise in a run that an earlier commit has ended")
}

func batchLarge(h *harness) {
	runs := h.batchSize(100)
	var starts []lambdabiz.RunStart
	for i := range runs {
		s := startOf(fmt.Sprint(i), 1)
		s.Name = "many"
		starts = append(starts, s)
	}
	h.outside(lambdabiz.Commit{Starts: starts})
	worker := h.join("many")
	claims, err := h.b.Claim(background, lambdabiz.ClaimRequest{
		Worker: worker, Names: []string{"many"}, Limit: runs, Now: at(1),
	})
	h.must(err, "Claim")
	want(h, len(claims.Runs), runs, "runs claimed")
	var batch []*lambdabiz.Commit
	for i, c := range claims.Runs {
		x := &holding{Claimed: c, h: h, worker: worker}
		if i%10 == 3 {
			x.Ref.Fence--
		}
		var operations []lambdabiz.Operation
		for n := range i % 5 {
			operations = append(operations, operation(int64(n+1)))
		}
		batch = append(batch, x.fill(lambdabiz.Commit{Operations: operations, Progress: text(c.ID)}))
	}
	for i, v := range h.commitAll(batch...) {
		id := claims.Runs[i].ID
		r := h.load(id)
		if i%10 == 3 {
			h.is(v.Err, lambdabiz.ErrFenced, "verdict")
			want(h, len(r.Operations)+len(r.Progress), 0, "what a fenced commit has written")
			continue
		}
		h.is(v.Err, nil, "verdict")
		want(h, len(r.Operations), i%5, "operations of "+id)
		want(h, string(r.Progress), string(text(id)), "progress of "+id)
	}
}

func batchEmpty(h *harness) {
	v, err := h.b.Commit(background, nil)
	h.must(err, "Commit of an empty batch")
	want(h, len(v), 0, "verdicts")
	x := h.startHeld("a")
	h.must(x.try(lambdabiz.Commit{}).Err, "commit without changes")
}

var refuseChecks = []check{
	{name: "refuse/a raise marks its operation as failed", where: unperformed(lambdabiz.KindRaise), run: refuseRaise},
	{name: "refuse/a start marks its operation as failed", where: unperformed(lambdabiz.KindChild), run: refuseStart},
	{name: "refuse/a control marks its operation as failed", where: unperformed(lambdabiz.KindChild), run: refuseControl},
	{name: "refuse/what is accepted leaves the operation", where: unperformed(lambdabiz.KindChild), run: refuseNot},
}

// refused expects operation n of run a to be stored as failed with a sentinel.
func (h *harness) refused(n int64, code string) {
	h.Helper()
	for _, o := range h.load("a").Operations {
		if o.Number != n {
			continue
		}
		want(h, o.Status, lambdabiz.StatusFailed, "status of a refused operation")
		want(h, normalTime(o.EndedAt), at(3), "EndedAt of a refused operation")
		want(h, len(o.Result), 0, "bytes of result of a refused operation")
		if o.Error == nil || !hasCode(o.Error, code) {
			h.Fatalf("error of a refused operation: %+v, want code %q in it", o.Error, code)
		}
		return
	}
	h.Fatalf("operation %d is not stored", n)
}

func hasCode(f *lambdabiz.Failure, code string) bool {
	if f.Code == code {
		return true
	}
	for _, cause := range f.Causes {
		if hasCode(cause, code) {
			return true
		}
	}
	return false
}

func raising(n int64) lambdabiz.Operation {
	o := operation(n)
	o.Kind = lambdabiz.KindRaise
	return o
}

func refuseRaise(h *harness) {
	x := h.startHeld("a")
	h.startHeld("ended").end()
	h.start("open")
	v := x.commit(lambdabiz.Commit{
		Operations: []lambdabiz.Operation{raising(1), raising(2), raising(3), operation(4)},
		Raises: []lambdabiz.Raise{
			{ID: "nobody", Name: "e", Operation: 1},
			{ID: "ended", Name: "e", Operation: 2},
			{ID: "open", Name: "e", Operation: 3},
		},
	})
	h.is(v.Raises[0].Err, lambdabiz.ErrNotFound, "raise in an unknown id")
	h.is(v.Raises[1].Err, lambdabiz.ErrClosed, "raise in an ended run")
	h.is(v.Raises[2].Err, nil, "raise in an open run")
	h.refused(1, "notFound")
	h.refused(2, "closed")
	r := h.load("a")
	want(h, r.Operations[2].Status, lambdabiz.StatusSucceeded, "status of an accepted operation")
	want(h, r.Operations[3].Status, lambdabiz.StatusSucceeded, "status of an unconcerned operation")
	h.inbox(h.load("open").Messages, "e")
}

func refuseStart(h *harness) {
	x := h.startHeld("a")
	h.start("taken")
	s := startOf("taken", 2)
	s.Policy, s.Operation = lambdabiz.RejectExisting, 1
	o := pending(1, lambdabiz.KindChild)
	v := x.commit(lambdabiz.Commit{Operations: []lambdabiz.Operation{o}, Starts: []lambdabiz.RunStart{s}})
	h.is(v.Starts[0].Err, lambdabiz.ErrExists, "start of a taken id")
	h.refused(1, "exists")
}

func refuseControl(h *harness) {
	x := h.startHeld("a")
	v := x.commit(lambdabiz.Commit{
		Operations: []lambdabiz.Operation{pending(1, lambdabiz.KindChild)},
		Controls:   []lambdabiz.Control{{Kind: lambdabiz.ControlCancel, ID: "nobody", Operation: 1}},
	})
	h.is(v.Controls[0], lambdabiz.ErrNotFound, "control of an unknown id")
	h.refused(1, "notFound")
}

func refuseNot(h *harness) {
	x := h.startHeld("a")
	s := startOf("b", 1)
	s.Operation = 1
	begun := pending(1, lambdabiz.KindChild)
	c := lambdabiz.Commit{Operations: []lambdabiz.Operation{begun}, Starts: []lambdabiz.RunStart{s}}
	x.commit(c)
	want(h, normalOperations(h.load("a").Operations), normalOperations(c.Operations), "operations")
	// A refusal without an operation touches none.
	x.commit(lambdabiz.Commit{
		Operations: []lambdabiz.Operation{operation(2)}, Raises: []lambdabiz.Raise{{ID: "nobody", Name: "e"}},
	})
	want(h, h.load("a").Operations[1].Status, lambdabiz.StatusSucceeded, "status")
}
