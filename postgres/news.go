package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
)

// claimer is what Claim knows of the workers that ask through this value. Messages are numbered within their runs, so
// [lambdabiz.ClaimRequest].After cannot say which of them a worker has: it says which answer it has had. A run stays marked as
// having news until the answer with them was acknowledged by the next request, for an answer may be lost.
type claimer struct {
	told map[int64]*told // by worker
}

// told is what one worker was told.
type told struct {
	through int64           // the last answer
	after   int64           // the answer that it has named last
	had     map[int64]int64 // by run: the highest message that the worker is known to have
	sent    []sent          // answers that are not acknowledged yet
}

// sent is messages of a run up to a number, in an answer.
type sent struct{ answer, run, last int64 }

// mostHad bounds what is remembered of one worker. What is forgotten is told again, and the engine has it already.
const mostHad = 100_000

func (c *claimer) of(worker int64) *told {
	w := c.told[worker]
	if w == nil {
		w = &told{had: map[int64]int64{}}
		c.told[worker] = w
	}
	return w
}

// claimed notes that a worker has all messages of a run that it was given.
func (c *claimer) claimed(worker int64, r *stored) {
	c.of(worker).had[r.no] = r.lastMessage
}

// acknowledge notes which answers the worker has had. It returns of which runs it has been told how much, and whether it asks
// for something again.
func (w *told) acknowledge(after int64) (done columns, again bool) {
	again = after < w.after
	w.after = after
	rest := w.sent[:0]
	for _, s := range w.sent {
		if s.answer > after {
			rest = append(rest, s)
			continue
		}
		w.had[s.run] = s.last
		done.add(s.run, s.last)
	}
	w.sent = rest
	return done, again
}

// look finds messages for runs that the worker holds, and when a run is due next.
func (t *tx) look(ctx context.Context, s *search, c *claimer) (lambdabiz.Claims, error) {
	r := s.r
	w := c.of(r.Worker)
	done, again := w.acknowledge(r.After)
	if len(w.had) > mostHad {
		clear(w.had)
	}
	var claims lambdabiz.Claims
	var held []heldRun
	known := false
	p := t.pipe() // one transaction
	p.settle()
	if done.rows() > 0 {
		p.add(qTold, nil, nil, append(done.args(), r.Worker)...)
	}
	p.add(qFindWorker, nil, func(rows pgx.Rows) error {
		known = true
		return rows.Scan(&s.mail)
	}, r.Worker, r.Now.UnixMicro())
	p.add(qNews, nil, func(rows pgx.Rows) error {
		var h heldRun
		var id, runID string
		err := rows.Scan(&h.no, &h.last, &h.ref.Fence, &id, &runID)
		var d decoder
		h.ref.ID, h.ref.RunID, h.ref.Handle = d.text("id", &id), d.text("run id", &runID), h.no
		held = append(held, h)
		return err
	}, r.Worker, again)
	p.nextWake(s, &claims.NextWake)
	if err := p.run(ctx); err != nil {
		return claims, err
	}
	if !known {
		delete(c.told, r.Worker)
		return claims, lambdabiz.ErrFenced
	}
	if len(held) > 0 {
		if err := t.readNews(ctx, held, w, again); err != nil {
			return claims, err
		}
	}
	claims.Through = max(r.After, w.through) + 1
	w.through = claims.Through
	for _, h := range held {
		if h.rotten {
			continue // its own commits and reads say why
		}
		w.sent = append(w.sent, sent{claims.Through, h.no, h.last})
		if len(h.messages) > 0 {
			claims.Arrived = append(claims.Arrived, lambdabiz.Arrival{Ref: h.ref, Messages: h.messages})
		}
	}
	return claims, nil
}

// heldRun is a held run with messages that its holder does not know.
type heldRun struct {
	ref      lambdabiz.RunRef
	no, last int64
	messages []lambdabiz.Message
	rotten   bool
}

// readNews reads the messages of held runs that the worker is not known to have; all, if it asks again.
func (t *tx) readNews(ctx context.Context, held []heldRun, w *told, again bool) error {
	var above columns
	place := map[int64]*heldRun{}
	for i := range held {
		h := &held[i]
		place[h.no] = h
		had := w.had[h.no]
		if again {
			had = 0
		}
		above.add(h.no, had)
	}
	return t.query(ctx, qNewer, func(rows pgx.Rows) error {
		var no int64
		m, err := scanMessage(rows, &no)
		if isUnreadable(err) {
			place[no].rotten = true
			return nil
		}
		place[no].messages = append(place[no].messages, m)
		return err
	}, above.args()...)
}
