package sqlite

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strconv"
	"strings"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/row"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// List returns a page of runs, newest start first. The cursor is the number of the last run: runs that
// start meanwhile do not move the pages.
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
	limit := rules.PageSize(&f)
	var page lambdabiz.Page
	err := b.read(ctx, func(c *conn) error {
		page = lambdabiz.Page{}
		s := c.list(qList, qListPrefix, &f, before, limit)
		var last int64
		for s.next() {
			if len(page.Runs) == limit {
				page.Next = seal(strconv.FormatInt(last, 36))
				break
			}
			run := s.run()
			last = run.no
			if rotten := s.takeRotten(); rotten != nil { // the others are to be seen all the same
				run.record.Blocked = rules.Unreadable(rotten, time.Time{})
			}
			page.Runs = append(page.Runs, run.record.RunInfo)
		}
		return s.done()
	})
	if err != nil {
		return lambdabiz.Page{}, err
	}
	return page, nil
}

// Counts counts the runs of each status. It reads each run that it counts, but for what is large in it.
func (b *Backend) Counts(ctx context.Context, f lambdabiz.Filter) (map[lambdabiz.Status]int, error) {
	var counts map[lambdabiz.Status]int
	err := b.read(ctx, func(c *conn) error {
		counts = map[lambdabiz.Status]int{}
		s := c.list(qCounts, qCountsPrefix, &f, math.MaxInt64, math.MaxInt32)
		for s.next() {
			status := lambdabiz.Status(s.getInt()) //nolint:gosec // it was stored
			counts[status] = int(s.getInt())
		}
		return s.done()
	})
	return counts, err
}

// seal puts a checksum behind a place in a list. A cursor that somebody has typed would be a place too,
// where the list goes on in silence.
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

// list begins one of two queries by a filter: the second one is for a prefix.
func (c *conn) list(all, prefix query, f *lambdabiz.Filter, before int64, limit int) *stmt {
	var s *stmt
	if f.IDPrefix == "" {
		s = c.prepare(all).null().null()
	} else {
		s = c.prepare(prefix).text(f.IDPrefix).optionalText(afterPrefix(f.IDPrefix))
	}
	s.int(before)
	var statuses int64
	for _, status := range f.Status {
		statuses |= 1 << (status & 63)
	}
	s.int(statuses).optionalText(f.Name).tags(f.Tags).bool(f.Blocked).bool(f.Paused)
	s.time(f.ScheduledAfter).time(f.ScheduledBefore).bool(f.AllRuns)
	return s.int(int64(limit) + 1) // one more tells whether there is another page
}

// afterPrefix returns the least string above all that begin with prefix, empty if there is none.
func afterPrefix(prefix string) string {
	b := []byte(prefix)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] < 0xff {
			b[i]++
			return string(b[:i+1])
		}
	}
	return ""
}

// tags binds tags as they are stored: keys are compared as they stand in the JSON text.
func (s *stmt) tags(tags map[string]string) *stmt {
	if len(tags) == 0 {
		return s.null()
	}
	text, err := row.Tags(tags)
	if err != nil {
		return s.note(err)
	}
	return s.text(text)
}
