package swf

import (
	"context"
	"fmt"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// sendAhead sends the journal of a decision that is too long for one request in parts, as signals of the run to itself.
// Readers put it together when the decision itself comes, and drop the parts when it never does.
func (b *Backend) sendAhead(ctx context.Context, h *handle, d *decision) error {
	d.journal.Version = wire.Version
	text, err := wire.Marshal(&d.journal)
	if err != nil {
		return err
	}
	if wire.Quoted([]byte(text)) <= wire.MaxJournal {
		return nil
	}
	parts := 0
	for ; text != ""; parts++ {
		part := wire.Beginning(text)
		h.signals = true
		err := b.signal(ctx, h.fold.Info.ID, h.fold.Home, &wire.Signal{
			Kind: wire.SignalPart, At: d.journal.At, Fence: h.fence, Part: parts, Text: part,
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
			size += wire.Quoted(o.Result) + wire.Quoted(o.Input) + 500
		}
	}
	return size > wire.MaxJournal
}

// fits reports whether there is room in the answer for so many bytes more, and counts them. What does not fit goes out
// with the next one.
func (d *decision) fits(size int) bool {
	if d.bytes > 0 && d.bytes+size > wire.MaxBegin {
		d.more = true
		return false
	}
	d.bytes += size
	return true
}

// waits reports whether it is too early to ask SWF again for what it had no room for.
func (d *decision) waits(o *history.Op) bool {
	if wait := o.NotBefore; wait.After(now()) {
		if d.retry.IsZero() || wait.Before(d.retry) {
			d.retry = wait
		}
		return true
	}
	return false
}
