package swf

import (
	"context"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/lambdabiz/lambdabiz"
)

// sendAhead sends the journal of a decision that is too long for one request in parts, as signals of the run to itself.
// Readers put it together when the decision itself comes, and drop the parts when it never does.
func (b *Backend) sendAhead(ctx context.Context, h *handle, d *decision) error {
	d.journal.Version = version
	text, err := marshal(&d.journal)
	if err != nil {
		return err
	}
	if quoted([]byte(text)) <= maxJournal {
		return nil
	}
	parts := 0
	for ; text != ""; parts++ {
		part := beginning(text)
		h.signals = true
		err := b.signal(ctx, h.fold.info.ID, h.fold.home, &signalEnvelope{
			Kind: signalPart, At: d.journal.At, Fence: h.fence, Part: parts, Text: part,
		})
		if err != nil {
			return fmt.Errorf("send a part of a journal: %w", err)
		}
		h.signalled = true
		h.sent++
		text = text[len(part):]
	}
	d.ahead = parts
	return nil
}

// isLong reports whether the journal is too long for one request, for what a decision before the closing one can record.
func (d *decision) isLong() bool {
	size := 0
	for i := range d.journal.Ops {
		if o := &d.journal.Ops[i]; o.Status.Ended() && o.Kind != lambdabiz.KindEvent {
			size += quoted(o.Result) + quoted(o.Input) + 500
		}
	}
	return size > maxJournal
}

// beginning is as much of a text as one signal holds, to the end of a character.
func beginning(text string) string {
	size := min(len(text), chunk-1000) // the rest of the envelope is short
	for {
		for size < len(text) && !utf8.RuneStart(text[size]) {
			size--
		}
		part := text[:size]
		if quoted([]byte(part)) <= chunk-1000 {
			return part
		}
		size = size * 3 / 4
	}
}

// quoted is the length of a text inside a request.
func quoted(p []byte) int {
	text, err := json.Marshal(string(p))
	if err != nil {
		return 2 * len(p)
	}
	return len(text)
}

// part takes a part of the journal of a decision to come. The first one begins it anew: its sender may try again.
func (f *fold) part(s *signalEnvelope) {
	if s.Fence != f.started || !f.held {
		return // its writer was not the owner any more
	}
	if s.Part == 0 {
		f.sent = nil
	}
	if s.Part == len(f.sent) {
		f.sent = append(f.sent, s.Text)
	}
}

// fits reports whether there is room in the answer for so many bytes more, and counts them. What does not fit goes out
// with the next one.
func (d *decision) fits(size int) bool {
	if d.bytes > 0 && d.bytes+size > maxBegin {
		d.more = true
		return false
	}
	d.bytes += size
	return true
}

// waits reports whether it is too early to ask SWF again for what it had no room for.
func (d *decision) waits(o *foldedOp) bool {
	if wait := o.notBefore; wait.After(now()) {
		if d.retry.IsZero() || wait.Before(d.retry) {
			d.retry = wait
		}
		return true
	}
	return false
}
