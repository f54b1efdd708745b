package check

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/lambdabiz/lambdabiz"
)

// read makes a record of the exported state.
func (c Config) read(state []byte) (*lambdabiz.Record, error) {
	var s lambdabiz.State
	if err := json.Unmarshal(state, &s); err != nil {
		return nil, fmt.Errorf("read the recording: %w", err)
	}
	if s.ID == "" || s.Name == "" {
		return nil, errors.New("read the recording: it is no state of an orchestration (export one with lambdabiz show ID -o json)")
	}
	rec := &lambdabiz.Record{RunInfo: s.RunInfo, Operations: s.Operations}
	for _, p := range []*lambdabiz.Payload{&rec.Input, &rec.Result, &rec.Progress} {
		c.restore(p)
	}
	for i := range rec.Operations {
		o := &rec.Operations[i]
		o.Number = int64(i + 1) // they are exported in the order of their numbers
		for _, p := range []*lambdabiz.Payload{&o.Input, &o.Result, &o.Details} {
			c.restore(p)
		}
		if o.Input == nil && hasInput(o.Kind) && c.Codec == nil {
			o.Input = lambdabiz.Payload("null")
		}
	}
	last := int64(0)
	for i := range s.Events {
		e := &s.Events[i]
		c.restore(&e.Payload)
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
func (c Config) restore(p *lambdabiz.Payload) {
	if len(*p) == 0 {
		return
	}
	if c.Codec != nil {
		var text string
		var v any
		if json.Unmarshal(*p, &text) == nil && c.Codec.Decode(*p, &v) != nil {
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
