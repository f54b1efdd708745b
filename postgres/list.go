package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
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
	limit := rules.PageSize(&f)
	var page lambdabiz.Page
	err := b.read(ctx, func(t *tx) error {
		page = lambdabiz.Page{}
		last := int64(0)
		return t.query(ctx, qList, func(rows pgx.Rows) error {
			run, err := scanRun(rows)
			switch {
			case err != nil:
				return err
			case len(page.Runs) == limit:
				page.Next = seal(strconv.FormatInt(last, 36))
				return nil
			case run.broken != nil: // the others are to be seen all the same
				run.record.Blocked = rules.Unreadable(run.broken, time.Time{})
			}
			last = run.no
			page.Runs = append(page.Runs, run.record.RunInfo)
			return nil
		}, conditions(&f, before, limit)...)
	})
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
	args := conditions(&f, math.MaxInt64, 0)
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

// conditions are the parameters of qList.
func conditions(f *lambdabiz.Filter, before int64, limit int) []any {
	statuses := int64(0)
	for _, s := range f.Status {
		statuses |= 1 << (s & 63)
	}
	tags := [][]byte{}
	for k, v := range f.Tags {
		tags = append(tags, digest(k, v))
	}
	var from, to any
	if f.IDPrefix != "" {
		from, to = text(f.IDPrefix), afterPrefix(f.IDPrefix)
	}
	return []any{
		before, from, to, statuses, optional(f.Name), tags, f.Blocked, f.Paused,
		micros(f.ScheduledAfter), micros(f.ScheduledBefore), f.AllRuns, limit + 1, // one more tells whether there is another page
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
