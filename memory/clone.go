package memory

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Everything is copied on its way in and out: a caller that changes what it gave or got must not
// change what is stored, or this backend would hide bugs that a database shows.

// stamp makes a time as a database keeps it: UTC, microseconds, no monotonic clock.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func clonePayload(p lambdabiz.Payload) lambdabiz.Payload {
	return lambdabiz.Payload(bytes.Clone(p))
}

func cloneFailure(f *lambdabiz.Failure) *lambdabiz.Failure {
	if f == nil {
		return nil
	}
	c := *f
	c.Data = bytes.Clone(f.Data)
	c.Causes = slices.Clone(f.Causes)
	for i := range c.Causes {
		c.Causes[i] = cloneFailure(c.Causes[i])
	}
	return &c
}

func cloneBlocked(p *lambdabiz.Blocked) *lambdabiz.Blocked {
	if p == nil {
		return nil
	}
	c := *p
	c.Since, c.RetryAt = stamp(c.Since), stamp(c.RetryAt)
	return &c
}

func cloneParent(p *lambdabiz.Parent) *lambdabiz.Parent {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

func cloneInfo(i lambdabiz.RunInfo) lambdabiz.RunInfo {
	i.Blocked = cloneBlocked(i.Blocked)
	i.Tags = maps.Clone(i.Tags)
	i.Parent = cloneParent(i.Parent)
	i.Input, i.Result = clonePayload(i.Input), clonePayload(i.Result)
	i.Progress = clonePayload(i.Progress)
	i.Error = cloneFailure(i.Error)
	i.Orphans = slices.Clone(i.Orphans)
	return i
}

func cloneOperation(o lambdabiz.Operation) lambdabiz.Operation {
	room := make([]byte, 0, len(o.Input)+len(o.Result)+len(o.Details)) // one for all
	o.Input, room = cloneInto(room, o.Input)
	o.Result, room = cloneInto(room, o.Result)
	o.Details, _ = cloneInto(room, o.Details)
	o.Error = cloneFailure(o.Error)
	o.ScheduledAt, o.StartedAt, o.EndedAt = stamp(o.ScheduledAt), stamp(o.StartedAt), stamp(o.EndedAt)
	o.DueAt, o.ExpiresAt = stamp(o.DueAt), stamp(o.ExpiresAt)
	return o
}

// cloneInto copies a payload into what is left of a room, and returns the copy and what is left then.
func cloneInto(room []byte, p lambdabiz.Payload) (copied lambdabiz.Payload, left []byte) {
	if p == nil {
		return nil, room
	}
	room = append(room, p...)
	return room[:len(p):len(p)], room[len(p):]
}

func cloneMessages(messages []lambdabiz.Message) []lambdabiz.Message {
	c := slices.Clone(messages)
	for i := range c {
		c[i].Payload = clonePayload(c[i].Payload)
		c[i].Error = cloneFailure(c[i].Error)
	}
	return c
}

func cloneWorker(w lambdabiz.WorkerRecord) lambdabiz.WorkerRecord {
	w.Names = slices.Clone(w.Names)
	return w
}
