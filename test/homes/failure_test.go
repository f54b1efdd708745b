package homes_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

type codeError struct{ Code int }

func (e *codeError) Error() string { return fmt.Sprint("code ", e.Code) }

func TestErrorsAfterAResume(t *testing.T) {
	sentinel := errors.New("sentinel")
	makers := map[string]error{
		"eof":        io.EOF,
		"wrapped":    fmt.Errorf("outer: %w", fmt.Errorf("inner: %w", sentinel)),
		"joined":     errors.Join(errors.New("x"), sentinel, &codeError{7}),
		"retry":      lambdabiz.NonRetryable(lambdabiz.RetryAfter(fmt.Errorf("%w", &codeError{8}), time.Second)),
		"deadline":   fmt.Errorf("z: %w", context.DeadlineExceeded),
		"cancelled":  fmt.Errorf("z: %w", lambdabiz.ErrCancelled),
		"not utf8":   errors.New("bad \xff\xfe byte"),
		"nul":        errors.New("nul \x00 byte"),
		"long":       fmt.Errorf("%s%w", strings.Repeat("é", 9000)+"x", sentinel),
		"long utf8":  errors.New("x" + strings.Repeat("é", 9000)),
		"typed long": fmt.Errorf("%s%w", strings.Repeat("é", 9000), &codeError{9}),
		"html":       errors.New("<a>&amp; \u2028"),
	}
	describe := func(err error) string {
		var code *codeError
		var task *lambdabiz.TaskError
		errors.As(err, &code)
		errors.As(err, &task)
		return fmt.Sprintf("%d %q is %v %v %v %v code %v task %v", len(err.Error()), err.Error(),
			errors.Is(err, sentinel), errors.Is(err, context.DeadlineExceeded),
			errors.Is(err, context.Canceled), errors.Is(err, lambdabiz.ErrCancelled), code, task != nil)
	}
	for name, made := range makers {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, b *bench) {
				var described notes
				d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
					_, err := lambdabiz.Step(o, "s", func(context.Context) (int, error) { return 0, made })
					described.add(describe(err))
					_, _ = lambdabiz.WaitForEvent[int](o, "go")
					return 0, err
				})
				regs := []lambdabiz.Registrable{d, lambdabiz.ErrorValue("s", sentinel), lambdabiz.ErrorType[*codeError]("code")}
				e, stop := b.worker(regs...)
				start(b, e, d, "x", 0)
				time.Sleep(time.Minute)
				stop()
				e, _ = b.worker(regs...)
				if err := e.RaiseEvent(b.ctx, "x", "go", 1); err != nil {
					t.Fatal(err)
				}
				if _, err := lambdabiz.Get(e, d, "x").Result(b.ctx); err == nil {
					t.Error("no error")
				}
				seen := slices.Compact(described.all())
				if len(seen) != 1 {
					t.Errorf("first run and resumed run see different errors:\n%.300q\n%.300q", seen[0], seen[1])
				}
			})
		})
	}
}

// The data of a registered error is a payload too.
func TestDataOfAnErrorIsLimited(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.Step(o, "s", func(context.Context) (int, error) { return 0, &bigError{strings.Repeat("x", 4<<20)} })
		})
		e, _ := b.worker(d, lambdabiz.ErrorType[*bigError]("big"))
		_, err := start(b, e, d, "x", 0).Result(b.ctx)
		if err == nil {
			t.Fatal("no error")
		}
		s := b.state(e, "x")
		if n := failureSize(s.Error) + failureSize(operation(t, s, "s").Error); n > 1<<20 {
			t.Errorf("%d bytes of errors were recorded, the limit of a payload is 1 MiB", n)
		}
	})
}

type bigError struct{ Text string }

func (e *bigError) Error() string { return "big" }

func failureSize(f *lambdabiz.Failure) int {
	if f == nil {
		return 0
	}
	n := len(f.Message) + len(f.Data)
	for _, c := range f.Causes {
		n += failureSize(c)
	}
	return n
}

// fragile is an error whose method panics when nothing is recorded of it.
type fragile struct{ Text *string }

func (f *fragile) Error() string { return *f.Text }

// A record of an error that its own type cannot read any more is an error with the recorded text, for the
// orchestration and for who waits for its result, and no panic.
// Row 41 of docs/proof/bugs.md.
func TestRecordedErrorWhoseMethodPanicsKeepsItsText(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		text := "fragile"
		d := lambdabiz.Define("Fragile", func(o lambdabiz.Context, _ int) (int, error) {
			err := lambdabiz.Do(o, "s", func(context.Context) error { return &fragile{&text} })
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("the step gave %v", err)
			}
			return 0, err
		})
		e := b.engine(lambdabiz.Config{}, d, lambdabiz.ErrorType[*unreadable]("fragile"))
		written, stop := b.worker(d, lambdabiz.ErrorType[*fragile]("fragile"))
		err := failure(b, start(b, written, d, "f", 0))
		stop()
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the writer got %v", err)
		}
		if err := failure(b, lambdabiz.Get(e, d, "f")); !strings.Contains(err.Error(), text) {
			t.Errorf("another version got %v", err)
		}
	})
}

// unreadable is what has become of fragile: its method panics over every record.
type unreadable struct{}

func (*unreadable) Error() string { panic("nothing is here") }

// What is over the limit of a recorded error loses its causes. A mark like NonRetryable has nothing else: who read
// it back panicked.
// Row 40 of docs/proof/bugs.md.
func TestNonRetryableErrorsOverTheLimitAreReadBack(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		d := lambdabiz.Define("Large", func(o lambdabiz.Context, _ int) (int, error) {
			var all []error
			for range 8 {
				all = append(all, lambdabiz.NonRetryable(errors.New(strings.Repeat("x", 15<<10))))
			}
			return 0, lambdabiz.Do(o, "s", func(context.Context) error { return errors.Join(all...) })
		})
		e, _ := b.worker(d)
		if err := failure(b, start(b, e, d, "l", 0)); !strings.Contains(err.Error(), "xxx") {
			t.Errorf("the error is %.100v", err)
		}
	})
}

type brittleError struct{ msg string }

func (e *brittleError) Error() string { return e.msg }

// A typed nil error, or any error whose Error panics, blocks the run. It left the run locked for ever.
// Row 16 of docs/proof/bugs.md.
func TestErrorWhoseMethodPanics(t *testing.T) {
	d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
		return lambdabiz.Step(o, "s", func(context.Context) (int, error) {
			var e *brittleError
			return 0, e
		})
	})
	restsInRealTime(t, lambdabiz.Config{}, d)
}
