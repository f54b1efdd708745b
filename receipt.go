package lambdabiz

import (
	"fmt"
	"slices"
)

// Receipt says what a raise that returned nil has done; see [WithReceipt].
type Receipt uint8

// The receipts.
const (
	// ReceiptUnknown: nobody can tell. The raise returned an error, or it has a key and its home does not say whether
	// that was known, as Amazon SWF does not, or the answer of the home got lost and the engine has asked again.
	ReceiptUnknown Receipt = iota
	// ReceiptAdded: the event is new, and this raise has added it. A raise without a key always has.
	ReceiptAdded
	// ReceiptRepeated: an event with the key was raised before, under whatever name and with whatever payload, and
	// nothing was added.
	ReceiptRepeated
)

var receiptNames = []string{"unknown", "added", "repeated"}

// String returns the receipt in small letters.
func (r Receipt) String() string {
	if int(r) < len(receiptNames) {
		return receiptNames[r]
	}
	return fmt.Sprintf("Receipt(%d)", uint8(r))
}

// MarshalText writes the receipt by name.
func (r Receipt) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads a receipt by name.
func (r *Receipt) UnmarshalText(text []byte) error {
	i := slices.Index(receiptNames, string(text))
	if i < 0 {
		return fmt.Errorf("parse receipt: %q is none of %v", text, receiptNames)
	}
	*r = Receipt(i) //nolint:gosec // an index of a short table
	return nil
}
