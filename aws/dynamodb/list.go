package dynamodb

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/lambdabiz/lambdabiz"
)

const (
	defaultPage  = 100
	maxPage      = 1000
	maxExamined  = 5000 // runs that are read for a page
	maxMonths    = 24   // months that are looked into for a page
	filteredPage = 250  // runs of one request when many of them will not do

	aboveAll = ":" // sorts above every time
)

var errCursor = errors.New("dynamodb: Filter.Cursor is not from Page.Next")

var allStatuses = []lambdabiz.Status{
	lambdabiz.StatusScheduled, lambdabiz.StatusStarted, lambdabiz.StatusSucceeded, lambdabiz.StatusFailed,
	lambdabiz.StatusTimeout, lambdabiz.StatusCancelled, lambdabiz.StatusTerminated,
}

// List merges the partitions of the index, newest start first; see [lambdabiz.Store]. The index follows
// the table within about a second. A page may be short, even empty, though there is a next one, when
// the filter selects few of many runs.
func (s *Store) List(ctx context.Context, f lambdabiz.Filter) (lambdabiz.Page, error) {
	l, err := newListing(s, f)
	if err != nil {
		return lambdabiz.Page{}, err
	}
	if l.low > l.high || len(l.open)+len(l.ended) == 0 {
		return lambdabiz.Page{}, nil
	}
	page, err := l.page(ctx)
	if err != nil {
		return lambdabiz.Page{}, s.fault("list", err)
	}
	return page, nil
}

// listing is one page in the making.
type listing struct {
	*Store
	filter    lambdabiz.Filter
	low, high string // the index's sort keys: at or above low, below high
	limit     int
	size      int32 // of a request
	open      []lambdabiz.Status
	ended     []lambdabiz.Status
	months    []string // not looked into yet, newest first
	looked    int      // months looked into
	streams   []*stream
}

func newListing(s *Store, f lambdabiz.Filter) (*listing, error) {
	l := &listing{
		Store: s, filter: f, low: "0", high: aboveAll,
		limit: min(cmp.Or(max(f.Limit, 0), defaultPage), maxPage),
	}
	l.size = int32(l.limit/shards + 10) //nolint:gosec // at most a page
	if f.Name != "" || f.IDPrefix != "" || len(f.Tags) > 0 || f.Blocked || f.Paused {
		l.size = max(l.size, filteredPage)
	}
	var err error
	if !f.ScheduledAfter.IsZero() {
		if l.low, err = formatTime(f.ScheduledAfter); err != nil {
			return nil, err
		}
	}
	if !f.ScheduledBefore.IsZero() {
		if l.high, err = formatTime(f.ScheduledBefore.Add(time.Microsecond - 1)); err != nil {
			return nil, err
		}
	}
	if f.Cursor != "" {
		start, _, ok := strings.Cut(f.Cursor, "#")
		if _, err := parseTime(start); err != nil || !ok {
			return nil, errCursor
		}
		l.high = min(l.high, f.Cursor)
	}
	for _, status := range allStatuses {
		switch {
		case len(f.Status) > 0 && !slices.Contains(f.Status, status):
		case !status.Ended():
			l.open = append(l.open, status)
		case !f.Blocked && !f.Paused: // only open runs are
			l.ended = append(l.ended, status)
		}
	}
	return l, nil
}

// page takes one run after the other from the partitions until it is full, and looks for one more, which
// tells whether there is another page.
func (l *listing) page(ctx context.Context) (lambdabiz.Page, error) {
	var page lambdabiz.Page
	if err := l.begin(ctx); err != nil {
		return page, err
	}
	last := ""
	for examined := 0; ; examined++ {
		e, err := l.next(ctx)
		switch {
		case err != nil:
			return page, err
		case e == nil && len(l.months) == 0:
			return page, nil
		case e == nil: // enough months for one page
			page.Next, err = afterMonth(l.months[0])
			if len(page.Runs) == l.limit {
				page.Next = last
			}
			return page, err
		}
		var info lambdabiz.RunInfo
		if err := json.Unmarshal([]byte(e.info), &info); err != nil {
			return page, fmt.Errorf("decode run: %w", err)
		}
		if selects(&l.filter, &info) {
			if len(page.Runs) == l.limit {
				page.Next = last
				return page, nil
			}
			page.Runs = append(page.Runs, info)
			last = e.key
		}
		if examined+1 >= maxExamined {
			page.Next = e.key
			if len(page.Runs) == l.limit {
				page.Next = last
			}
			return page, nil
		}
	}
}

// begin opens the partitions of open runs, and finds the months of those that have ended.
func (l *listing) begin(ctx context.Context) error {
	if len(l.ended) > 0 {
		items, err := l.query(ctx, monthsID, prefixMonth)
		if err != nil {
			return err
		}
		for _, i := range items {
			month := strings.TrimPrefix(i.getText(attrSort), prefixMonth)
			if month+"-99" > l.low && month <= l.high {
				l.months = append(l.months, month)
			}
		}
		slices.Sort(l.months)
		slices.Reverse(l.months)
	}
	return l.add(ctx, l.open, "")
}

// add opens the partitions of some statuses and reads from them.
func (l *listing) add(ctx context.Context, statuses []lambdabiz.Status, month string) error {
	var added []*stream
	for _, status := range statuses {
		for shard := range shards {
			added = append(added, &stream{partition: partition(status, month, shard)})
		}
	}
	l.streams = append(l.streams, added...)
	return parallel(ctx, len(added), func(ctx context.Context, i int) error { return l.fill(ctx, added[i]) })
}

// entry is a run in the index.
type entry struct{ key, version, info string }

// stream is a partition that is read from its newest run on.
type stream struct {
	partition string
	entries   []entry
	next      map[string]types.AttributeValue
	read      bool // to its end
}

// next takes the newest run from all partitions; nil if there is none, or only in months for which this
// page has no time any more. A run that is moving from one partition to another may be in both.
func (l *listing) next(ctx context.Context) (*entry, error) {
	for {
		var newest *entry
		for _, s := range l.streams {
			if err := l.fill(ctx, s); err != nil {
				return nil, err
			}
			if len(s.entries) > 0 && (newest == nil || s.entries[0].key > newest.key) {
				newest = &s.entries[0]
			}
		}
		if len(l.months) == 0 || newest != nil && newest.key[:len(monthLayout)] > l.months[0] {
			return l.take(newest), nil
		}
		if l.looked == maxMonths {
			return nil, nil
		}
		month := l.months[0]
		l.months = l.months[1:]
		l.looked++
		if err := l.add(ctx, l.ended, month); err != nil {
			return nil, err
		}
	}
}

// take removes a run from all partitions, and returns its newest version.
func (l *listing) take(newest *entry) *entry {
	if newest == nil {
		return nil
	}
	taken := *newest
	for _, s := range l.streams {
		if len(s.entries) > 0 && s.entries[0].key == taken.key {
			if s.entries[0].version > taken.version {
				taken = s.entries[0]
			}
			s.entries = s.entries[1:]
		}
	}
	return &taken
}

// fill reads on in a partition if nothing is left of what was read.
func (l *listing) fill(ctx context.Context, s *stream) error {
	for len(s.entries) == 0 && !s.read {
		values := item{}
		values.text(":partition", s.partition)
		values.text(":low", l.low)
		values.text(":high", l.high)
		out, err := l.client.Query(ctx, &sdk.QueryInput{
			TableName: &l.table, IndexName: aws.String(indexName), ScanIndexForward: aws.Bool(false),
			Limit: &l.size, ExclusiveStartKey: s.next,
			KeyConditionExpression:    aws.String("g1pk = :partition AND g1sk BETWEEN :low AND :high"),
			ExpressionAttributeValues: values,
		})
		if err != nil {
			return err
		}
		for _, raw := range out.Items {
			i := item(raw)
			if key := i.getText(attrIndexSort); key < l.high {
				s.entries = append(s.entries, entry{key, i.getText(attrVersion), i.getText(attrInfo)})
			}
		}
		s.next = out.LastEvaluatedKey
		s.read = len(s.next) == 0
	}
	return nil
}

// afterMonth is a cursor above all runs of a month.
func afterMonth(month string) (string, error) {
	t, err := time.Parse(monthLayout, month)
	if err != nil {
		return "", fmt.Errorf("decode month: %w", err)
	}
	text, err := formatTime(t.AddDate(0, 1, 0))
	return text + "#", err
}

// selects reports whether a filter selects a run.
func selects(f *lambdabiz.Filter, i *lambdabiz.RunInfo) bool {
	switch {
	case len(f.Status) > 0 && !slices.Contains(f.Status, i.Status),
		f.Name != "" && i.Name != f.Name,
		!strings.HasPrefix(i.ID, f.IDPrefix),
		f.Blocked && (i.Blocked == nil || i.Status.Ended()),
		f.Paused && (!i.Paused || i.Status.Ended()),
		!f.ScheduledAfter.IsZero() && i.ScheduledAt.Before(f.ScheduledAfter),
		!f.ScheduledBefore.IsZero() && !i.ScheduledAt.Before(f.ScheduledBefore):
		return false
	}
	for name, value := range f.Tags {
		if got, ok := i.Tags[name]; !ok || got != value {
			return false
		}
	}
	return true
}
