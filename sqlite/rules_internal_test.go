package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// Some statements change rows by a rule without reading them before. These tests compare what such a statement makes of
// a row with what the rule says, for all heads that there are.

const (
	ruleWorker  = 7
	ruleVersion = "v1" // by which runs are blocked
)

var ruleNow = time.Date(2026, 5, 1, 12, 0, 0, 1000, time.UTC)

// ruleHeads are all states of a run.
func ruleHeads() []rules.Head {
	all := []rules.Head{{ID: "a", RunID: "r", Name: "Order", Status: lambdabiz.StatusStarted, Fence: 3}}
	for _, change := range []func(h *rules.Head){
		func(h *rules.Head) { h.Due = rules.AtOnce() },
		func(h *rules.Head) { h.Due = ruleNow },
		func(h *rules.Head) { h.Held, h.Worker = true, ruleWorker },
		func(h *rules.Head) { h.Paused, h.PauseReason, h.Due = true, "stock is counted", time.Time{} },
		func(h *rules.Head) { h.Cancelled, h.CancelReason = true, "too late" },
		func(h *rules.Head) { h.Blocked = true },
		func(h *rules.Head) { h.Crashes, h.Mark = 2, 9 },
		func(h *rules.Head) { h.Mode, h.Held, h.Worker = lambdabiz.ModeHand, true, 0 },
	} {
		for _, h := range all {
			change(&h)
			all = append(all, h)
		}
	}
	for _, h := range all {
		all = append(all, rules.Close(h, &lambdabiz.Close{Status: lambdabiz.StatusFailed}, ruleNow).Head)
	}
	return all
}

// follows has a statement done to each head, in a transaction of its own, and compares what is in the row then with want.
// A head that want refuses is left out.
func follows(t *testing.T, do func(x *tx, no int64, h *rules.Head) error, want func(h rules.Head) (rules.Head, bool)) {
	t.Helper()
	b, err := Open(filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	undone, compared := errors.New("undone"), 0
	err = b.write(context.Background(), "test", func(x *tx) error {
		for _, before := range ruleHeads() {
			after, asked := want(before)
			if !asked {
				continue
			}
			compared++
			no, err := x.lay(&before)
			if err != nil {
				return err
			}
			if err := do(x, no, &before); err != nil {
				return err
			}
			got, err := x.prepare(qRunHead).int(no).head()
			if err != nil {
				return err
			}
			if got.Head != after {
				t.Errorf("of %+v\nit makes %+v\nthe rule %+v", before, got.Head, after)
			}
			if err := x.prepare(qPurgeRun).int(no).exec(); err != nil {
				return err
			}
		}
		return undone
	})
	if !errors.Is(err, undone) {
		t.Fatal(err)
	}
	if compared == 0 {
		t.Error("nothing was compared")
	}
}

// lay makes a row of a head.
func (t *tx) lay(h *rules.Head) (int64, error) {
	c, open := &lambdabiz.Commit{At: ruleNow}, &head{Head: *h}
	open.Status = lambdabiz.StatusStarted
	if err := t.insert(c, &lambdabiz.RunStart{}, open, nil); err != nil {
		return 0, err
	}
	if h.Blocked {
		b := &lambdabiz.Blocked{Version: ruleVersion}
		if err := t.writeRelease(open.no, h.Due, &lambdabiz.Release{Blocked: b}); err != nil {
			return 0, err
		}
	}
	err := t.prepare(qSetCrashes).int(open.no).int(h.Crashes).int(h.Mark).exec()
	if err == nil {
		err = t.setState(open.no, h)
	}
	if err == nil && !h.Open() {
		err = t.write(c, open, rules.Change{Head: *h}, &lambdabiz.Close{})
	}
	return open.no, err
}

func always(h rules.Head) (rules.Head, bool) { return h, true }

func TestRowOfAHead(t *testing.T) {
	t.Parallel()
	follows(t, func(*tx, int64, *rules.Head) error { return nil }, always)
}

func TestStatementsOfClaimsFollowTheRules(t *testing.T) {
	t.Parallel()
	follows(t, func(x *tx, no int64, h *rules.Head) error {
		return x.prepare(qClaim).int(ruleWorker).int(no).int(h.Fence).exec()
	}, func(h rules.Head) (rules.Head, bool) { return rules.Claim(h, ruleWorker), h.Claimable() })
	follows(t, func(x *tx, no int64, h *rules.Head) error {
		return x.prepare(qClaim).int(handOwner).int(no).int(h.Fence).exec()
	}, func(h rules.Head) (rules.Head, bool) {
		return rules.Claim(h, 0), h.Open() && h.Mode == lambdabiz.ModeHand
	})
}

func TestStatementsThatFindWhatIsDueFollowTheRules(t *testing.T) {
	t.Parallel()
	for _, now := range []time.Time{ruleNow.Add(-time.Microsecond), ruleNow, ruleNow.Add(time.Hour)} {
		follows(t, func(x *tx, _ int64, h *rules.Head) error {
			due, _, err := x.due(lambdabiz.ClaimRequest{Names: []string{"Order"}, Limit: 10, Now: now}, &rivals{})
			if err == nil && (len(due) == 1) != (h.Claimable() && h.IsDue(now)) {
				t.Errorf("at %v due are %v of %+v", now, due, h)
			}
			return err
		}, always)
	}
	for _, version := range []string{ruleVersion, "v2"} {
		others := &rivals{version: version, names: []string{"Order"}}
		follows(t, func(x *tx, _ int64, h *rules.Head) error {
			due, _, err := x.due(lambdabiz.ClaimRequest{Names: []string{"Order"}, Limit: 10, Now: ruleNow}, others)
			wanted := h.Claimable() && h.IsDue(ruleNow) && !rules.Leaves(h, ruleVersion, version, others.serve)
			if err == nil && (len(due) == 1) != wanted {
				t.Errorf("beside workers of another version than %s due are %v of %+v", version, due, h)
			}
			return err
		}, always)
	}
}

func TestStatementsOfWorkersFollowTheRules(t *testing.T) {
	t.Parallel()
	for crashes, free := range []func(h rules.Head) rules.Head{rules.Taken, rules.Crashed} {
		follows(t, func(x *tx, _ int64, _ *rules.Head) error {
			return x.prepare(qFree).int(ruleWorker).int(atOnce).int(int64(crashes)).exec()
		}, func(h rules.Head) (rules.Head, bool) {
			if h.Worker == ruleWorker && h.Open() {
				return free(h), true
			}
			return h, true
		})
	}
	follows(t, func(x *tx, no int64, h *rules.Head) error {
		return x.prepare(qFreeDoubtful).int(no).int(ruleWorker).int(h.Fence).int(atOnce).exec()
	}, func(h rules.Head) (rules.Head, bool) {
		if h.Worker == ruleWorker && h.Open() {
			return rules.Taken(h), true
		}
		return h, true
	})
	for _, version := range []string{ruleVersion, "v2"} {
		for _, name := range []string{"Order", "Invoice"} {
			w := &lambdabiz.WorkerInfo{Names: []string{name}, Version: version}
			follows(t, func(x *tx, _ int64, _ *rules.Head) error {
				return x.prepare(qUnblock).json(w.Names, false).text(w.Version).int(atOnce).exec()
			}, func(h rules.Head) (rules.Head, bool) {
				h, _ = rules.Unblocks(h, ruleVersion, w)
				return h, true
			})
		}
	}
}

func TestStatementsThatEndAClaimFollowTheRules(t *testing.T) {
	t.Parallel()
	for _, release := range []*lambdabiz.Release{
		{}, {WakeAt: ruleNow}, {Blocked: &lambdabiz.Blocked{Version: "v2"}}, {Blocked: &lambdabiz.Blocked{}, WakeAt: ruleNow},
	} {
		for _, unseen := range []bool{false, true} {
			follows(t, func(x *tx, no int64, h *rules.Head) error {
				return x.writeRelease(no, rules.Release(*h, release, unseen).Due, release)
			}, func(h rules.Head) (rules.Head, bool) {
				after := rules.Release(h, release, unseen)
				after.Held = h.Mode == lambdabiz.ModeHand // the row does not say whether somebody drives it
				return after, h.Open() && h.Held
			})
		}
	}
	follows(t, func(x *tx, no int64, h *rules.Head) error {
		change := rules.Close(*h, &lambdabiz.Close{Status: lambdabiz.StatusFailed}, ruleNow)
		return x.write(&lambdabiz.Commit{At: ruleNow}, &head{Head: *h, no: no}, change, &lambdabiz.Close{})
	}, func(h rules.Head) (rules.Head, bool) {
		return rules.Close(h, &lambdabiz.Close{Status: lambdabiz.StatusFailed}, ruleNow).Head, true
	})
}

func TestStatementOfOneOperationFollowsTheRules(t *testing.T) {
	t.Parallel()
	for _, fence := range []int64{2, 3, 4} {
		follows(t, func(x *tx, no int64, h *rules.Head) error {
			err := x.prepare(qGuardedOperation).bindOperation(no, &lambdabiz.Operation{Number: 1}).int(fence).exec()
			if written := x.db.Changes() == 1; err == nil && written != h.Writable(fence) {
				t.Errorf("under fence %d it is written %v: %+v", fence, written, h)
			}
			return errors.Join(err, x.prepare(qPurgeOperations).int(no).exec())
		}, func(h rules.Head) (rules.Head, bool) {
			return h, h.Held || h.Fence != fence || !h.Open() // nobody is told the fence of one that is not held
		})
	}
}

func TestStatementsOfMessagesFollowTheRules(t *testing.T) {
	t.Parallel()
	const next = 1000
	for kind := lambdabiz.MessageEvent; kind <= lambdabiz.MessageDrop; kind++ {
		for name, c := range map[string]struct {
			do   func(x *tx, no, message int64) error
			left bool
		}{
			"consumed": {func(x *tx, no, m int64) error { return x.prepare(qConsume).int(m).int(no).exec() }, rules.Stays(kind)},
			"moved":    {func(x *tx, no, _ int64) error { return x.prepare(qMoveMessages).int(next).int(no).exec() }, !rules.Moves(kind)},
			"withdrawn": {
				func(x *tx, no, _ int64) error { return x.prepare(qWithdrawPause).int(no).exec() }, kind != lambdabiz.MessagePause,
			},
		} {
			follows(t, func(x *tx, no int64, h *rules.Head) error {
				if err := x.insertMessage(&head{Head: *h, no: no}, &lambdabiz.Message{Kind: kind}); err != nil {
					return err
				}
				if err := c.do(x, no, x.db.LastInsertRowID()); err != nil {
					return err
				}
				left, err := x.prepare(qMessages).int(no).found()
				if left != c.left {
					t.Errorf("a message of kind %d is %s, and left is %v", kind, name, left)
				}
				return errors.Join(err, x.prepare(qPurgeMessages).int(no).exec())
			}, func(h rules.Head) (rules.Head, bool) { return h, h.Held })
		}
	}
}

func TestStatementsThatFindWhatIsPurgedFollowTheRules(t *testing.T) {
	t.Parallel()
	for _, before := range []time.Time{{}, ruleNow, ruleNow.Add(time.Second)} {
		p := lambdabiz.PurgeRequest{EndedBefore: before}
		follows(t, func(x *tx, _ int64, h *rules.Head) error {
			if _, err := x.pragma(`UPDATE runs SET ended_after = 0 WHERE status > 2`); err != nil {
				return err
			}
			want, err := rules.Purges(h.Status, ruleNow, &p)
			if err != nil {
				return err
			}
			found, err := x.prepare(qPurgeable).time(before).int(10).found()
			if found != want {
				t.Errorf("ended before %v: %v of %+v", before, found, h)
			}
			return err
		}, always)
	}
}
