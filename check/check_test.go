package check_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/check"
	"github.com/lambdabiz/lambdabiz/lambdabiztest"
	"github.com/lambdabiz/lambdabiz/memory"
)

// bank counts what is performed.
type bank struct {
	mu   sync.Mutex
	done []string
}

func (b *bank) did(what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = append(b.done, what)
}

// order is a version of an order's code. The changes are the lines between charge and Approve.
func (b *bank) order(f func(o lambdabiz.Context, call caller) error) lambdabiz.Registrables {
	charge := lambdabiz.NewTask("Charge", func(_ context.Context, cents int) (string, error) {
		b.did(fmt.Sprint("charged ", cents))
		return "payment", nil
	})
	call := func(o lambdabiz.Context, id string, opts ...lambdabiz.CallOption) error {
		_, err := lambdabiz.Call(o, id, charge, 450, opts...)
		return err
	}
	return lambdabiz.Registrables{charge, lambdabiz.Define("Order", func(o lambdabiz.Context, _ int) (string, error) {
		if err := f(o, call); err != nil {
			return "", err
		}
		if _, err := lambdabiz.WaitForEvent[bool](o, "Approve"); err != nil {
			return "", err
		}
		return "done", b.step(o, "ship")
	})}
}

func (b *bank) step(o lambdabiz.Context, id string) error {
	return lambdabiz.Do(o, id, func(context.Context) error {
		b.did(id)
		return nil
	})
}

type caller = func(o lambdabiz.Context, id string, opts ...lambdabiz.CallOption) error

// exported runs n orders until they wait, and exports them.
func exported(t *testing.T, n int, items lambdabiz.Registrable) (export []byte) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e, err := lambdabiz.New(memory.New(), lambdabiz.Config{Logger: slog.New(slog.DiscardHandler)})
		if err == nil {
			err = e.Register(items)
		}
		if err == nil {
			err = e.RunWhile(t.Context(), func(ctx context.Context) error {
				for i := range n {
					if _, err := e.StartByName(ctx, "Order", fmt.Sprintf("order-%02d", i), i); err != nil {
						return err
					}
				}
				time.Sleep(time.Minute)
				var b bytes.Buffer
				told := 0
				count, err := check.Export(ctx, e, &b, func(int) { told++ })
				if export = b.Bytes(); err == nil && (count != n || told != n) {
					err = fmt.Errorf("%d are exported, %d told", count, told)
				}
				return err
			})
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	return export
}

// An id that was renamed is found before the new code is deployed, and so is the cure.
func TestCheckOfAllThatIsOpen(t *testing.T) {
	t.Parallel()
	var before bank
	export := exported(t, 20, before.order(func(o lambdabiz.Context, charge caller) error { return charge(o, "charge") }))
	before.done = nil
	for name, c := range map[string]struct {
		code func(o lambdabiz.Context, charge caller) error
		fits bool
		says []string
	}{
		"the same": {func(o lambdabiz.Context, charge caller) error { return charge(o, "charge") }, true,
			[]string{"order-07  Order  1     0    0         0         -\n", "20 orchestrations, 0 not checked, 0 do not fit"}},
		"renamed": {func(o lambdabiz.Context, charge caller) error { return charge(o, "charge-card") }, false,
			[]string{"order-07  Order  0     0    1         1         blocked\n", `"charge-card" would repeat "charge"`, "check_test.go:",
				"order-07: repeated: charge-card  TASK \"Charge\"  as charge, SUCCEEDED", "20 do not fit"}},
		"Formerly": {func(o lambdabiz.Context, charge caller) error {
			return charge(o, "charge-card", lambdabiz.Formerly("charge"))
		}, true, []string{"order-07  Order  1     0    0         0         -\n"}},
		"inserted": {func(o lambdabiz.Context, charge caller) error {
			return errors.Join(before.step(o, "audit"), charge(o, "charge"))
		}, true, []string{"order-07  Order  1     1    0         0         -\n"}},
		"inserted before": {func(o lambdabiz.Context, charge caller) error {
			return errors.Join(charge(o, "deposit"), charge(o, "charge"))
		}, false, []string{"order-07  Order  1     0    1         0         blocked\n"}},
		"NotRenamed": {func(o lambdabiz.Context, charge caller) error {
			return errors.Join(charge(o, "deposit", lambdabiz.NotRenamed()), charge(o, "charge"))
		}, true, []string{"order-07  Order  1     1    0         0         -\n"}},
		"removed": {func(lambdabiz.Context, caller) error { return nil }, true,
			[]string{"order-07  Order  0     0    0         1         -\n"}},
		"another kind": {func(o lambdabiz.Context, _ caller) error { return before.step(o, "charge") }, false,
			[]string{"recorded as TASK"}},
		"misled by a stub": {func(o lambdabiz.Context, charge caller) error {
			list, err := lambdabiz.Step(o, "list", func(context.Context) ([]int, error) { return []int{1}, nil })
			_ = list[0]
			return errors.Join(err, charge(o, "charge"))
		}, false, []string{"order-07  Order  0     1    0         0         unknown\n",
			"beyond new operations, whose results are stubs, its code panics"}},
	} {
		t.Run(name, func(t *testing.T) {
			table, err := check.Run(t.Context(), bytes.NewReader(export), check.Config{}, before.order(c.code))
			if err != nil {
				t.Fatal(err)
			}
			text := table.String()
			for _, part := range c.says {
				if !strings.Contains(text, part) {
					t.Errorf("it does not say %q:\n%s", part, text)
				}
			}
			if table.Fits() != c.fits || len(table) != 20 {
				t.Errorf("fits is %v:\n%s", table.Fits(), text)
			}
			if again := lambdabiztest.Check(t, export, before.order(c.code)); again.String() != text {
				t.Errorf("in a test it is\n%s\nelse\n%s", again, text)
			}
		})
	}
	if len(before.done) > 0 {
		t.Errorf("it has performed %q", before.done)
	}
}

// A step has no name and no input, but what comes after it tells whether it was renamed or inserted.
func TestCheckTellsARenamedStepFromAnInsertedOne(t *testing.T) {
	t.Parallel()
	var b bank
	export := exported(t, 1, b.order(func(o lambdabiz.Context, _ caller) error { return b.step(o, "charge") }))
	run := func(ids ...string) check.Table {
		table, err := check.Run(t.Context(), bytes.NewReader(export), check.Config{}, b.order(func(o lambdabiz.Context, _ caller) error {
			for _, id := range ids {
				if err := b.step(o, id); err != nil {
					return err
				}
			}
			return nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	if r := run("charge-card"); r.Fits() || len(r[0].Repeated) != 1 || r[0].Blocked != nil {
		t.Errorf("renamed: %s", r)
	}
	if r := run("audit", "charge"); !r.Fits() || len(r[0].New) != 1 {
		t.Errorf("inserted: %s", r)
	}
}

// Results of new operations can be given: the zero value may send the code another way.
func TestCheckGoesPastNewOperationsWithStubs(t *testing.T) {
	t.Parallel()
	var b bank
	export := exported(t, 1, b.order(func(o lambdabiz.Context, charge caller) error { return charge(o, "charge") }))
	code := b.order(func(o lambdabiz.Context, charge caller) error {
		free, err := lambdabiz.CallTask[bool](o, "is-free", "IsFree", 1)
		if err != nil || !free {
			return err
		}
		return charge(o, "charge")
	})
	for _, stubs := range []map[string]any{nil, {"is-free": true}} {
		table, err := check.Run(t.Context(), bytes.NewReader(export), check.Config{Stubs: stubs}, code)
		if err != nil || len(table[0].Kept) != len(stubs) || len(table[0].New) != 1 {
			t.Errorf("%v with %v: %s", err, stubs, table)
		}
	}
}

func TestCheckOfCodeThatDoesNotCome(t *testing.T) {
	t.Parallel()
	var b bank
	export := exported(t, 1, b.order(func(o lambdabiz.Context, charge caller) error { return charge(o, "charge") }))
	synctest.Test(t, func(t *testing.T) {
		held := make(chan struct{})
		defer close(held)
		table, err := check.Run(t.Context(), bytes.NewReader(export), check.Config{Patience: time.Millisecond},
			b.order(func(lambdabiz.Context, caller) error { <-held; return nil }))
		if err != nil || table.Fits() || !strings.Contains(table[0].Unplayed, "has not come to rest") {
			t.Errorf("%v: %s", err, table)
		}
	})
}

func TestMainsExitCodes(t *testing.T) {
	t.Parallel()
	var b bank
	same := func(o lambdabiz.Context, charge caller) error { return charge(o, "charge") }
	file := filepath.Join(t.TempDir(), "open.jsonl")
	if err := os.WriteFile(file, exported(t, 2, b.order(same)), 0o600); err != nil {
		t.Fatal(err)
	}
	torn := file + ".torn"
	if err := os.WriteFile(torn, []byte(`{"id": "a", "name": "Order"`), 0o600); err != nil {
		t.Fatal(err)
	}
	renamed := func(o lambdabiz.Context, charge caller) error { return charge(o, "charge-card") }
	for _, c := range []struct {
		args  []string
		items lambdabiz.Registrable
		code  int
		says  string
	}{
		{[]string{file}, b.order(same), check.ExitFits, "2 orchestrations, 0 not checked, 0 do not fit"},
		{[]string{file}, b.order(renamed), check.ExitMisfits, "2 do not fit"},
		{[]string{file}, lambdabiz.Registrables{}, check.ExitFits, `2 not checked`},
		{[]string{torn}, b.order(same), check.ExitError, "read orchestration 1"},
		{[]string{file + ".missing"}, b.order(same), check.ExitError, "no such file"},
		{nil, b.order(same), check.ExitUsage, "usage"},
	} {
		var out bytes.Buffer
		if got := check.Main(t.Context(), c.args, &out, &out, c.items); got != c.code || !strings.Contains(out.String(), c.says) {
			t.Errorf("%q ends with %d, want %d, and prints\n%s", c.args, got, c.code, out.String())
		}
	}
}
