package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// List returns a page of runs, newest start first. The cursor is the number of the last run: runs that start meanwhile do not
// move the pages.
func (b *Backend) List(ctx context.Context, f lambdabiz.Filter) (lambdabiz.Page, error) {
	before := int64(math.MaxInt64)
	if f.Cursor != "" {
		number, err := unseal(f.Cursor)
		if err == nil {
			before, err = strconv.ParseInt(number, 36, 64)
		}
		if err != nil {
			return lambdabiz.Page{}, fmt.Errorf("the cursor %q is not of an earlier page", f.Cursor)
		}
	}
	if err := b.prepare(ctx); err != nil {
		return lambdabiz.Page{}, err
	}
	ctx, cancel := b.limit(ctx)
	defer cancel()
	page, err := b.list(ctx, &f, before)
	if err != nil {
		return lambdabiz.Page{}, faultOf(ctx, "list", err)
	}
	return page, nil
}

// Counts counts the runs of each status, by one statement that reads each run that it counts, but for what is large in it.
func (b *Backend) Counts(ctx context.Context, f lambdabiz.Filter) (map[lambdabiz.Status]int, error) {
	if err := b.prepare(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := b.limit(ctx)
	defer cancel()
	var counts map[lambdabiz.Status]int
	all := &listing{f: &f, before: math.MaxInt64}
	for k, v := range f.Tags {
		all.tags = append(all.tags, digest(k, v))
	}
	args := all.conditions(0)
	err := b.read(ctx, func(t *tx) error {
		counts = map[lambdabiz.Status]int{}
		return t.query(ctx, qCounts, func(rows pgx.Rows) error {
			var status int16
			var n int
			err := rows.Scan(&status, &n)
			counts[lambdabiz.Status(status)] = n //nolint:gosec // it was stored
			return err
		}, args[:len(args)-1]...)
	})
	if err != nil {
		return nil, faultOf(ctx, "count", err)
	}
	return counts, nil
}

func (b *Backend) list(ctx context.Context, f *lambdabiz.Filter, before int64) (page lambdabiz.Page, err error) {
	err = b.read(ctx, func(t *tx) error {
		l := &listing{t: t, f: f, limit: rules.PageSize(f), before: before}
		err := l.find(ctx)
		page = l.page
		return err
	})
	return page, err
}

// listing is a list on its way. A filter that few runs pass must not read all the others, so each has an index, and the
// statement names the order of the index: the server would guess from its statistics which one to read, and be wrong about what
// is rare.
type listing struct {
	t      *tx
	f      *lambdabiz.Filter
	limit  int
	before int64 // the number of the last run of the page before
	tags   [][]byte

	last int64
	page lambdabiz.Page
}

// mostSorted is how many runs are looked up in the index of a filter that has another order. If there are more, so many pass that
// one that goes through all of them soon has a page.
const mostSorted = 5000

// find reads the page by the index that is likely to have the fewest runs.
func (l *listing) find(ctx context.Context) error {
	f := l.f
	for _, k := range slices.Sorted(maps.Keys(f.Tags)) {
		l.tags = append(l.tags, digest(k, f.Tags[k]))
	}
	current := []bool{true}
	if f.AllRuns {
		current = []bool{true, false}
	}
	if len(l.tags) > 0 {
		first := l.tags[0]
		l.tags = l.tags[1:]
		return l.read(ctx, qListTag, first)
	}
	if f.IDPrefix != "" {
		if to := afterPrefix(f.IDPrefix); to != nil {
			if done, err := l.lookUp(ctx, qFindPrefix, text(f.IDPrefix), to, f.AllRuns); done || err != nil {
				return err
			}
		}
	}
	if f.Blocked || f.Paused {
		asleep := []bool{true}
		if !f.Paused {
			asleep = []bool{true, false}
		}
		return l.read(ctx, qListStopped, asleep)
	}
	if !f.ScheduledAfter.IsZero() || !f.ScheduledBefore.IsZero() {
		from, to := int64(math.MinInt64), int64(math.MaxInt64)
		if !f.ScheduledAfter.IsZero() {
			from = f.ScheduledAfter.UnixMicro()
		}
		if !f.ScheduledBefore.IsZero() {
			to = f.ScheduledBefore.UnixMicro()
		}
		if done, err := l.lookUp(ctx, qFindScheduled, from, to); done || err != nil {
			return err
		}
	}
	most := slices.Contains(f.Status, lambdabiz.StatusSucceeded) // what most runs come to
	switch {
	case len(f.Status) > 0 && (!most || f.Name == ""):
		var states []int16
		var each []bool
		for _, s := range slices.Compact(slices.Sorted(slices.Values(f.Status))) {
			for _, c := range current {
				states, each = append(states, int16(s)), append(each, c)
			}
		}
		return l.read(ctx, qListStatus, states, each)
	case f.Name != "":
		return l.read(ctx, qListName, current)
	}
	return l.read(ctx, qList)
}

// lookUp finds the numbers of the runs of an index that has another order, and then reads those runs, the newest first. It
// reports false if there are too many.
func (l *listing) lookUp(ctx context.Context, q query, args ...any) (done bool, err error) {
	var numbers []int64
	err = l.planned(ctx, q, into(&numbers), append(args, mostSorted+1)...)
	if err != nil || len(numbers) > mostSorted {
		return false, err
	}
	slices.Sort(numbers)
	slices.Reverse(numbers)
	for chunk := range slices.Chunk(numbers, l.limit+1) {
		if err := l.read(ctx, qListNumbers, chunk); err != nil || l.page.Next != "" {
			return true, err
		}
	}
	return true, nil
}

// read adds runs to the page, by a statement that has the filter's own parameters after those of all lists.
func (l *listing) read(ctx context.Context, q query, own ...any) error {
	left := l.limit + 1 - len(l.page.Runs) // one more tells whether there is another page
	return l.planned(ctx, q, func(rows pgx.Rows) error {
		run, err := scanRun(rows)
		switch {
		case err != nil:
			return err
		case len(l.page.Runs) == l.limit:
			l.page.Next = seal(strconv.FormatInt(l.last, 36))
			return nil
		case run.broken != nil: // the others are to be seen all the same
			run.record.Blocked = rules.Unreadable(run.broken, time.Time{})
		}
		l.last = run.no
		l.page.Runs = append(l.page.Runs, run.record.RunInfo)
		return nil
	}, append(l.conditions(left), own...)...)
}

// planned runs a statement with the settings of the planner that it was made for.
func (l *listing) planned(ctx context.Context, q query, read func(pgx.Rows) error, args ...any) error {
	p := l.t.pipe() // one transaction
	p.settle()
	p.add(q, nil, read, args...)
	return p.run(ctx)
}

// conditions are the parameters of all lists.
func (l *listing) conditions(limit int) []any {
	f := l.f
	statuses := int64(0)
	for _, s := range f.Status {
		statuses |= 1 << (s & 63)
	}
	tags := l.tags
	if tags == nil {
		tags = [][]byte{}
	}
	var from, to any
	if f.IDPrefix != "" {
		from, to = text(f.IDPrefix), afterPrefix(f.IDPrefix)
	}
	return []any{
		l.before, from, to, statuses, optional(f.Name), tags, f.Blocked, f.Paused,
		micros(f.ScheduledAfter), micros(f.ScheduledBefore), f.AllRuns, limit,
	}
}

// afterPrefix is the least text above all that begin with a prefix, NULL if there is none. The order is that of bytes, which for
// UTF-8 is that of its characters.
func afterPrefix(prefix string) any {
	runes := []rune(prefix)
	for i := len(runes) - 1; i >= 0; i-- {
		switch next := runes[i] + 1; {
		case next == 0xD800: // surrogates are no characters
			runes[i] = 0xE000
			return string(runes[:i+1])
		case next <= 0x10FFFF:
			runes[i] = next
			return string(runes[:i+1])
		}
	}
	return nil
}

// seal puts a checksum behind a place in a list. A cursor that somebody has typed would be a place too, where the list goes on
// in silence.
func seal(place string) string {
	return place + "." + strconv.FormatUint(uint64(crc32.ChecksumIEEE([]byte(place))), 36)
}

// unseal returns the place of a cursor that seal has made.
func unseal(cursor string) (string, error) {
	at := strings.LastIndexByte(cursor, '.')
	if at < 0 || seal(cursor[:at]) != cursor {
		return "", errors.New("the checksum does not fit")
	}
	return cursor[:at], nil
}
