package backendtest

import (
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// What the rules leave open is made equal before it is compared: an empty payload may come back as
// nil, and empty maps and slices as well.

func normalPayload(p lambdabiz.Payload) lambdabiz.Payload {
	if len(p) == 0 {
		return nil
	}
	return p
}

func normalTime(t time.Time) time.Time { return t.UTC().Round(0) }

func normalFailure(f *lambdabiz.Failure) *lambdabiz.Failure {
	if f == nil {
		return nil
	}
	c := *f
	if len(c.Data) == 0 {
		c.Data = nil
	}
	c.Causes = nil
	for _, cause := range f.Causes {
		c.Causes = append(c.Causes, normalFailure(cause))
	}
	return &c
}

func normalInfo(i lambdabiz.RunInfo) lambdabiz.RunInfo {
	i.Input, i.Result, i.Progress = normalPayload(i.Input), normalPayload(i.Result), normalPayload(i.Progress)
	i.Error = normalFailure(i.Error)
	if len(i.Tags) == 0 {
		i.Tags = nil
	}
	if len(i.Orphans) == 0 {
		i.Orphans = nil
	}
	if i.Blocked != nil {
		b := *i.Blocked
		b.Since, b.RetryAt = normalTime(b.Since), normalTime(b.RetryAt)
		i.Blocked = &b
	}
	i.ScheduledAt, i.StartedAt = normalTime(i.ScheduledAt), normalTime(i.StartedAt)
	i.EndedAt, i.Deadline = normalTime(i.EndedAt), normalTime(i.Deadline)
	i.WakeAt = normalTime(i.WakeAt)
	return i
}

func normalOperation(o lambdabiz.Operation) lambdabiz.Operation {
	o.Input, o.Result, o.Details = normalPayload(o.Input), normalPayload(o.Result), normalPayload(o.Details)
	o.Error = normalFailure(o.Error)
	o.ScheduledAt, o.StartedAt, o.EndedAt = normalTime(o.ScheduledAt), normalTime(o.StartedAt), normalTime(o.EndedAt)
	o.DueAt, o.ExpiresAt = normalTime(o.DueAt), normalTime(o.ExpiresAt)
	return o
}

func normalOperations(operations []lambdabiz.Operation) []lambdabiz.Operation {
	out := make([]lambdabiz.Operation, 0, len(operations))
	for _, o := range operations {
		out = append(out, normalOperation(o))
	}
	return out
}
