package backendtest

import (
	"fmt"
	"slices"
	"sync"

	"github.com/lambdabiz/lambdabiz"
)

var receiptChecks = []check{
	{name: "receipt/a known key is told from a new one", run: receiptKeys},
	{name: "receipt/a key is known after the end", run: receiptEnded},
	{
		name: "receipt/a key is known in the run that continues", run: receiptContinued,
		needs: []lambdabiz.Feature{lambdabiz.FeatureContinueAsNew},
	},
	{name: "receipt/a key of a kept event is known", run: receiptKept, needs: beforeStart},
	{name: "receipt/one of many is the first", run: receiptCrowd},
}

// receives raises events in one commit, and expects what each is told of its key. Where keys are untold one with a
// key may be told nothing, and never the opposite.
func (h *harness) receives(seconds int, raises []lambdabiz.Raise, wanted ...lambdabiz.Receipt) {
	h.Helper()
	v := h.outside(lambdabiz.Commit{At: at(seconds), Raises: raises})
	for i, r := range raises {
		h.must(v.Raises[i].Err, "raise")
		got := v.Raises[i].Receipt
		if got == lambdabiz.ReceiptUnknown && h.describes.UntoldKeys && r.Key != "" {
			continue
		}
		want(h, got, wanted[i], fmt.Sprintf("receipt of raise %d, with key %q", i, r.Key))
	}
}

func keyed(names ...string) []lambdabiz.Raise {
	var out []lambdabiz.Raise
	for _, name := range names {
		out = append(out, lambdabiz.Raise{ID: "a", Name: "e", Key: name, Payload: text(name)})
	}
	return out
}

const (
	added    = lambdabiz.ReceiptAdded
	repeated = lambdabiz.ReceiptRepeated
)

func receiptKeys(h *harness) {
	h.start("a")
	h.receives(1, keyed("", "", "k", "k", "K"), added, added, added, repeated, added)
	h.receives(2, keyed("k", "", "j"), repeated, added, added)
	other := keyed("k")
	other[0].Name, other[0].Payload = "another", text("another")
	h.receives(3, other, repeated)
	x := h.hold(h.join(), "a")
	x.commit(lambdabiz.Commit{Seen: x.last(), Consumed: []int64{x.Messages[0].Number, x.Messages[2].Number}})
	h.receives(4, keyed("k", "i"), repeated, added)
}

func receiptEnded(h *harness) {
	x := h.startHeld("a")
	h.receives(1, keyed("k"), added)
	x.end()
	h.receives(2, keyed("k"), repeated)
	for _, r := range []lambdabiz.Raise{{ID: "a", Name: "e", Key: "new"}, {ID: "a", Name: "e"}, {ID: "nobody", Name: "e", Key: "k"}} {
		v := h.outside(lambdabiz.Commit{At: at(3), Raises: []lambdabiz.Raise{r}}).Raises[0]
		want(h, v.Err != nil, true, "a raise that nobody can take is refused")
		want(h, v.Receipt, lambdabiz.ReceiptUnknown, "receipt of a raise that was refused")
	}
}

func receiptContinued(h *harness) {
	x := h.startHeld("a")
	h.receives(1, keyed("k"), added)
	x.release(lambdabiz.Release{})
	h.hold(h.join(), "a").continueAsNew(2)
	h.receives(2, keyed("k", "j"), repeated, added)
}

func receiptKept(h *harness) {
	kept := keyed("k", "k", "", "j")
	for i := range kept {
		kept[i].Until = at(100)
	}
	h.receives(1, kept, added, repeated, added, added)
	h.startAt(startOf("a", 1), 10)
	h.inbox(h.load("a").Messages, "e", "e", "e")
	h.receives(11, keyed("k", "j", "i"), repeated, repeated, added)
	h.receives(12, kept, repeated, repeated, added, repeated)
}

// receiptCrowd raises one event by many senders at once: one of them has added it, and all others have not.
func receiptCrowd(h *harness) {
	h.start("a")
	const senders = 8
	receipts := make([]lambdabiz.Receipt, senders)
	errs := make([]error, senders)
	var all sync.WaitGroup
	for i := range senders {
		all.Go(func() {
			v, err := h.b.Commit(background, []*lambdabiz.Commit{{At: at(1), Raises: keyed("k")}})
			if errs[i] = err; err == nil {
				receipts[i] = v[0].Raises[0].Receipt
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		h.must(err, "Commit")
	}
	h.inbox(h.load("a").Messages, "e")
	if h.describes.UntoldKeys {
		receipts = slices.DeleteFunc(receipts, func(r lambdabiz.Receipt) bool { return r == lambdabiz.ReceiptUnknown })
		if len(receipts) == 0 {
			return
		}
	}
	slices.Sort(receipts)
	want(h, receipts[0], added, "receipt of the first of all raises with one key")
	for _, r := range receipts[1:] {
		want(h, r, repeated, "receipt of another raise with the key")
	}
}
