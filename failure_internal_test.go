package lambdabiz

import (
	"errors"
	"fmt"
	"testing"
)

type listError struct {
	Codes []int
	Inner any
}

func (e listError) Error() string { return fmt.Sprint("codes ", e.Codes) }

type placeError struct{ Place string }

func (e *placeError) Error() string { return "at " + e.Place }

// registered is what an engine records as, with the given registrations.
func registered(t *testing.T, err error, items ...*ErrorRegistration) *Failure {
	t.Helper()
	r := newRegistry(0)
	for _, item := range items {
		if fault := r.addError(item); fault != nil {
			t.Fatal(fault)
		}
	}
	return r.record(err)
}

func TestOrderOfRegistrationDecides(t *testing.T) {
	t.Parallel()
	sentinel := &placeError{"home"}
	items := []*ErrorRegistration{ErrorType[*placeError]("type"), ErrorValue("value", sentinel)}
	for i := range 6 { // of other names, so that none of them is first by chance
		items = append(items, ErrorValue(fmt.Sprint("other ", i), errors.New("other")))
	}
	for range 20 {
		if f := registered(t, sentinel, items...); f.Type != "type" {
			t.Fatalf("the type was first, and it is recorded as %q", f.Type)
		}
		if f := registered(t, sentinel, append([]*ErrorRegistration{items[1], items[0]}, items[2:]...)...); f.Type != "value" {
			t.Fatalf("the value was first, and it is recorded as %q", f.Type)
		}
		if f := registered(t, sentinel, items[1], items[1], items[0]); f.Type != "value" { // registered again
			t.Fatalf("it is recorded as %q", f.Type)
		}
	}
}

func TestASentinelThatCannotBeComparedSpoilsNothing(t *testing.T) {
	t.Parallel()
	for _, sentinel := range []error{listError{Codes: []int{1}}, listError{Inner: []int{1}}} {
		value, whole := ErrorValue("value", sentinel), ErrorType[listError]("type")
		for _, items := range [][]*ErrorRegistration{{value, whole}, {whole, value}, {value, value, whole}} {
			f := registered(t, fmt.Errorf("wrapped: %w", sentinel), items...)
			if f.Message != "wrapped: "+sentinel.Error() || len(f.Causes) != 1 || f.Causes[0].Type != "type" {
				t.Errorf("recorded as %+v", f)
			}
		}
	}
}
