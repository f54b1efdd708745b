package lambdabiztest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
)

// Recording is the state of an orchestration, exported to be resumed by new code in a test.
type Recording struct {
	// State is a lambdabiz.State in JSON: what `lambdabiz show ID -o json` prints, and what encoding/json makes of
	// Engine.State.
	State []byte

	// At is the time at which it is resumed: timers that are due by then have ended. The default is the time of the
	// latest record, so that a report is the same at every run of the test.
	At time.Time

	// Codec is the one that made the payloads. The default is lambdabiz.JSONCodec.
	Codec lambdabiz.Codec
}

// Resume lets the given code run over a recording, and reports what it would do. Nothing is performed: a task, a step, a
// service call, a raised event or a child that is not recorded to its end is reported and held there, while other
// branches go on. So what follows a held operation is not reached. Recorded results are returned to the code, and
// timers and buffered events end as they would in production.
//
// The items are those of Engine.Register; tasks need not be among them. A recording that cannot be read, or whose
// definition is not among the items, ends the test. A mistake that would block the run does not: it is in the report.
// Runs that have ended are run again from their record, as if their last commit had not been made.
func Resume(t *testing.T, r Recording, items ...lambdabiz.Registrable) *Report {
	t.Helper()
	report, err := r.resume(t, items)
	if err != nil {
		t.Fatalf("lambdabiztest: resume: %v", err)
	}
	return report
}

func (r *Recording) resume(t *testing.T, items []lambdabiz.Registrable) (report *Report, err error) {
	t.Helper()
	rec, err := r.read()
	if err != nil {
		return nil, err
	}
	synctest.Test(t, func(t *testing.T) { report, err = r.play(t.Context(), rec, items) })
	if err != nil {
		return nil, fmt.Errorf("orchestration %s: %w", rec.ID, err)
	}
	return report, nil
}

// read makes a record of the exported state.
func (r *Recording) read() (*lambdabiz.Record, error) {
	var s lambdabiz.State
	if err := json.Unmarshal(r.State, &s); err != nil {
		return nil, fmt.Errorf("read the recording: %w", err)
	}
	if s.ID == "" || s.Name == "" {
		return nil, errors.New("read the recording: it is no state of an orchestration (export one with lambdabiz show ID -o json)")
	}
	if s.Mode == lambdabiz.ModeHand {
		return nil, errors.New("it is driven by hand: call its code with an engine that has it (see Engine.Create)")
	}
	rec := &lambdabiz.Record{RunInfo: s.RunInfo, Operations: s.Operations}
	for _, p := range []*lambdabiz.Payload{&rec.Input, &rec.Result, &rec.Progress} {
		r.restore(p)
	}
	for i := range rec.Operations {
		o := &rec.Operations[i]
		o.Number = int64(i + 1) // they are exported in the order of their numbers
		for _, p := range []*lambdabiz.Payload{&o.Input, &o.Result, &o.Details} {
			r.restore(p)
		}
		if o.Input == nil && hasInput(o.Kind) && r.Codec == nil {
			o.Input = lambdabiz.Payload("null")
		}
	}
	last := int64(0)
	for i := range s.Events {
		e := &s.Events[i]
		r.restore(&e.Payload)
		last = max(last+1, e.Number) // recordings of older engines have no numbers
		rec.Messages = append(rec.Messages, lambdabiz.Message{
			Number: last, Kind: lambdabiz.MessageEvent, Name: e.Name, Key: e.Key, Payload: e.Payload, ArrivedAt: e.ArrivedAt,
		})
	}
	if rec.CancelRequested {
		rec.Messages = append(rec.Messages, lambdabiz.Message{Number: last + 1, Kind: lambdabiz.MessageCancel})
	}
	return rec, nil
}

func hasInput(k lambdabiz.Kind) bool {
	switch k {
	case lambdabiz.KindTask, lambdabiz.KindService, lambdabiz.KindChild, lambdabiz.KindRaise:
		return true
	default:
		return false
	}
}

// restore gives a payload the bytes that it had before it was exported: without the white space of an indented export,
// and without the base64 around what is not JSON.
func (r *Recording) restore(p *lambdabiz.Payload) {
	if len(*p) == 0 {
		return
	}
	if r.Codec != nil {
		var text string
		var v any
		if json.Unmarshal(*p, &text) == nil && r.Codec.Decode(*p, &v) != nil {
			if raw, err := base64.StdEncoding.DecodeString(text); err == nil {
				*p = raw
				return
			}
		}
	}
	var b bytes.Buffer
	if json.Compact(&b, *p) == nil {
		*p = b.Bytes()
	}
}

// lastTime is the latest time that is recorded.
func lastTime(rec *lambdabiz.Record) time.Time {
	last := rec.ScheduledAt
	for _, t := range []time.Time{rec.StartedAt, rec.EndedAt} {
		last = latest(last, t)
	}
	for i := range rec.Operations {
		o := &rec.Operations[i]
		for _, t := range []time.Time{o.ScheduledAt, o.StartedAt, o.EndedAt} {
			last = latest(last, t)
		}
	}
	for i := range rec.Messages {
		last = latest(last, rec.Messages[i].ArrivedAt)
	}
	return last
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// play runs the code over the record, inside a bubble.
func (r *Recording) play(ctx context.Context, rec *lambdabiz.Record, items []lambdabiz.Registrable) (*Report, error) {
	at := r.At
	if at.IsZero() {
		at = lastTime(rec)
	}
	time.Sleep(time.Until(at)) // the bubble's clock begins in the year 2000
	store := memory.New()
	p := &playback{Backend: store, rec: rec, report: newReport(rec)}
	engine, err := lambdabiz.New(p, lambdabiz.Config{
		Logger: slog.New(slog.DiscardHandler), Codec: cmp.Or(r.Codec, lambdabiz.Codec(lambdabiz.JSONCodec{})),
		PollInterval: -1, Version: "test", MaxPayloadBytes: 1 << 30,
	})
	if err != nil {
		return nil, err
	}
	if err := engine.Register(items...); err != nil {
		return nil, err
	}
	working, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- engine.Run(working) }()
	synctest.Wait()
	p.finish()
	stop()
	if err := <-done; err != nil {
		return nil, err
	}
	synctest.Wait()
	if !slices.Contains(p.names, rec.Name) {
		return nil, fmt.Errorf("no definition with the name %q is among the items, but %q", rec.Name, p.names)
	}
	return p.report, nil
}
