package model_test

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/lambdabiz/lambdabiz"
)

// judge looks at the end of an execution: everything must have ended, and as one reading of the stimuli in their order
// has it.
func (w *world) judge() {
	rec := w.rec
	if !ended(&lambdabiz.Operation{Status: rec.Status}) {
		w.complainf("it has not ended: held by %d, wakes at %v, %s", rec.Worker, w.wakes(), w.operations())
		return
	}
	w.judgeEvents()
	w.judgeNap()
	whole, cancelled := true, false
	for _, id := range []string{opEvent, opNap, opMore, opEffect} {
		o := operation(rec, id)
		whole = whole && o != nil && o.Status != lambdabiz.StatusCancelled
		cancelled = cancelled || o != nil && o.Status == lambdabiz.StatusCancelled
		switch {
		case o == nil || o.Status == lambdabiz.StatusCancelled:
			if w.cancelled.IsZero() || o != nil && o.EndedAt.Before(w.cancelled) {
				w.complainf("%s has come to nothing, and nobody had cancelled the run: %s", id, w.operations())
			}
		case !w.told.IsZero() && o.EndedAt.After(w.told) && id != opEffect:
			w.complainf("%s is %s at %v, and the run was cancelled at %v", id, o.Status, o.EndedAt.Sub(w.begun), w.told.Sub(w.begun))
		}
	}
	if clean := operation(rec, opClean); clean == nil || clean.Status != lambdabiz.StatusSucceeded {
		w.complainf("the clean-up was not done: %s", w.operations())
	}
	want := lambdabiz.StatusCancelled
	if whole {
		want = lambdabiz.StatusSucceeded
	}
	if rec.Status != want {
		w.complainf("it is %s: %s", rec.Status, w.operations())
	}
	if result := strconv.Quote(w.got(opEvent) + " " + w.got(opMore)); whole && string(rec.Result) != result {
		w.complainf("its result is %s, want %s: %s", rec.Result, result, w.operations())
	}
}

// got is what the code of a wait was given.
func (w *world) got(id string) string {
	if o := operation(w.rec, id); o != nil && o.Status == lambdabiz.StatusSucceeded {
		return string(o.Result)
	}
	return "0"
}

// judgeEvents: each event was taken by one wait, for which it came in time, or it is left. One that was there in time for
// a wait that has timed out was taken by an earlier one.
func (w *world) judgeEvents() {
	taken := map[string]string{}
	for _, id := range []string{opEvent, opMore} {
		o := operation(w.rec, id)
		if o == nil || o.Status != lambdabiz.StatusSucceeded {
			continue
		}
		payload := string(o.Result)
		if other := taken[payload]; other != "" {
			w.complainf("event %s was taken by %s and by %s", payload, other, id)
		}
		taken[payload] = id
		if !slices.ContainsFunc(w.events, func(e raised) bool { return e.payload == payload && !e.at.After(o.DueAt) && !e.late[id] }) {
			w.complainf("%s has taken event %s, which had not come in time: it was due at %v", id, payload, o.DueAt.Sub(w.begun))
		}
	}
	for _, e := range w.events {
		left := slices.ContainsFunc(w.rec.Messages, func(m lambdabiz.Message) bool { return string(m.Payload) == e.payload })
		taker := taken[e.payload]
		if left == (taker != "") {
			w.complainf("event %s was taken by %q, and left: %t", e.payload, taker, left)
		}
		for _, id := range []string{opEvent, opMore} {
			o := operation(w.rec, id)
			if o == nil || o.Status != lambdabiz.StatusTimeout || e.at.After(o.DueAt) || e.late[id] {
				continue
			}
			if left || operation(w.rec, taker).Number > o.Number { // else an earlier wait has it
				w.complainf("event %s was there in time, and %s has timed out", e.payload, id)
			}
		}
	}
	for _, id := range []string{opEvent, opMore} {
		if o := operation(w.rec, id); o != nil && o.Status == lambdabiz.StatusTimeout && o.EndedAt.Before(o.DueAt) {
			w.complainf("%s timed out %v early", id, o.DueAt.Sub(o.EndedAt))
		}
	}
}

func (w *world) judgeNap() {
	if o := operation(w.rec, opNap); o != nil && o.Status == lambdabiz.StatusSucceeded && o.EndedAt.Before(o.DueAt) {
		w.complainf("the timer was %v early", o.DueAt.Sub(o.EndedAt))
	}
}

// operations says how they stand.
func (w *world) operations() string {
	text := ""
	for i := range w.rec.Operations {
		o := &w.rec.Operations[i]
		text += fmt.Sprintf("%s %s; ", o.ID, o.Status)
	}
	return text
}

// wakes is when the run wakes by time.
func (w *world) wakes() string {
	if w.rec.WakeAt.IsZero() {
		return "no time"
	}
	return w.rec.WakeAt.Sub(w.begun).String()
}
