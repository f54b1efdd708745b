package homes_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// stamped embeds a time, whose way to write itself becomes its own.
type stamped struct {
	time.Time
	Note string
}

// value is what passes through JSON.
type value struct {
	Any    any
	Text   string
	hidden string
	Stamp  stamped
	Exact  int64
}

// What docs/concepts.md says of values: a first run and a resumed run see the same, after a round trip through JSON.
// Row 121 of docs/proof/bugs.md.
func TestWhatJSONDoesToValues(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		const big = int64(1<<53 + 1)
		d := lambdabiz.Define("Values", func(o lambdabiz.Context, _ int) (string, error) {
			v, err := lambdabiz.Step(o, "value", func(context.Context) (value, error) {
				return value{
					Any: big, Text: "\xff!", hidden: "secret", Exact: big,
					Stamp: stamped{time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), "lost"},
				}, nil
			})
			if err != nil {
				return "", err
			}
			var lost []string
			if f, ok := v.Any.(float64); ok && f == float64(1<<53) {
				lost = append(lost, "any")
			}
			if v.Text == "\uFFFD!" {
				lost = append(lost, "text")
			}
			if v.hidden == "" {
				lost = append(lost, "unexported")
			}
			if v.Stamp.Note == "" && v.Stamp.Year() == 2030 {
				lost = append(lost, "beside an embedded time")
			}
			if v.Exact != big {
				lost = append(lost, "an int64")
			}
			_, err = lambdabiz.Step(o, "nan", func(context.Context) (float64, error) { return math.NaN(), nil })
			if errors.Is(err, lambdabiz.ErrInvalidPayload) {
				lost = append(lost, "NaN refused")
			}
			return strings.Join(lost, ", "), nil
		})
		e, _ := b.worker(d)
		if got := result(b, start(b, e, d, "v", 0)); got != "any, text, unexported, beside an embedded time, NaN refused" {
			t.Errorf("lost: %s", got)
		}
	})
}

// What docs/concepts.md says of children in children: each level makes the id longer, and the last one that fits names the way
// out.
func TestChildrenInChildrenEndWhereTheirIDsDo(t *testing.T) {
	everywhere(t, func(t *testing.T, b *bench) {
		nest := lambdabiz.Define("Nest", func(o lambdabiz.Context, level int) (int, error) {
			deepest, err := lambdabiz.CallChildByName[int](o, "child", "Nest", level+1)
			if errors.Is(err, lambdabiz.ErrTooLarge) {
				return level, nil
			}
			return deepest, err
		})
		e, _ := b.worker(nest)
		if got := result(b, start(b, e, nest, "root", 0)); got != 36 {
			t.Errorf("there are %d levels", got)
		}
	})
}
