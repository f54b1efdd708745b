package backendtest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// harness is a backend with the calls that checks make again and again.
type harness struct {
	reporter
	b         lambdabiz.Backend
	describes lambdabiz.Description
	endsClaim bool
	reopen    func() lambdabiz.Backend
	setTime   func(now time.Time) // nil where the times of the calls count
	precision time.Duration
	late      time.Duration
}

func newHarness(r reporter, b lambdabiz.Backend) *harness {
	d := b.Describe()
	return &harness{reporter: r, b: b, describes: d, endsClaim: d.CommitEndsClaim}
}

// reach moves the clock of a home that has one of its own.
func (h *harness) reach(now time.Time) {
	if h.setTime != nil {
		h.setTime(now)
	}
}

// refuses reports whether the home refuses a feature.
func (h *harness) refuses(f lambdabiz.Feature) bool {
	_, refused := h.describes.Refuses[f]
	return refused
}

// stamped expects a time that the home may have stamped by its own clock.
func (h *harness) stamped(got, wanted time.Time, what string) {
	h.Helper()
	if off := got.Sub(wanted).Abs(); off > h.precision || got.Location() != time.UTC {
		h.Fatalf("%s: %v, want %v within %v", what, got, wanted, h.precision)
	}
}

var (
	background = context.Background()
	epoch      = time.Date(2030, time.January, 2, 3, 4, 5, 678901000, time.UTC)
)

// at is a time some seconds after the beginning of every check.
func at(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }

// nameOf is the definition of a run that a check starts. Each id has its own, so that a claim by name
// takes one run.
func nameOf(id string) string { return "def:" + id }

// startOf is a start of an id; number tells its runs apart.
func startOf(id string, number int) lambdabiz.RunStart {
	return lambdabiz.RunStart{
		ID: id, RunID: fmt.Sprintf("%s#%d", id, number), Name: nameOf(id), Input: text("in"),
	}
}

func text(s string) lambdabiz.Payload { return lambdabiz.Payload(fmt.Sprintf("%q", s)) }

// must ends the check when a call failed.
func (h *harness) must(err error, what string) {
	h.Helper()
	if err != nil {
		h.Fatalf("%s: %v", what, err)
	}
}

// is expects an error of a kind; nil for none.
func (h *harness) is(got, want error, what string) {
	h.Helper()
	if !errors.Is(got, want) {
		h.Fatalf("%s: error %v, want %v", what, got, want)
	}
}

func want[T any](h *harness, got, wanted T, what string) {
	h.Helper()
	if !reflect.DeepEqual(got, wanted) {
		h.Fatalf("%s:\n got %+v\nwant %+v", what, got, wanted)
	}
}

// commitAll hands a batch over and expects an answer for each.
func (h *harness) commitAll(batch ...*lambdabiz.Commit) []lambdabiz.Verdict {
	h.Helper()
	for _, c := range batch {
		h.reach(c.At)
	}
	verdicts, err := h.b.Commit(background, batch)
	h.must(err, "Commit")
	if len(verdicts) != len(batch) {
		h.Fatalf("Commit: %d verdicts for %d commits", len(verdicts), len(batch))
	}
	for i, c := range batch {
		v := verdicts[i]
		if v.Err == nil && (len(v.Starts) != len(c.Starts) || len(v.Raises) != len(c.Raises) ||
			len(v.Controls) != len(c.Controls)) {
			h.Fatalf("Commit: verdict %+v has not a place for every change", v)
		}
	}
	return verdicts
}

// outside applies one commit of no run.
func (h *harness) outside(c lambdabiz.Commit) lambdabiz.Verdict {
	h.Helper()
	if c.At.IsZero() {
		c.At = at(0)
	}
	v := h.commitAll(&c)[0]
	h.must(v.Err, "verdict of a commit from outside")
	return v
}

func (h *harness) tryStart(s lambdabiz.RunStart) lambdabiz.StartVerdict {
	h.Helper()
	return h.outside(lambdabiz.Commit{Starts: []lambdabiz.RunStart{s}}).Starts[0]
}

// start makes the first run of an id.
func (h *harness) start(id string) lambdabiz.RunStart {
	h.Helper()
	s := startOf(id, 1)
	h.startNew(s)
	return s
}

func (h *harness) startNew(s lambdabiz.RunStart) {
	h.Helper()
	v := h.tryStart(s)
	h.must(v.Err, "start of "+s.RunID)
	if !v.Created {
		h.Fatalf("start of %s: not created", s.RunID)
	}
}

func (h *harness) tryRaise(r lambdabiz.Raise) error {
	h.Helper()
	return h.outside(lambdabiz.Commit{Raises: []lambdabiz.Raise{r}}).Raises[0].Err
}

// raise puts an event into an open run's inbox.
func (h *harness) raise(id, name string) {
	h.Helper()
	h.must(h.tryRaise(lambdabiz.Raise{ID: id, Name: name, Payload: text(name)}), "raise of "+name)
}

func (h *harness) tryControl(c lambdabiz.Control) error {
	h.Helper()
	return h.outside(lambdabiz.Commit{At: at(1), Controls: []lambdabiz.Control{c}}).Controls[0]
}

func (h *harness) control(kind lambdabiz.ControlKind, id string) {
	h.Helper()
	h.must(h.tryControl(lambdabiz.Control{Kind: kind, ID: id, Reason: "because"}), "control of "+id)
}

func (h *harness) join(names ...string) int64 {
	h.Helper()
	return h.joinVersion("v1", names...)
}

func (h *harness) joinVersion(version string, names ...string) int64 {
	h.Helper()
	n, err := h.b.Join(background, lambdabiz.WorkerInfo{Names: names, Version: version, Host: "here", PID: 7})
	h.must(err, "Join")
	return n
}

func (h *harness) leave(worker int64) {
	h.Helper()
	h.must(h.b.Leave(background, worker, -1), "Leave")
}

// remove removes a worker that has died, as others do.
func (h *harness) remove(worker int64) {
	h.Helper()
	h.must(removeDead(h.b, worker), "Leave for a dead worker")
}

// removeDead does nothing for a worker that is not registered.
func removeDead(b lambdabiz.Backend, worker int64) error {
	workers, err := b.Workers(background)
	if err != nil {
		return err
	}
	for _, w := range workers {
		if w.Number == worker {
			return b.Leave(background, worker, w.Beat)
		}
	}
	return nil
}

func (h *harness) load(id string) *lambdabiz.Record {
	h.Helper()
	return h.loadRun(id, "")
}

func (h *harness) loadRun(id, runID string) *lambdabiz.Record {
	h.Helper()
	h.settle()
	r, err := h.b.Load(background, id, runID)
	h.must(err, "Load of "+id)
	if r == nil {
		h.Fatalf("Load of %s: nil without an error", id)
	}
	if informer, ok := h.b.(lambdabiz.Informer); ok {
		info, err := informer.Info(background, id, runID)
		h.must(err, "Info of "+id)
		want(h, *info, r.RunInfo, "Info of "+id)
	}
	return r
}

// claimAt claims all that is due of the given ids.
func (h *harness) claimAt(worker int64, now time.Time, ids ...string) lambdabiz.Claims {
	h.Helper()
	h.reach(now)
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = nameOf(id)
	}
	r := lambdabiz.ClaimRequest{Worker: worker, Names: names, Limit: 100, Now: now}
	if h.describes.LongPoll {
		return h.pollFor(r, ids)
	}
	claims, err := h.b.Claim(background, r)
	h.must(err, "Claim")
	return claims
}

// pollFor asks a home that gives whatever is due, one run at a time, until it has the ids or nothing more. What
// else came is given back: due again at once, as it was.
func (h *harness) pollFor(r lambdabiz.ClaimRequest, ids []string) lambdabiz.Claims {
	h.Helper()
	var found lambdabiz.Claims
	var others []*lambdabiz.Commit
	for range 1000 {
		claims, err := h.b.Claim(background, r)
		h.must(err, "Claim")
		if len(claims.Runs) > 1 {
			h.Fatalf("Claim: %d runs of one long poll", len(claims.Runs))
		}
		if len(claims.Runs) == 0 && !claims.More {
			break
		}
		for _, run := range claims.Runs {
			if slices.Contains(ids, run.ID) {
				found.Runs = append(found.Runs, run)
			} else {
				others = append(others, &lambdabiz.Commit{Run: &run.Ref, Worker: r.Worker, At: r.Now, Again: true})
			}
		}
		if len(ids) > 0 && len(found.Runs) == len(ids) {
			break
		}
	}
	for _, c := range others {
		h.must(h.commitAll(c)[0].Err, "giving back a run that was not asked for")
	}
	return found
}

// settle brings the copy of a home that lags up to date with all runs that are not held: it claims what is due
// and gives it back.
func (h *harness) settle() {
	h.Helper()
	if !h.describes.Lags {
		return
	}
	worker := h.join()
	h.pollFor(lambdabiz.ClaimRequest{Worker: worker, Limit: 100, Now: at(0)}, nil)
	h.leave(worker)
}

// notDue expects that nobody can claim the id.
func (h *harness) notDue(now time.Time, id, why string) {
	h.Helper()
	worker := h.join()
	if claims := h.claimAt(worker, now, id); len(claims.Runs) > 0 {
		h.Fatalf("run of %s was claimed: %s", id, why)
	}
	h.leave(worker)
}

// due expects that the id can be claimed, and gives the claim back by a plain release.
func (h *harness) due(now time.Time, id, why string) lambdabiz.Claimed {
	h.Helper()
	x := h.tryHold(h.join(), now, id)
	if x == nil {
		h.Fatalf("run of %s was not due: %s", id, why)
	}
	x.release(lambdabiz.Release{})
	h.leave(x.worker)
	return x.Claimed
}
