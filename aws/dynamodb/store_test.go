package dynamodb_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/dynamodb"
)

func TestMissingTableNamesTheFix(t *testing.T) {
	t.Parallel()
	c := configFor(localEndpoint(t))
	c.CreateTable = false
	_, err := dynamodb.Open(t.Context(), c)
	if err == nil || !strings.Contains(err.Error(), c.Table) || !strings.Contains(err.Error(), "CreateTable") {
		t.Errorf("open without a table: %v", err)
	}
}

func TestTableGoneMeanwhile(t *testing.T) {
	t.Parallel()
	c := configFor(localEndpoint(t))
	s, err := dynamodb.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client(c).DeleteTable(t.Context(), &sdk.DeleteTableInput{TableName: &c.Table}); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), faultSnapshot("a", 1, 1, 1)); err == nil || !strings.Contains(err.Error(), "CreateTable") {
		t.Errorf("put without a table: %v", err)
	}
}

func TestTableWithoutTheIndexIsRefused(t *testing.T) {
	t.Parallel()
	c := configFor(localEndpoint(t))
	pk := "pk"
	_, err := client(c).CreateTable(t.Context(), &sdk.CreateTableInput{
		TableName: &c.Table, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: &pk, AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: &pk, KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dynamodb.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "byStatus") {
		t.Errorf("open a table of another kind: %v", err)
	}
}

// A table of AWS takes seconds to become active. Those of the stand-ins do not.
func TestOpenWaitsForATableThatIsBeingCreated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		c := configFor("http://dynamodb.invalid")
		c.AWS.HTTPClient = &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			status := "CREATING"
			if asked++; asked > 3 {
				status = "ACTIVE"
			}
			return answer(http.StatusOK, `{"Table": {"TableStatus": "`+status+`", "GlobalSecondaryIndexes": [{"IndexName": "byStatus",
				"KeySchema": [{"AttributeName": "g1pk", "KeyType": "HASH"}, {"AttributeName": "g1sk", "KeyType": "RANGE"}]}]}}`), nil
		})}
		if _, err := dynamodb.Open(t.Context(), c); err != nil || asked != 4 {
			t.Errorf("asked %d times: %v", asked, err)
		}
	})
}

func TestManyCreateTheTableAtOnce(t *testing.T) {
	t.Parallel()
	c := configFor(localEndpoint(t))
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			if err := dynamodb.CreateTable(t.Context(), c); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	open(t, c)
	got, err := client(c).DescribeTimeToLive(t.Context(), &sdk.DescribeTimeToLiveInput{TableName: &c.Table})
	if err != nil {
		t.Fatal(err)
	}
	if status := got.TimeToLiveDescription.TimeToLiveStatus; status != types.TimeToLiveStatusEnabled {
		t.Errorf("time to live is %s", status)
	}
}

// items reads a whole table, by sort key.
func items(t *testing.T, c dynamodb.Config) map[string]map[string]types.AttributeValue {
	t.Helper()
	out, err := client(c).Scan(t.Context(), &sdk.ScanInput{TableName: &c.Table})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]types.AttributeValue{}
	for _, i := range out.Items {
		all[i["sk"].(*types.AttributeValueMemberS).Value] = i
	}
	return all
}

func ttlOf(t *testing.T, i map[string]types.AttributeValue) time.Time {
	t.Helper()
	n, ok := i["ttl"].(*types.AttributeValueMemberN)
	if !ok {
		return time.Time{}
	}
	seconds, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Unix(seconds, 0).UTC()
}

func TestTimeToLive(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, x := range []struct {
		retention, stays time.Duration
	}{{10 * day, 10 * day}, {0, 365 * day}, {-1, 0}} {
		t.Run(x.retention.String(), func(t *testing.T) {
			t.Parallel()
			c := configFor(localEndpoint(t))
			c.Retention = x.retention
			s := open(t, c)
			open := faultSnapshot("a", 1, 1, 1)
			open.SavedAt = faultEpoch
			ended := faultSnapshot("a", 1, 2)
			ended.Status, ended.EndedAt = lambdabiz.StatusSucceeded, faultEpoch.Add(day)
			var operation time.Time
			for _, snapshot := range []*lambdabiz.Snapshot{open, ended} {
				if err := s.Put(t.Context(), snapshot); err != nil {
					t.Fatal(err)
				}
				got := items(t, c)
				wanted := time.Time{}
				if snapshot == ended && x.stays > 0 {
					wanted = ended.EndedAt.Add(x.stays)
				}
				if ttl := ttlOf(t, got["RUN"]); !ttl.Equal(wanted) {
					t.Errorf("ttl of the run %v, want %v", ttl, wanted)
				}
				for key, i := range got {
					if strings.HasPrefix(key, "OP#") && strings.HasSuffix(key, "#o1") {
						operation = ttlOf(t, i)
					}
				}
			}
			if wanted := faultEpoch.Add(366*day + x.stays); x.stays > 0 && !operation.Equal(wanted) {
				t.Errorf("ttl of an operation %v, want %v", operation, wanted)
			}
			if x.stays == 0 && !operation.IsZero() {
				t.Errorf("ttl of an operation that stays for ever: %v", operation)
			}
			e := lambdabiz.KeptEvent{Name: "n", Key: "k", Until: faultEpoch}
			if err := s.Keep(t.Context(), "a", e); err != nil {
				t.Fatal(err)
			}
			if ttl := ttlOf(t, items(t, c)["EV#k"]); !ttl.Equal(faultEpoch.Add(time.Second)) {
				t.Errorf("ttl of a kept event %v", ttl)
			}
		})
	}
}

// counter counts requests by operation.
type counter struct {
	mu     sync.Mutex
	counts map[string]int
}

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	c.mu.Lock()
	c.counts[operation]++
	c.mu.Unlock()
	return transport.RoundTrip(r)
}

func (c *counter) since(do func()) string {
	c.mu.Lock()
	c.counts = map[string]int{}
	c.mu.Unlock()
	do()
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprint(c.counts)
}

// A write is one request for each changed item; a list by status and time reads the partitions of that
// time only, whatever else is in the table.
func TestRequests(t *testing.T) {
	t.Parallel()
	c := configFor(localEndpoint(t))
	requests := &counter{counts: map[string]int{}}
	counted := c
	counted.AWS.HTTPClient = &http.Client{Transport: requests}
	open(t, c)
	s, err := dynamodb.Open(t.Context(), counted)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	check := func(what, wanted string, do func() error) {
		t.Helper()
		var err error
		if got := requests.since(func() { err = do() }); got != wanted || err != nil {
			t.Errorf("%s: %s, %v, want %s", what, got, err, wanted)
		}
	}
	list := func(f lambdabiz.Filter, runs int) func() error {
		return func() error {
			page, err := s.List(ctx, f)
			if len(page.Runs) != runs {
				return fmt.Errorf("%d runs, want %d: %w", len(page.Runs), runs, err)
			}
			return err
		}
	}
	for month := range 30 {
		ended := faultSnapshot(fmt.Sprint(month), 1, 1)
		ended.Status, ended.ScheduledAt = lambdabiz.StatusFailed, faultEpoch.AddDate(0, month, 0)
		if err := s.Put(ctx, ended); err != nil {
			t.Fatal(err)
		}
	}
	check("a commit with three changed operations", "map[PutItem:4]", func() error { return s.Put(ctx, faultSnapshot("a", 1, 1, 1, 2, 3)) })
	check("get", "map[GetItem:1 Query:1]", func() error { _, err := s.Get(ctx, "a"); return err })
	check("reserve", "map[PutItem:1]", func() error { return s.Reserve(ctx, faultSnapshot("b", 1, 0), "") })
	check("open runs", "map[Query:4]", list(lambdabiz.Filter{Status: []lambdabiz.Status{lambdabiz.StatusStarted}}, 2))
	failed := lambdabiz.Filter{
		Status:         []lambdabiz.Status{lambdabiz.StatusFailed},
		ScheduledAfter: faultEpoch.AddDate(0, 3, 0), ScheduledBefore: faultEpoch.AddDate(0, 5, 0),
	}
	check("failed runs of three months, one of them too late", "map[Query:13]", list(failed, 2))
	failed = lambdabiz.Filter{Status: failed.Status, Limit: 3}
	check("the newest three failed runs", "map[Query:17]", list(failed, 3))
	failed = lambdabiz.Filter{Status: failed.Status, Name: "none"}
	check("a page of 24 months without a run", "map[Query:97]", list(failed, 0))
}

func TestEmptyPagesLeadOn(t *testing.T) {
	t.Parallel()
	s := open(t, configFor(localEndpoint(t)))
	for month := range 60 {
		ended := faultSnapshot(fmt.Sprint(month), 1, 1)
		ended.Status, ended.ScheduledAt = lambdabiz.StatusFailed, faultEpoch.AddDate(0, month, 0)
		if month == 0 {
			ended.Name = "Rare"
		}
		if err := s.Put(t.Context(), ended); err != nil {
			t.Fatal(err)
		}
	}
	f := lambdabiz.Filter{Name: "Rare"}
	pages := 1
	page, err := s.List(t.Context(), f)
	for ; err == nil && page.Next != ""; pages++ {
		f.Cursor = page.Next
		page, err = s.List(t.Context(), f)
	}
	if err != nil || len(page.Runs) != 1 || pages != 3 {
		t.Errorf("page %d: %+v, %v", pages, page, err)
	}
}

func TestThrottlingIsRetriedWhileTheContextLasts(t *testing.T) {
	t.Parallel()
	c := configFor(localEndpoint(t))
	open(t, c)
	left := 3
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var end bool
	throttled := c
	throttled.AWS.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if end {
			cancel()
		}
		if left--; left >= 0 || end {
			return answer(http.StatusBadRequest,
				`{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slow down"}`), nil
		}
		return transport.RoundTrip(r)
	})}
	s, err := dynamodb.Open(ctx, throttled)
	if err != nil {
		t.Fatal(err)
	}
	if left > 0 {
		t.Errorf("%d requests were not throttled", left)
	}
	end = true
	if err := s.Put(ctx, faultSnapshot("a", 1, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("put that is throttled for ever: %v", err)
	}
}

type roundTrip func(r *http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// What lies longer than DynamoDB needs to remove it is not seen: the suite says so of kept events. An id or
// a time that the table cannot hold is an error.
func TestWhatCannotBeWritten(t *testing.T) {
	t.Parallel()
	s := open(t, configFor(localEndpoint(t)))
	for what, change := range map[string]func(s *lambdabiz.Snapshot){
		"a negative event": func(s *lambdabiz.Snapshot) { s.Version.Event = -1 },
		"the year 10000":   func(s *lambdabiz.Snapshot) { s.ScheduledAt = faultEpoch.AddDate(9000, 0, 0) },
	} {
		snapshot := faultSnapshot("a", 1, 1, 1)
		change(snapshot)
		if err := s.Put(t.Context(), snapshot); err == nil {
			t.Errorf("put with %s: no error", what)
		}
		if _, err := s.Get(t.Context(), "a"); !errors.Is(err, lambdabiz.ErrNotFound) {
			t.Errorf("get after a refused put: %v", err)
		}
	}
}

// The first Put of a new run that dies before it writes the run leaves the run before it readable, whole.
func TestGetWhileANewRunIsOnItsWay(t *testing.T) {
	t.Parallel()
	c := configFor(localEndpoint(t))
	s := open(t, c)
	if err := s.Put(t.Context(), faultSnapshot("a", 1, 1, 1, 2)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	dying := c
	puts := 0
	dying.AWS.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), "PutItem") {
			if puts++; puts > 1 {
				cancel()
				return nil, errCut
			}
		}
		return transport.RoundTrip(r)
	})}
	half, err := dynamodb.Open(ctx, dying)
	if err != nil {
		t.Fatal(err)
	}
	if err := half.Put(ctx, faultSnapshot("a", 2, 1, 2)); err == nil {
		t.Fatal("a put that died has succeeded")
	}
	got, err := s.Get(t.Context(), "a")
	if err != nil || got.RunID != "a#1" || len(got.Operations) != 2 {
		t.Errorf("get: %+v, %v", got, err)
	}
	if err := s.Put(t.Context(), faultSnapshot("a", 2, 1, 2)); err != nil {
		t.Fatal(err)
	}
	if got, err = s.Get(t.Context(), "a"); err != nil || got.RunID != "a#2" || len(got.Operations) != 1 {
		t.Errorf("get after the put was completed: %+v, %v", got, err)
	}
}

// TestAGetReadsItsRunAlone: what earlier runs of the id had left was read with it, for two years.
func TestAGetReadsItsRunAlone(t *testing.T) {
	t.Parallel()
	c := configFor(localEndpoint(t))
	c.CreateTable = true
	var read atomic.Int64
	c.AWS.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		answer, err := transport.RoundTrip(r)
		if err != nil || !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".Query") {
			return answer, err
		}
		text, err := io.ReadAll(answer.Body)
		if err := errors.Join(err, answer.Body.Close()); err != nil {
			return nil, err
		}
		answer.Body = io.NopCloser(bytes.NewReader(text))
		var page struct{ ScannedCount int64 }
		if err := json.Unmarshal(text, &page); err != nil {
			return nil, err
		}
		read.Add(page.ScannedCount)
		return answer, nil
	})}
	s := open(t, c)
	const runs, operations = 5, 4
	for n := range runs {
		snap := &lambdabiz.Snapshot{SavedAt: faultEpoch}
		snap.RunInfo = lambdabiz.RunInfo{
			ID: "a", Name: "x", RunID: fmt.Sprint("run ", n), Status: lambdabiz.StatusStarted,
			ScheduledAt: faultEpoch.Add(time.Duration(n) * time.Hour),
		}
		snap.Version = lambdabiz.SnapshotVersion{Start: snap.ScheduledAt, Event: 1}
		for i := range operations {
			snap.Operations = append(snap.Operations, lambdabiz.Operation{
				Number: int64(i + 1), ID: fmt.Sprint("o", n, i), Kind: lambdabiz.KindStep, Status: lambdabiz.StatusSucceeded,
			})
		}
		if err := s.Put(t.Context(), snap); err != nil {
			t.Fatal(err)
		}
	}
	snap, err := s.Get(t.Context(), "a")
	if err != nil || len(snap.Operations) != operations {
		t.Fatal(snap, err)
	}
	if n := read.Load(); n != operations {
		t.Errorf("a Get of %d operations has read %d items", operations, n)
	}
}
