package lambdabiz

import (
	"errors"
	"fmt"
	"testing"
	"time"
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

// wrapError keeps what it wraps in a field, hiddenError where JSON does not look, manyError several.
type wrapError struct {
	Code int
	Err  error
}

func (e *wrapError) Error() string { return fmt.Sprintf("code %d: %v", e.Code, e.Err) }
func (e *wrapError) Unwrap() error { return e.Err }

type hiddenError struct {
	Code int
	err  error
}

func (e hiddenError) Error() string { return fmt.Sprintf("hidden %d: %v", e.Code, e.err) }
func (e hiddenError) Unwrap() error { return e.err }

type manyError struct {
	Code int
	errs []error
}

func (e *manyError) Error() string   { return fmt.Sprintf("many %d", e.Code) }
func (e *manyError) Unwrap() []error { return e.errs }

func TestARegisteredTypeKeepsWhatItWraps(t *testing.T) {
	t.Parallel()
	inside := errors.New("inside")
	r := newRegistry(0)
	for _, item := range []*ErrorRegistration{
		ErrorType[*wrapError]("wrap"), ErrorType[hiddenError]("hidden"), ErrorType[*manyError]("many"), ErrorValue("inside", inside),
	} {
		if err := r.addError(item); err != nil {
			t.Fatal(err)
		}
	}
	deep := &wrapError{2, hiddenError{3, fmt.Errorf("text: %w", errors.Join(inside, ErrNotFound))}}
	for _, err := range []error{
		&wrapError{1, inside}, hiddenError{1, inside}, &manyError{1, []error{errors.New("other"), inside, ErrNotFound}}, deep,
		&TaskError{Task: "T", Err: NonRetryable(&wrapError{1, deep})},
	} {
		got := r.rebuild(r.record(err))
		if !errors.Is(got, inside) || got.Error() != err.Error() || errors.Is(got, ErrNotFound) != errors.Is(err, ErrNotFound) {
			t.Errorf("%v came back as %#v", err, got)
		}
		w, had := errors.AsType[*wrapError](err)
		if has, ok := errors.AsType[*wrapError](got); ok != had || had && (has.Code != w.Code || !errors.Is(has, inside)) {
			t.Errorf("%v came back with %+v", err, has)
		}
		h, had := errors.AsType[hiddenError](err)
		if has, ok := errors.AsType[hiddenError](got); ok != had || has.Code != h.Code {
			t.Errorf("%v came back with %+v", err, has)
		}
		if _, had := errors.AsType[*manyError](err); had {
			if has, ok := errors.AsType[*manyError](got); !ok || has.Code != 1 {
				t.Errorf("%v came back with %+v", err, has)
			}
		}
	}
	if got := r.rebuild(r.record(&wrapError{Code: 7})); got.Error() != (&wrapError{Code: 7}).Error() {
		t.Errorf("one that wraps nothing came back as %v", got)
	}
}

type moody struct {
	again bool
	wait  time.Duration
	error
}

func (m moody) Retryable() bool           { return m.again }
func (m moody) RetryAfter() time.Duration { return m.wait }
func (m moody) Unwrap() error             { return m.error }

type declinedError struct{ Code string }

func (*declinedError) Error() string { return "declined" }

type expired struct{}

func (expired) Error() string { return "expired" }

func TestTheTreeOfAnErrorDecidesOnAnotherAttempt(t *testing.T) {
	t.Parallel()
	plain := errors.New("plain")
	for name, c := range map[string]struct {
		err   error
		final []error
		again bool
	}{
		"plain":                  {plain, nil, true},
		"final inside retryable": {moody{again: true, error: NonRetryable(plain)}, nil, false},
		"final around retryable": {NonRetryable(moody{again: true, error: plain}), nil, false},
		"final beside retryable": {errors.Join(moody{again: true, error: plain}, NonRetryable(plain)), nil, false},
		"final deep beside": {
			fmt.Errorf("x: %w, %w", moody{again: true, error: plain}, fmt.Errorf("y: %w", NonRetryable(plain))), nil, false,
		},
		"not retryable inside":           {moody{again: true, error: moody{again: false, error: plain}}, nil, false},
		"all retryable":                  {errors.Join(moody{again: true, error: plain}, plain), nil, true},
		"a type":                         {fmt.Errorf("x: %w", &declinedError{"51"}), []error{&declinedError{}}, false},
		"a type by value":                {fmt.Errorf("x: %w", expired{}), []error{expired{}}, false},
		"another type":                   {fmt.Errorf("x: %w", plain), []error{&declinedError{}, expired{}}, true},
		"an error that is not empty":     {&declinedError{"51"}, []error{&declinedError{"51"}}, true},
		"a sentinel of the same type":    {plain, []error{errors.New("other")}, true},
		"a sentinel":                     {fmt.Errorf("x: %w", plain), []error{plain}, false},
		"nothing":                        {plain, []error{nil, (*declinedError)(nil)}, true},
		"an empty one of a pointer type": {&declinedError{}, []error{&declinedError{}}, false},
	} {
		if _, again := (Backoff{Attempts: -1, NonRetryable: c.final}).again(1, c.err); again != c.again {
			t.Errorf("%s: another attempt: %v", name, again)
		}
	}
	long := errors.Join(plain, moody{again: true, wait: time.Hour, error: moody{again: true, wait: 2 * time.Hour, error: plain}})
	if wait, again := (Backoff{Attempts: -1}).again(1, long); !again || wait != 2*time.Hour {
		t.Errorf("it waits %v, %v", wait, again)
	}
}

func TestAPayloadIsCheckedAsWhatItIs(t *testing.T) {
	t.Parallel()
	e := &Engine{env: env{payloads: newPayloads(JSONCodec{}, 1<<20, 0)}}
	for text, good := range map[string]bool{
		`1e400`: true, `{"n":-1.8e309}`: true, `123456789012345678901234567890`: true, `"日本"`: true, ` [1] `: true, `null`: true,
		"\"\xff\"": false, "{\"\xc3\":1}": false, `{`: false, ``: false, `1 2`: false, `nope`: false,
	} {
		p, err := e.encode("input", Payload(text))
		if good != (err == nil) || !good && !errors.Is(err, ErrInvalidPayload) || good && string(p) != text {
			t.Errorf("%q gave %q, %v", text, p, err)
		}
	}
}
