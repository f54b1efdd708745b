package homes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/logbook"
	"github.com/lambdabiz/lambdabiz/memory"
)

// resolver knows the names that begin with the prefix, and counts what it performs.
func resolver(prefix string, calls map[string]int) *lambdabiz.TaskResolver {
	return lambdabiz.NewTaskResolver(func(name string) lambdabiz.TaskFunc {
		if !strings.HasPrefix(name, prefix) {
			return nil
		}
		return func(ctx context.Context, in lambdabiz.Payload) (lambdabiz.Payload, error) {
			info, ok := lambdabiz.TaskInfoFrom(ctx)
			calls[info.Task]++
			if !ok || info.Task != name || info.IdempotencyKey == "" {
				return nil, fmt.Errorf("info %+v", info)
			}
			return lambdabiz.Payload(fmt.Sprintf(`{"by":%q,"in":%s}`, prefix, in)), nil
		}
	})
}

type resolved struct {
	By string
	In int
}

func TestResolversPerformNamesThatAreNotRegistered(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		calls := map[string]int{}
		by := func(who string) func(context.Context, int) (resolved, error) {
			return func(_ context.Context, in int) (resolved, error) { return resolved{who, in}, nil }
		}
		own, unregistered := lambdabiz.NewTask("far-registered", by("own")), lambdabiz.NewTask("far-value", by("value"))
		def := lambdabiz.Define("calls", func(o lambdabiz.Context, _ int) ([]resolved, error) {
			var list []resolved
			for i, name := range []string{"far-sum", "further", "far-registered"} {
				r, err := lambdabiz.CallTask[resolved](o, name, name, i)
				if err != nil {
					return nil, err
				}
				list = append(list, r)
			}
			r, err := lambdabiz.Call(o, "value", unregistered, 3)
			if err != nil {
				return nil, err
			}
			if _, err := lambdabiz.WaitForEvent[int](o, "go on"); err != nil {
				return nil, err
			}
			return append(list, r), nil
		})
		items := lambdabiz.Registrables{def, own, resolver("far-", calls), resolver("fu", calls), resolver("f", calls)}
		e, stop := b.worker(items)
		run := start(b, e, def, "r", 0)
		b.settle()
		stop()
		e, _ = b.worker(items)
		if err := e.RaiseEvent(b.ctx, "r", "go on", 1); err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprint(result(b, lambdabiz.Get(e, def, run.ID())))
		if want := "[{far- 0} {fu 1} {own 2} {value 3}]"; got != want {
			t.Errorf("result %s, want %s", got, want)
		}
		if want := "map[far-sum:1 further:1]"; fmt.Sprint(calls) != want {
			t.Errorf("performed %v, want %s", calls, want)
		}
	}, notOnSWF("a name that is not registered is a Lambda function there"), keepsClaims(countsBodies))
}

func TestResolversResultMustBeReadable(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		calls := 0
		bad := lambdabiz.NewTaskResolver(func(string) lambdabiz.TaskFunc {
			return func(context.Context, lambdabiz.Payload) (lambdabiz.Payload, error) {
				calls++
				return lambdabiz.Payload("{"), nil
			}
		})
		def := lambdabiz.Define("calls", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.CallTask[int](o, "a", "a", 1, lambdabiz.Retry(lambdabiz.Backoff{Attempts: 3}))
		})
		b.well() // a claim that is lost would call it again
		e, _ := b.worker(def, bad)
		_, err := start(b, e, def, "r", 0).Result(b.ctx)
		b.ill()
		var task *lambdabiz.TaskError
		if !errors.Is(err, lambdabiz.ErrInvalidPayload) || !errors.As(err, &task) || task.Task != "a" || calls != 1 {
			t.Errorf("error %v after %d calls", err, calls)
		}
	}, notOnSWF("a name that is not registered is a Lambda function there"))
}

func TestResolverUnknownNameBlocks(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		def := lambdabiz.Define("calls", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.CallTask[int](o, "a", "near", 1)
		})
		e, _ := b.worker(def, resolver("far-", nil))
		start(b, e, def, "r", 0)
		b.settle()
		s := b.state(e, "r")
		if s.Blocked == nil || !strings.Contains(s.Blocked.Reason, `no TASK with the name "near" is registered`) {
			t.Errorf("state %+v", s)
		}
	}, notOnSWF("a name that is not registered is a Lambda function there"))
}

// performing is a home that performs tasks itself, as Amazon SWF does.
type performing struct{ lambdabiz.Backend }

func (p performing) Describe() lambdabiz.Description {
	d := p.Backend.Describe()
	d.Performs = append(d.Performs, lambdabiz.KindTask)
	return d
}

func TestResolverIsNotAskedWhereTheHomePerformsTasks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner, err := memory.NewWith(memory.Config{CommitEndsClaim: true})
		if err != nil {
			t.Fatal(err)
		}
		b := &bench{t: t, backend: performing{inner}, logs: &logbook.Book{}, ctx: t.Context()}
		defer b.stop()
		def := lambdabiz.Define("calls", func(o lambdabiz.Context, _ int) (int, error) {
			return lambdabiz.CallTask[int](o, "a", "a", 1)
		})
		e, _ := b.worker(def, lambdabiz.NewTaskResolver(func(name string) lambdabiz.TaskFunc {
			t.Errorf("the resolver was asked for %s", name)
			return nil
		}))
		start(b, e, def, "r", 0)
		synctest.Wait()
		s := b.state(e, "r")
		if o := operation(t, s, "a"); s.Blocked != nil || o.Status != lambdabiz.StatusScheduled {
			t.Errorf("state %+v", s)
		}
	})
}
