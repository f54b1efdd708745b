package lambdabiz_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/lambdabiz/lambdabiz"
)

// An orchestration's code runs again: what it was told then would be another thing.
func TestAReceiptIsNoOptionInsideAnOrchestration(t *testing.T) {
	t.Parallel()
	var r lambdabiz.Receipt
	if _, ok := lambdabiz.WithReceipt(&r).(lambdabiz.RaiseFromOption); ok {
		t.Error("WithReceipt compiles in RaiseEvent")
	}
	for _, option := range []any{
		lambdabiz.Key("k"), lambdabiz.BeforeStart(1), lambdabiz.BeforeRestart(1), lambdabiz.Formerly("x"), lambdabiz.NotRenamed(),
	} {
		if _, ok := option.(lambdabiz.RaiseFromOption); !ok {
			t.Errorf("%T does not compile in RaiseEvent", option)
		}
	}
}

func TestReceiptsAreReadByName(t *testing.T) {
	t.Parallel()
	for _, r := range []lambdabiz.Receipt{lambdabiz.ReceiptUnknown, lambdabiz.ReceiptAdded, lambdabiz.ReceiptRepeated} {
		text, err := json.Marshal(r)
		var back lambdabiz.Receipt
		if err := errors.Join(err, json.Unmarshal(text, &back)); err != nil || back != r {
			t.Errorf("%s came back as %v, error %v", text, back, err)
		}
	}
	var r lambdabiz.Receipt
	if err := json.Unmarshal([]byte(`"lost"`), &r); err == nil {
		t.Error("a receipt of no name is read")
	}
	if got := lambdabiz.Receipt(9).String(); got != "Receipt(9)" {
		t.Errorf("receipt 9 is %s", got)
	}
}
