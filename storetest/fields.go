package storetest

import (
	"fmt"
	"reflect"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

var fieldChecks = []check{
	{name: "field/every field of a run, its operations and messages is kept", run: fieldAll},
	{name: "field/every field of a reserved run is kept", run: fieldReserved},
	{name: "field/every field of a kept event is kept", run: fieldEvent},
	{name: "field/nil and empty payloads differ", run: fieldEmpty},
	{name: "field/payloads are bytes", run: fieldBytes},
	{name: "field/times are UTC with microseconds", run: fieldTimes},
	{name: "field/zero fields stay zero", run: fieldZero},
	{name: "field/what is given and returned is the caller's", run: fieldOwned},
}

// filler gives every field of a value a content of its own.
type filler struct{ n int }

func (f *filler) fill(v reflect.Value) {
	f.n++
	switch v.Interface().(type) {
	case *lambdabiz.Tried: // of a claim, for the engine alone
		return
	case lambdabiz.Status:
		v.Set(reflect.ValueOf(lambdabiz.StatusStarted + lambdabiz.Status(f.n%3)))
		return
	case lambdabiz.Kind:
		v.Set(reflect.ValueOf(lambdabiz.KindTask + lambdabiz.Kind(f.n%8)))
		return
	case lambdabiz.Mode:
		v.Set(reflect.ValueOf(lambdabiz.ModeHand))
		return
	case lambdabiz.MessageKind:
		v.Set(reflect.ValueOf(lambdabiz.MessageEvent + lambdabiz.MessageKind(f.n%4)))
		return
	case time.Time:
		v.Set(reflect.ValueOf(at(f.n)))
		return
	case lambdabiz.Payload:
		v.SetBytes(fmt.Appendf(nil, `{ "n": %d }`, f.n))
		return
	case []*lambdabiz.Failure:
		if f.n > 1000 { // a cause of a cause is deep enough
			return
		}
		f.n += 500
	}
	switch v.Kind() {
	case reflect.Struct:
		for _, field := range v.Fields() {
			f.fill(field)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 { // json.RawMessage
			v.SetBytes(fmt.Appendf(nil, `{"n":%d}`, f.n))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		f.fill(v.Index(0))
		f.fill(v.Index(1))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			f.fill(key)
			f.fill(value)
			v.SetMapIndex(key, value)
		}
	case reflect.String:
		v.SetString(fmt.Sprintf("<%d & ü🙂>", f.n))
	case reflect.Bool:
		v.SetBool(true)
	default:
		v.Set(reflect.ValueOf(f.n).Convert(v.Type()))
	}
}

func filled[T any]() *T {
	v := new(T)
	(&filler{}).fill(reflect.ValueOf(v).Elem())
	return v
}

// normal makes one of what need not be told apart: no elements and nil.
func normal(s *lambdabiz.Snapshot) lambdabiz.Snapshot {
	c := *s
	if len(c.Operations) == 0 {
		c.Operations = nil
	}
	if len(c.Messages) == 0 {
		c.Messages = nil
	}
	if len(c.Tags) == 0 {
		c.Tags = nil
	}
	if len(c.Orphans) == 0 {
		c.Orphans = nil
	}
	return c
}

func fieldAll(h *harness) {
	s := filled[lambdabiz.Snapshot]()
	h.put(s)
	want(h, h.get(s.ID), s, "snapshot")
	want(h, h.getFrom(h.other, s.ID), s, "snapshot by another handle")
	info := s.RunInfo
	info.Input, info.Result, info.Progress = nil, nil, nil
	want(h, h.list(lambdabiz.Filter{}), []lambdabiz.RunInfo{info}, "list")
}

func fieldReserved(h *harness) {
	s := filled[lambdabiz.Snapshot]()
	s.Operations = nil
	h.reserve(s, "")
	want(h, normal(h.get(s.ID)), *s, "snapshot")
}

func fieldEvent(h *harness) {
	e := filled[lambdabiz.KeptEvent]()
	h.keep("a", *e)
	events, err := h.other.Kept(background, "a", epoch)
	h.must(err, "Kept")
	want(h, events, []lambdabiz.KeptEvent{*e}, "events")
}

func fieldEmpty(h *harness) {
	for i, p := range []lambdabiz.Payload{nil, {}} {
		id := fmt.Sprint(i)
		o := operation(1, "")
		o.Input, o.Result, o.Details = p, p, p
		s := runOf(id, i+1, 1, o)
		s.Input, s.Result, s.Progress = p, p, p
		m := message(1, "")
		m.Payload = p
		s.Messages = []lambdabiz.Message{m}
		h.put(s)
		h.keep(id, lambdabiz.KeptEvent{Name: "n", Key: "k", Payload: p, Until: at(100)})
		got := h.get(id)
		want(h, got, s, "snapshot")
		events, err := h.s.Kept(background, id, at(1))
		h.must(err, "Kept")
		want(h, events[0].Payload, p, "payload of a kept event")
	}
}

func fieldBytes(h *harness) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for i, p := range []string{string(all), " { \"a\" : \"<b> & \\u00fc\" } \n", "null", "\x00", "\xff\xfe", `"日本"`} {
		id := fmt.Sprint(i)
		payload := lambdabiz.Payload(p)
		o := operation(1, "")
		o.Input, o.Result, o.Details = payload, payload, payload
		s := runOf(id, i+1, 1, o)
		s.Input, s.Result, s.Progress = payload, payload, payload
		s.Messages = []lambdabiz.Message{message(1, p)}
		h.put(s)
		h.keep(id, lambdabiz.KeptEvent{Name: "n", Key: "k", Payload: payload, Until: at(100)})
		want(h, h.get(id), s, "snapshot")
		events, err := h.s.Kept(background, id, at(1))
		h.must(err, "Kept")
		want(h, events[0].Payload, payload, "payload of a kept event")
	}
}

func fieldTimes(h *harness) {
	east := time.FixedZone("east", 3*3600)
	exact := time.Date(2031, time.March, 4, 5, 6, 7, 123456000, time.UTC)
	given := exact.Add(789 * time.Nanosecond).In(east)
	o := operation(1, "x")
	o.ScheduledAt, o.DueAt = given, given
	s := runOf("a", 1, 1, o)
	s.Version.Start, s.SavedAt, s.ScheduledAt, s.Deadline = given, given, given, given
	s.Messages = []lambdabiz.Message{{Number: 1, Kind: lambdabiz.MessageEvent, ArrivedAt: given}}
	h.put(s)
	got := h.get("a")
	for i, t := range []time.Time{
		got.Version.Start, got.SavedAt, got.ScheduledAt, got.Deadline, got.Operations[0].ScheduledAt, got.Operations[0].DueAt,
		got.Messages[0].ArrivedAt,
	} {
		want(h, t, exact, fmt.Sprintf("time %d", i))
	}
	h.keep("a", lambdabiz.KeptEvent{Name: "n", Key: "k", ArrivedAt: given, Until: given})
	events, err := h.s.Kept(background, "a", epoch)
	h.must(err, "Kept")
	want(h, []time.Time{events[0].ArrivedAt, events[0].Until}, []time.Time{exact, exact}, "times of a kept event")
}

// fieldZero has nothing but what every run has.
func fieldZero(h *harness) {
	s := &lambdabiz.Snapshot{Version: lambdabiz.SnapshotVersion{Start: at(1)}, SavedAt: at(1)}
	s.ID, s.RunID, s.Status, s.ScheduledAt = "a", "r", lambdabiz.StatusScheduled, at(1)
	s.Operations = []lambdabiz.Operation{{Number: 1, ID: "o"}}
	s.Messages = []lambdabiz.Message{{Number: 1}}
	h.put(s)
	want(h, h.get("a"), s, "snapshot")
}

func fieldOwned(h *harness) {
	spoil := func(s *lambdabiz.Snapshot) {
		for _, p := range []lambdabiz.Payload{
			s.Input, s.Result, s.Progress, s.Operations[0].Input, s.Operations[0].Result, s.Operations[0].Details, s.Messages[0].Payload,
		} {
			p[0] = '!'
		}
		for k := range s.Tags {
			s.Tags[k] = "spoilt"
		}
		s.Orphans[0], s.Blocked.Reason, s.Parent.ID, s.Error.Message = "spoilt", "spoilt", "spoilt", "spoilt"
		s.Error.Causes[0].Message, s.Operations[0].Error.Message = "spoilt", "spoilt"
		s.Operations[0].Name, s.Messages[0].Name, s.Messages[0].Error.Message = "spoilt", "spoilt", "spoilt"
	}
	s := filled[lambdabiz.Snapshot]()
	h.put(s)
	spoil(s)
	spoil(h.get(s.ID))
	want(h, h.get(s.ID), filled[lambdabiz.Snapshot](), "snapshot after its copies were changed")
	e := event("k", 1)
	h.keep("a", e)
	e.Payload[0] = '!'
	for range 2 {
		events, err := h.s.Kept(background, "a", at(1))
		h.must(err, "Kept")
		want(h, events[0], event("k", 1), "event after its copies were changed")
		events[0].Payload[0] = '!'
	}
}
