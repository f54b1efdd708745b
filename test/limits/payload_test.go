package limits_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

const (
	limit       = 1 << 20 // the default of Config.MaxPayloadBytes
	idLimit     = lambdabiz.MaxIDBytes
	reasonLimit = 16 << 10
)

// text is a string whose JSON has size bytes.
func text(size int) string { return strings.Repeat("x", size-2) }

// large asks for one operation of a size.
type large struct {
	What string
	Size int
}

// inside is every place in an orchestration that takes a payload. Each returns what came back of it.
var inside = map[string]func(o lambdabiz.Context, size int) (string, error){
	"task input": func(o lambdabiz.Context, size int) (string, error) {
		return lambdabiz.Call(o, "op", measure, text(size))
	},
	"task result": func(o lambdabiz.Context, size int) (string, error) {
		got, err := lambdabiz.Call(o, "op", produce, size)
		return fmt.Sprint(len(got) + 2), err
	},
	"step": func(o lambdabiz.Context, size int) (string, error) {
		got, err := lambdabiz.Step(o, "op", func(context.Context) (string, error) { return text(size), nil })
		return fmt.Sprint(len(got) + 2), err
	},
	"raise": func(o lambdabiz.Context, size int) (string, error) {
		return fmt.Sprint(size), lambdabiz.RaiseEvent(o, "op", "target", "E", text(size))
	},
	"child input": func(o lambdabiz.Context, size int) (string, error) {
		return lambdabiz.CallChild(o, "op", measuring, text(size))
	},
	"child result": func(o lambdabiz.Context, size int) (string, error) {
		got, err := lambdabiz.CallChild(o, "op", producing, size)
		return fmt.Sprint(len(got) + 2), err
	},
	"progress": func(o lambdabiz.Context, size int) (string, error) {
		return fmt.Sprint(size), lambdabiz.SetProgress(o, text(size))
	},
	"heartbeat": func(o lambdabiz.Context, size int) (string, error) {
		return fmt.Sprint(size), lambdabiz.Do(o, "op", func(ctx context.Context) error {
			return lambdabiz.Heartbeat(ctx, text(size))
		})
	},
	"continue": func(o lambdabiz.Context, size int) (string, error) {
		return "", lambdabiz.ContinueAsNew(o, large{strings.Repeat("x", size-len(`{"What":"","Size":0}`)), 0})
	},
}

var (
	measure = lambdabiz.NewTask("Measure", func(_ context.Context, s string) (string, error) { return fmt.Sprint(len(s) + 2), nil })
	produce = lambdabiz.NewTask("Produce", func(_ context.Context, size int) (string, error) { return text(size), nil })

	measuring = lambdabiz.Define("Measuring", func(_ lambdabiz.Context, s string) (string, error) { return fmt.Sprint(len(s) + 2), nil })
	producing = lambdabiz.Define("Producing", func(_ lambdabiz.Context, size int) (string, error) { return text(size), nil })

	target = lambdabiz.Define("Target", func(o lambdabiz.Context, _ int) (int, error) {
		return 1, lambdabiz.Sleep(o, "long", 240*time.Hour)
	})

	// sizes does one operation, leaves memory, and does it again from its record.
	sizes = lambdabiz.Define("Sizes", func(o lambdabiz.Context, in large) (string, error) {
		if in.Size == 0 {
			return fmt.Sprint(len(in.What) + len(`{"What":"","Size":0}`)), nil // continued
		}
		got, err := inside[in.What](o, in.Size)
		if err != nil || in.What == "continue" {
			return got, err
		}
		return got, lambdabiz.Sleep(o, "away", 5*time.Minute)
	})
)

// payloads goes through all places with the sizes, and says what is wrong.
func payloads(
	t *testing.T, h home, places []string, all []int, wrap func(lambdabiz.Backend) lambdabiz.Backend,
) (fit, refused int, complaint string) {
	t.Helper()
	complaint = bubble(t, h, 100*time.Hour, wrap, func(b *bench) {
		e, _ := b.worker(lambdabiz.Config{ParkAfter: 10 * time.Second}, sizes, measure, produce, measuring, producing, target)
		start(b, e, target, "target", 1)
		for _, what := range places {
			for _, size := range all {
				id := fmt.Sprint(what, " ", size)
				began := time.Now()
				got, err := start(b, e, sizes, id, large{what, size}).Result(b.ctx)
				if time.Since(began) > 20*time.Minute {
					b.complainf("%s took %v", id, time.Since(began))
				}
				if size <= limit {
					if fit++; err != nil || got != fmt.Sprint(size) {
						b.complainf("%s fits and gave %.40q, error %v", id, got, err)
					}
					continue
				}
				refused++
				if !errors.Is(err, lambdabiz.ErrTooLarge) || !strings.Contains(err.Error(), fmt.Sprint(limit)) {
					b.complainf("%s gave %.40q, error %v", id, got, err)
					continue
				}
				if what != "progress" && what != "continue" && !strings.Contains(err.Error(), "op") {
					b.complainf("%s: the error does not name the operation: %v", id, err)
				}
				for _, o := range b.state(e, id).Operations {
					if len(o.Input)+len(o.Result)+len(o.Details) > 2*limit {
						b.complainf("%s: %d bytes are recorded", id, len(o.Input)+len(o.Result))
					}
				}
			}
		}
	})
	return fit, refused, complaint
}

// Payloads of every size up to the limit go through every place whole, and larger ones are refused by an error
// that names the place; nothing is stuck.
func TestPayloadsOfEverySize(t *testing.T) {
	all := []int{30, 1_000_000, limit, limit + 1, campaign.Rounds(t, 4*limit, 64*limit)}
	if underRace && all[4] == 4*limit {
		all = all[2:4]
	}
	onHomes(t, func(t *testing.T, h home) {
		fit, refused, complaint := payloads(t, h, slices.Collect(maps.Keys(inside)), all, nil)
		if complaint != "" {
			t.Error(complaint)
		}
		campaign.Report(t, "F33", []campaign.Count{{What: "payloads that fit", N: fit}, {What: "refused", N: refused}})
	})
}

// cutting is a store that keeps only the begin of large payloads.
type cutting struct{ lambdabiz.Backend }

// Commit cuts results.
func (c cutting) Commit(ctx context.Context, batch []*lambdabiz.Commit) ([]lambdabiz.Verdict, error) {
	for _, one := range batch {
		for i := range one.Operations {
			if o := &one.Operations[i]; len(o.Result) > 65_536 {
				o.Result = append(o.Result[:65_535:65_535], '"')
			}
		}
	}
	return c.Backend.Commit(ctx, batch)
}

// Wake tells of changes, as the backend does.
func (c cutting) Wake() <-chan struct{} { return c.Backend.(lambdabiz.Waker).Wake() }

// With a store that cuts payloads, a result is another one after a resume.
func TestSabotagePayloadsCut(t *testing.T) {
	t.Parallel()
	wrap := func(b lambdabiz.Backend) lambdabiz.Backend { return cutting{b} }
	_, _, complaint := payloads(t, homes[0], []string{"step"}, []int{limit}, wrap)
	campaign.Red(t, "F33", "the end of a payload", complaint)
}

// outside is every place from outside that takes a payload, a text or a name, with its limit.
var outside = map[string]struct {
	limit int
	names string // what the error names
	call  func(b *bench, e *lambdabiz.Engine, size int) error
}{
	"input": {limit, `orchestration other`, func(b *bench, e *lambdabiz.Engine, size int) error {
		_, err := lambdabiz.Start(b.ctx, e, measuring, "other", text(size))
		return err
	}},
	"event": {limit, `event "E"`, func(b *bench, e *lambdabiz.Engine, size int) error {
		return e.RaiseEvent(b.ctx, "target", "E", text(size))
	}},
	"kept event": {limit, `event "E"`, func(b *bench, e *lambdabiz.Engine, size int) error {
		return e.RaiseEvent(b.ctx, "nobody", "E", text(size), lambdabiz.BeforeStart(time.Hour))
	}},
	"event's name": {idLimit, "event name", func(b *bench, e *lambdabiz.Engine, size int) error {
		return e.RaiseEvent(b.ctx, "target", strings.Repeat("x", size), 1)
	}},
	"event's key": {idLimit, "event key", func(b *bench, e *lambdabiz.Engine, size int) error {
		return e.RaiseEvent(b.ctx, "target", "E", 1, lambdabiz.Key(strings.Repeat("x", size)))
	}},
	"id": {idLimit, "orchestration id", func(b *bench, e *lambdabiz.Engine, size int) error {
		_, err := lambdabiz.Start(b.ctx, e, measuring, strings.Repeat("x", size), "")
		return err
	}},
	"name": {idLimit, "orchestration name", func(b *bench, e *lambdabiz.Engine, size int) error {
		_, err := e.StartByName(b.ctx, strings.Repeat("x", size), "named", 1)
		return err
	}},
	"tag": {idLimit, "tag", func(b *bench, e *lambdabiz.Engine, size int) error {
		_, err := lambdabiz.Start(b.ctx, e, measuring, "other", "", lambdabiz.Tags(map[string]string{strings.Repeat("x", size): ""}))
		return err
	}},
	"tag's value": {idLimit, "tag", func(b *bench, e *lambdabiz.Engine, size int) error {
		_, err := lambdabiz.Start(b.ctx, e, measuring, "other", "", lambdabiz.Tags(map[string]string{"k": strings.Repeat("x", size)}))
		return err
	}},
	"all tags": {64 << 10, "tags", func(b *bench, e *lambdabiz.Engine, size int) error {
		tags := map[string]string{}
		for left := size; left > 0; left -= 256 {
			tags[fmt.Sprintf("%06d", left)] = strings.Repeat("v", max(0, min(250, left-6)))
		}
		_, err := lambdabiz.Start(b.ctx, e, measuring, "other", "", lambdabiz.Tags(tags))
		return err
	}},
	"reason of pause": {reasonLimit, "target", func(b *bench, e *lambdabiz.Engine, size int) error {
		return errors.Join(e.Pause(b.ctx, "target", strings.Repeat("x", size)), e.Resume(b.ctx, "target"))
	}},
	"reason of cancel": {reasonLimit, "target", func(b *bench, e *lambdabiz.Engine, size int) error {
		return e.Cancel(b.ctx, "target", strings.Repeat("x", size))
	}},
	"reason of terminate": {reasonLimit, "target", func(b *bench, e *lambdabiz.Engine, size int) error {
		return e.Terminate(b.ctx, "target", strings.Repeat("x", size))
	}},
}

// What comes from outside is refused at the door when it is over its limit, with an error that names it, and
// nothing is stored; at the limit it is taken.
func TestSizesFromOutside(t *testing.T) {
	onHomes(t, func(t *testing.T, h home) {
		refused := 0
		for what, place := range outside {
			complaint := bubble(t, h, time.Hour, nil, func(b *bench) {
				e, _ := b.worker(lambdabiz.Config{}, measuring, target)
				start(b, e, target, "target", 1)
				picture := func() string {
					time.Sleep(time.Second)
					page, err := e.List(b.ctx, lambdabiz.Filter{})
					b.check(err)
					r, err := b.backend.Load(b.ctx, "target", "")
					b.check(err)
					return fmt.Sprint(len(page.Runs), r)
				}
				before := picture()
				for _, size := range []int{place.limit + 1, 3 * place.limit} {
					refused++
					err := place.call(b, e, size)
					if !errors.Is(err, lambdabiz.ErrTooLarge) || !strings.Contains(err.Error(), place.names) {
						b.complainf("%s of %d bytes gave %v", what, size, err)
					}
					if after := picture(); after != before {
						b.complainf("%s of %d bytes left %.300s", what, size, after)
					}
				}
				if err := place.call(b, e, place.limit); err != nil {
					b.complainf("%s at its limit gave %v", what, err)
				}
			})
			if complaint != "" {
				t.Error(complaint)
			}
		}
		campaign.Report(t, "F33", []campaign.Count{{What: "refused at the door", N: refused}})
	})
}

// The text of an error is cut, not refused: an orchestration that fails with a novel has failed.
func TestErrorTextIsCut(t *testing.T) {
	onHomes(t, func(t *testing.T, h home) {
		complaint := bubble(t, h, time.Hour, nil, func(b *bench) {
			d := lambdabiz.Define("Novel", func(o lambdabiz.Context, size int) (int, error) {
				err := lambdabiz.Do(o, "s", func(context.Context) error { return errors.New(strings.Repeat("word ", size/5)) })
				return 0, errors.Join(err, err, err)
			})
			e, _ := b.worker(lambdabiz.Config{}, d)
			for _, size := range []int{0, 1000, 2 << 20} {
				id := fmt.Sprint("novel-", size)
				_, err := start(b, e, d, id, size).Result(b.ctx)
				s := b.state(e, id)
				if err == nil || s.Status != lambdabiz.StatusFailed || len(err.Error()) > 256<<10 {
					b.complainf("%s: %v, an error of %d bytes", id, s.Status, len(fmt.Sprint(err)))
				}
			}
		})
		if complaint != "" {
			t.Error(complaint)
		}
	})
}

// An empty payload is no JSON: it is refused, and the smallest that is JSON is taken.
func TestEmptyPayloads(t *testing.T) {
	onHomes(t, func(t *testing.T, h home) {
		complaint := bubble(t, h, time.Hour, nil, func(b *bench) {
			e, _ := b.worker(lambdabiz.Config{}, measuring, target)
			start(b, e, target, "target", 1)
			_, err := e.StartByName(b.ctx, "Measuring", "empty", lambdabiz.Payload{})
			if !errors.Is(err, lambdabiz.ErrInvalidPayload) {
				b.complainf("an empty input gave %v", err)
			}
			if err := e.RaiseEvent(b.ctx, "target", "E", lambdabiz.Payload{}); !errors.Is(err, lambdabiz.ErrInvalidPayload) {
				b.complainf("an empty event gave %v", err)
			}
			want(b, start(b, e, measuring, "small", ""), "2")
		})
		if complaint != "" {
			t.Error(complaint)
		}
	})
}
