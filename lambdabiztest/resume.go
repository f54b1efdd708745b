package lambdabiztest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/check"
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

	// Stubs are the results of new operations that the code goes past, by path. The default is the zero value of the
	// type that the code wants.
	Stubs map[string]any
}

// Report is what code does with a [Recording].
type Report = check.Report

// Item is an operation in a [Report].
type Item = check.Item

// Resume lets the given code run over a recording, and reports what it would do. Nothing is performed: a task, a step, a
// service call, a raised event or a child that is not recorded to its end is reported and held there, while other
// branches go on. Past a new one that stands before something recorded the code goes on, with the result of a stub, to see
// whether it comes to that; what is new and looks like something recorded that it does not come to is in Repeated.
// Recorded results are returned to the code, and timers and buffered events end as they would in production.
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
	var s lambdabiz.State
	if err := json.Unmarshal(r.State, &s); err != nil {
		return nil, fmt.Errorf("read the recording: %w", err)
	}
	at := r.At
	if at.IsZero() {
		at = lastTime(&s)
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(at)) // the bubble's clock begins in the year 2000
		report, err = check.Config{Codec: r.Codec, Stubs: r.Stubs}.Resume(t.Context(), r.State, items...)
		synctest.Wait()
	})
	if err != nil {
		return nil, err
	}
	if report.Skipped != "" {
		return nil, fmt.Errorf("orchestration %s: %s", s.ID, report.Skipped)
	}
	return report, nil
}

// Check is [Resume] for each orchestration of an export (lambdabiz export): what the code would do with all that is open,
// each at the time of its latest record. What is driven by hand, or whose definition is not among the items, is skipped.
func Check(t *testing.T, export []byte, items ...lambdabiz.Registrable) check.Table {
	t.Helper()
	var table check.Table
	for states := json.NewDecoder(bytes.NewReader(export)); ; {
		var state json.RawMessage
		switch err := states.Decode(&state); {
		case errors.Is(err, io.EOF):
			return table
		case err != nil:
			t.Fatalf("lambdabiztest: read orchestration %d of the export: %v", len(table)+1, err)
		}
		var s lambdabiz.State
		if err := json.Unmarshal(state, &s); err != nil {
			t.Fatalf("lambdabiztest: read orchestration %d of the export: %v", len(table)+1, err)
		}
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(lastTime(&s)))
			report, err := check.Config{}.Resume(t.Context(), state, items...)
			if err != nil {
				t.Fatalf("lambdabiztest: orchestration %d of the export: %v", len(table)+1, err)
			}
			table = append(table, report)
			synctest.Wait()
		})
	}
}

// lastTime is the latest time that is recorded.
func lastTime(s *lambdabiz.State) time.Time {
	last := s.ScheduledAt
	for _, t := range []time.Time{s.StartedAt, s.EndedAt} {
		last = latest(last, t)
	}
	for i := range s.Operations {
		o := &s.Operations[i]
		for _, t := range []time.Time{o.ScheduledAt, o.StartedAt, o.EndedAt} {
			last = latest(last, t)
		}
	}
	for i := range s.Events {
		last = latest(last, s.Events[i].ArrivedAt)
	}
	return last
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
