package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Config says how recordings are read and played. The zero value works.
type Config struct {
	// Codec is the one that made the payloads. The default is lambdabiz.JSONCodec.
	Codec lambdabiz.Codec

	// Stubs are the results of new operations that the code goes past, by path. The default is the zero value of the
	// type that the code wants.
	Stubs map[string]any

	// Patience is how long code may compute between two operations. The default is 10 s. What takes longer is
	// reported as not come to rest.
	Patience time.Duration
}

// Run lets code run over each orchestration of an export (lambdabiz export, or a State in JSON after another), and reports
// what it would do. Nothing is performed and nothing is stored: a task, a step, a service call, a raised event or a
// child that is not recorded to its end is reported and held there, while other branches go on. Recorded results are
// returned to the code, and timers that are due and buffered events end as they would in production.
//
// The code goes past a new operation that stands before recorded ones, with the result of a stub, to see whether it
// comes to them.
//
// The items are those of [lambdabiz.Engine.Register]; tasks need not be among them. What cannot be read is an error. An
// orchestration whose definition is not among the items, or that is driven by hand, has a report that says so.
func Run(ctx context.Context, export io.Reader, c Config, items ...lambdabiz.Registrable) (Table, error) {
	var table Table
	states := json.NewDecoder(export)
	for at := 1; ; at++ {
		var state json.RawMessage
		switch err := states.Decode(&state); {
		case errors.Is(err, io.EOF):
			return table, nil
		case err != nil:
			return nil, fmt.Errorf("read orchestration %d of the export: %w", at, err)
		}
		report, err := c.Resume(ctx, state, items...)
		if err != nil {
			return nil, fmt.Errorf("orchestration %d of the export: %w", at, err)
		}
		table = append(table, report)
	}
}

// Resume is [Run] for the state of one orchestration.
func (c Config) Resume(ctx context.Context, state []byte, items ...lambdabiz.Registrable) (*Report, error) {
	rec, err := c.read(state)
	if err != nil {
		return nil, err
	}
	report, err := c.play(ctx, rec, items)
	if err != nil {
		return nil, fmt.Errorf("orchestration %s: %w", rec.ID, err)
	}
	return report, nil
}

// play runs the code over the record.
func (c Config) play(ctx context.Context, rec *lambdabiz.Record, items []lambdabiz.Registrable) (*Report, error) {
	if rec.Mode == lambdabiz.ModeHand {
		report := newReport(rec)
		report.Skipped = "it is driven by hand: call its code with an engine that has it (see Engine.Create)"
		return report, nil
	}
	codec := c.Codec
	if codec == nil {
		codec = lambdabiz.JSONCodec{}
	}
	p := newPlayback(rec, codec, c.Stubs)
	engine, err := lambdabiz.New(p, lambdabiz.Config{
		Logger: slog.New(slog.DiscardHandler), Codec: codec, PollInterval: -1, Version: "check", MaxPayloadBytes: 1 << 30,
		DrainTimeout: time.Millisecond,
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
	patience := c.Patience
	if patience <= 0 {
		patience = 10 * time.Second
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	atRest := true
	select {
	case <-p.rested:
	case <-late.C:
		atRest = false
	case <-ctx.Done():
	}
	report, names := p.finish()
	stop()
	if err := errors.Join(<-done, ctx.Err()); err != nil {
		return nil, err
	}
	switch {
	case !slices.Contains(names, rec.Name):
		report = newReport(rec)
		report.Skipped = fmt.Sprintf("no definition with the name %q is among the items, but %q", rec.Name, names)
	case !atRest:
		report.Unplayed = fmt.Sprintf("its code has not come to rest within %v", patience)
	}
	return report, nil
}
