package lambdabiztest

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/lambdabiz/lambdabiz"
)

// outcome is what came of a run, without what a crash may change: times, run ids, the order of recording.
type outcome struct {
	name       string
	status     lambdabiz.Status
	input      string
	result     string
	operations map[string]string // by path
	orphans    string
}

// records are all runs that are stored, the oldest first.
func (env *Env) records() ([]*lambdabiz.Record, error) {
	var records []*lambdabiz.Record
	filter := lambdabiz.Filter{AllRuns: true, Limit: 1000}
	for {
		page, err := env.backend.List(context.Background(), filter)
		if err != nil {
			return nil, err
		}
		for i := range page.Runs {
			rec, err := env.backend.Load(context.Background(), page.Runs[i].ID, page.Runs[i].RunID)
			if err != nil {
				return nil, err
			}
			records = append(records, rec)
		}
		if filter.Cursor = page.Next; page.Next == "" {
			slices.Reverse(records)
			return records, nil
		}
	}
}

// outcomes are what came of the runs, by their ids and their numbers in the chain of the id.
func (env *Env) outcomes(records []*lambdabiz.Record) map[string]*outcome {
	all := map[string]*outcome{}
	count := map[string]int{}
	for _, rec := range records {
		count[rec.ID]++
		name := rec.ID
		if n := count[rec.ID]; n > 1 {
			name = fmt.Sprintf("%s (run %d)", rec.ID, n)
		}
		all[name] = env.outcomeOf(rec)
	}
	return all
}

func (env *Env) outcomeOf(rec *lambdabiz.Record) *outcome {
	o := &outcome{
		name: rec.Name, status: rec.Status, input: env.textOf(rec.Input), result: env.resultOf(rec.Result, rec.Error),
		operations: map[string]string{}, orphans: strings.Join(rec.Orphans, ", "),
	}
	for i := range rec.Operations {
		op := &rec.Operations[i]
		o.operations[op.ID] = fmt.Sprintf("%s %q %s, input %s, %s", op.Kind, op.Name, op.Status, env.textOf(op.Input),
			env.resultOf(op.Result, op.Error))
	}
	return o
}

// aTime is a time in an error: that of a time-out is later by the outage, by right.
var aTime = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`)

func (env *Env) resultOf(p lambdabiz.Payload, f *lambdabiz.Failure) string {
	if f != nil {
		return "error " + aTime.ReplaceAllString(f.Message, "(a time)")
	}
	return "result " + env.textOf(p)
}

// textOf is a payload by what it means, since a codec may write one value in many ways; else as it is.
func (env *Env) textOf(p lambdabiz.Payload) string {
	if text, ok := env.meanings().Text(p); ok {
		return string(text)
	}
	return string(p)
}

// differences says in which way the outcomes are not the same.
func differences(want, got map[string]*outcome) []string {
	var list []string
	for _, id := range slices.Sorted(maps.Keys(union(want, got))) {
		w, g := want[id], got[id]
		switch {
		case w == nil:
			list = append(list, fmt.Sprintf("there is an orchestration %s, undisturbed there is none", id))
		case g == nil:
			list = append(list, fmt.Sprintf("there is no orchestration %s, undisturbed there is one", id))
		default:
			list = append(list, w.differences(id, g)...)
		}
	}
	return list
}

func (o *outcome) differences(id string, got *outcome) []string {
	var list []string
	differ := func(what, got, want string) {
		if got != want {
			got, want = around(got, want)
			list = append(list, fmt.Sprintf("orchestration %s: %s is %s, undisturbed %s", id, what, got, want))
		}
	}
	for _, path := range slices.Sorted(maps.Keys(union(o.operations, got.operations))) {
		w, recorded := o.operations[path]
		g, again := got.operations[path]
		switch {
		case !recorded:
			list = append(list, fmt.Sprintf("orchestration %s: operation %q is recorded (%s), undisturbed it is not",
				id, path, short([]byte(g))))
		case !again:
			list = append(list, fmt.Sprintf("orchestration %s: operation %q is not recorded, undisturbed it is (%s)",
				id, path, short([]byte(w))))
		default:
			differ(fmt.Sprintf("operation %q", path), g, w)
		}
	}
	differ("the definition", got.name, o.name)
	differ("the input", got.input, o.input)
	differ("the status", got.status.String(), o.status.String())
	differ("the outcome", got.result, o.result)
	differ("the list of orphans", "["+got.orphans+"]", "["+o.orphans+"]")
	return list
}

// around cuts two long texts to what is about their first difference.
func around(a, b string) (string, string) {
	const before, most = 60, 240
	if len(a) <= most && len(b) <= most {
		return a, b
	}
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	from := max(0, same-before)
	return window(a, from, most), window(b, from, most)
}

func window(s string, from, size int) string {
	cut := strings.ToValidUTF8(s[from:min(len(s), from+size)], "")
	if from > 0 {
		cut = "..." + cut
	}
	if from+size < len(s) {
		cut += "..."
	}
	return cut
}
