package swf

import (
	"context"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/lambdabiz/lambdabiz"
)

// sendAhead sends, as signals of the run to itself, records of a journal that is too long for one request. Those
// of tasks and services that have not begun can go before the decision that begins them: when that never
// comes, the next one begins them.
func (b *Backend) sendAhead(ctx context.Context, h *handle, d *decision) error {
	sizes, total := make([]int, len(d.journal.Ops)), 0
	for i := range d.journal.Ops {
		text, err := marshal(&d.journal.Ops[i])
		if err != nil {
			return err
		}
		sizes[i] = utf8.RuneCountInString(text) + 1
		total += quoted([]byte(text))
	}
	if total <= maxJournal {
		return nil
	}
	ahead, size := map[int64]bool{}, 0
	part := journal{Version: version, At: d.journal.At, Skip: true}
	send := func() error {
		if len(part.Ops) == 0 {
			return nil
		}
		h.signals = true
		err := b.signal(ctx, h.fold.info.ID, h.fold.home, &signalEnvelope{
			Kind: signalJournal, At: part.At, Fence: h.fence, Journal: &part,
		})
		if err != nil {
			return fmt.Errorf("send a part of a journal: %w", err)
		}
		h.signalled = true
		for i := range part.Ops {
			ahead[part.Ops[i].Number] = true
		}
		part.Ops, size = nil, 0
		return nil
	}
	for i, o := range d.journal.Ops {
		if o.Status.Ended() || o.Attempt == nil || sizes[i] > chunk ||
			o.Kind != lambdabiz.KindTask && o.Kind != lambdabiz.KindService {
			continue
		}
		if size+sizes[i] > chunk {
			if err := send(); err != nil {
				return err
			}
		}
		part.Ops, size = append(part.Ops, o), size+sizes[i]
	}
	if err := send(); err != nil {
		return err
	}
	d.ahead = ahead
	return nil
}

// quoted is the length of a text inside a request.
func quoted(p []byte) int {
	text, err := json.Marshal(string(p))
	if err != nil {
		return 2 * len(p)
	}
	return len(text)
}
