package dynamodb_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/dynamodb"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

var errCut = errors.New("the connection was cut")

// The kinds of faults of a request.
const (
	faultLost     = "executed, and its answer lost"
	faultCut      = "cut before it was executed"
	faultThrottle = "throttled"
	faultLate     = "executed long after its sender has given up"
	faultTwice    = "executed twice, the second time late"
)

var faultKinds = []string{faultLost, faultCut, faultThrottle, faultLate, faultTwice}

// faulty is a transport that lets a third of all requests go wrong. There are no transactions, so
// that TransactionConflict cannot come.
type faulty struct {
	mangle  func(operation string, body map[string]any) // sabotage: changes what is sent
	swallow func(operation string) bool                 // sabotage: acknowledged, and not executed

	mu     sync.Mutex
	random *rand.Rand
	counts map[string]int
	late   []*http.Request
}

func (f *faulty) RoundTrip(r *http.Request) (*http.Response, error) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if f.mangle != nil {
		var decoded map[string]any
		if err := json.Unmarshal(body, &decoded); err != nil {
			return nil, err
		}
		f.mangle(operation, decoded)
		if body, err = json.Marshal(decoded); err != nil {
			return nil, err
		}
	}
	if f.swallow != nil && f.swallow(operation) {
		return answer(http.StatusOK, "{}"), nil
	}
	kind := f.draw(strings.HasSuffix(operation, "Item") && operation != "GetItem")
	if err := f.deliver(1); err != nil {
		return nil, err
	}
	switch kind {
	case faultCut:
		return nil, errCut
	case faultThrottle:
		return answer(http.StatusBadRequest, `{"__type":"com.amazon.coral.availability#ThrottlingException","message":"slow down"}`), nil
	case faultLate:
		f.keep(r, body)
		return nil, errCut
	case faultTwice:
		f.keep(r, body)
	}
	response, err := transport.RoundTrip(again(r.Context(), r, body))
	if err == nil && kind == faultLost {
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		return nil, errCut
	}
	return response, err
}

func answer(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

func again(ctx context.Context, r *http.Request, body []byte) *http.Request {
	c := r.Clone(ctx)
	c.Body, c.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return c
}

// draw chooses what happens to a request; late ones are writes only.
func (f *faulty) draw(write bool) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.random.IntN(3) > 0 {
		return ""
	}
	kinds := faultKinds
	if !write {
		kinds = kinds[:3]
	}
	kind := kinds[f.random.IntN(len(kinds))]
	f.counts[kind]++
	return kind
}

func (f *faulty) keep(r *http.Request, body []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.late = append(f.late, again(context.Background(), r, body))
}

// deliver executes a late request, one time in chance.
func (f *faulty) deliver(chance int) error {
	f.mu.Lock()
	var r *http.Request
	if n := len(f.late); n > 0 && (chance == 0 || f.random.IntN(4*chance) == 0) {
		place := f.random.IntN(n)
		r = f.late[place]
		f.late = slices.Delete(f.late, place, place+1)
	}
	f.mu.Unlock()
	if r == nil {
		return nil
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return errors.Join(err, response.Body.Close())
}

// deliverAll executes what is left, in any order.
func (f *faulty) deliverAll() error {
	for len(f.late) > 0 {
		if err := f.deliver(0); err != nil {
			return err
		}
	}
	return nil
}

// quickRetries retries a little, so that the callers see faults too.
func quickRetries() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.RateLimiter = 3, ratelimit.None
		o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
	})
}

var faultEpoch = time.Date(2030, time.January, 2, 3, 4, 5, 0, time.UTC)

func faultSnapshot(id string, run int, event int64, operations ...int64) *lambdabiz.Snapshot {
	s := &lambdabiz.Snapshot{Version: lambdabiz.SnapshotVersion{Start: faultEpoch.Add(time.Duration(run) * time.Second), Event: event}}
	s.ID, s.RunID, s.Name, s.Status = id, fmt.Sprintf("%s#%d", id, run), "Order", lambdabiz.StatusStarted
	s.ScheduledAt = s.Version.Start
	for _, n := range operations {
		s.Operations = append(s.Operations, lambdabiz.Operation{Number: n, ID: fmt.Sprint("o", n), Attempts: int(event)})
	}
	return s
}

// insist repeats a call until it succeeds, or fails with an error that is an answer.
func insist(call func() error) error {
	for range 200 {
		if err := call(); err == nil || errors.Is(err, lambdabiz.ErrStale) {
			return err
		}
	}
	return errors.New("200 attempts have failed")
}

// scenario is one id that several clients write through a faulty network. What it returns is the rule that was
// broken.
type scenario struct {
	id     string
	faulty lambdabiz.Store
	clean  lambdabiz.Store

	mu    sync.Mutex
	floor lambdabiz.SnapshotVersion // nothing older may be seen any more
}

func (s *scenario) run(ctx context.Context, f *faulty) error {
	winner, err := s.reserve(ctx)
	if err != nil {
		return err
	}
	newest, err := s.write(ctx, winner)
	if err != nil {
		return err
	}
	if err := s.keep(ctx); err != nil {
		return err
	}
	if err := s.settled(ctx, newest, winner); err != nil {
		return err
	}
	if err := f.deliverAll(); err != nil {
		return err
	}
	return s.settled(ctx, newest, winner)
}

// reserve lets four callers reserve the id, of which one must win.
func (s *scenario) reserve(ctx context.Context) (winner int, _ error) {
	const callers = 4
	var errs [callers]error
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() {
			errs[i] = insist(func() error { return s.faulty.Reserve(ctx, faultSnapshot(s.id, i, 0), "") })
		})
	}
	group.Wait()
	winner = -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			return 0, fmt.Errorf("callers %d and %d have reserved the id", winner, i)
		case err == nil:
			winner = i
		case !errors.Is(err, lambdabiz.ErrStale):
			return 0, err
		}
	}
	if winner < 0 {
		return 0, errors.New("nobody has reserved the id")
	}
	return winner, nil
}

const faultEvents = 16

// write lets three writers put the versions of the winner's run, and reads after each.
func (s *scenario) write(ctx context.Context, run int) (newest map[int64]int64, _ error) {
	newest = map[int64]int64{}
	snapshots := make([]*lambdabiz.Snapshot, faultEvents)
	for i := range snapshots {
		event := int64(i + 1)
		changed := []int64{event%3 + 1, event%5 + 4}
		snapshots[i] = faultSnapshot(s.id, run, event, changed...)
		for _, n := range changed {
			newest[n] = event
		}
	}
	const writers = 3
	var errs [writers]error
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := w; i < faultEvents && errs[w] == nil; i += writers {
				errs[w] = insist(func() error { return s.faulty.Put(ctx, snapshots[i]) })
				if errs[w] == nil {
					errs[w] = s.check(ctx, snapshots[i])
				}
			}
		})
	}
	group.Wait()
	return newest, errors.Join(errs[:]...)
}

// check reads past the faults: nothing may be older than what was acknowledged or seen before.
func (s *scenario) check(ctx context.Context, put *lambdabiz.Snapshot) error {
	s.mu.Lock()
	floor := s.floor
	s.mu.Unlock()
	got, err := s.clean.Get(ctx, s.id)
	if err != nil {
		return fmt.Errorf("read after an acknowledged write: %w", err)
	}
	if got.Version.Compare(floor) < 0 || got.Version.Compare(put.Version) < 0 {
		return fmt.Errorf("event %d is seen after %d was seen and %d was acknowledged", got.Version.Event, floor.Event, put.Version.Event)
	}
	for _, o := range put.Operations {
		same := slices.IndexFunc(got.Operations, func(x lambdabiz.Operation) bool { return x.ID == o.ID })
		if same < 0 || got.Operations[same].Attempts < o.Attempts {
			return fmt.Errorf("operation %s of event %d is older or missing", o.ID, put.Version.Event)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if got.Version.Compare(s.floor) > 0 {
		s.floor = got.Version
	}
	return nil
}

const faultKept = 5

// keep keeps events one after the other, and at last another one with the key of the first.
func (s *scenario) keep(ctx context.Context) error {
	for i := range faultKept + 1 {
		e := lambdabiz.KeptEvent{Name: "Approve", Key: fmt.Sprint(9 - i), ArrivedAt: faultEpoch, Until: faultEpoch.Add(time.Hour)}
		if i == faultKept {
			e.Name, e.Key = "Reject", "9"
		}
		if err := insist(func() error { return s.faulty.Keep(ctx, s.id, e) }); err != nil {
			return err
		}
	}
	return nil
}

// settled expects the newest of everything, and that nothing was lost.
func (s *scenario) settled(ctx context.Context, newest map[int64]int64, run int) error {
	got, err := s.clean.Get(ctx, s.id)
	if err != nil {
		return err
	}
	if got.RunID != fmt.Sprintf("%s#%d", s.id, run) || got.Version.Event != faultEvents {
		return fmt.Errorf("run %s of event %d in the end, want run %d of %d", got.RunID, got.Version.Event, run, faultEvents)
	}
	if len(got.Operations) != len(newest) {
		return fmt.Errorf("%d operations in the end, want %d", len(got.Operations), len(newest))
	}
	for _, o := range got.Operations {
		if int64(o.Attempts) != newest[o.Number] {
			return fmt.Errorf("operation %d of event %d in the end, want %d", o.Number, o.Attempts, newest[o.Number])
		}
	}
	events, err := s.clean.Kept(ctx, s.id, faultEpoch)
	if err != nil {
		return err
	}
	if len(events) != faultKept {
		return fmt.Errorf("%d kept events in the end, want %d", len(events), faultKept)
	}
	for i, e := range events {
		if e.Key != fmt.Sprint(9-i) || e.Name != "Approve" {
			return fmt.Errorf("kept event %s, %s, in place %d", e.Name, e.Key, i)
		}
	}
	return nil
}

// suffer runs scenarios on one table until a rule is broken: these, and for so long that each kind of fault has struck.
func suffer(t *testing.T, scenarios int, sabotage func(f *faulty)) (counts map[string]int, broken error) {
	t.Helper()
	c := configFor(localEndpoint(t))
	clean := open(t, c)
	seed := rand.Uint64()
	counts = map[string]int{}
	must := func() (must []campaign.Count) {
		for _, kind := range faultKinds {
			must = append(must, campaign.Count{What: kind, N: counts[kind]})
		}
		return must
	}
	for i := range campaign.More(scenarios, must) {
		f := &faulty{random: rand.New(rand.NewPCG(seed, uint64(i))), counts: counts}
		if sabotage != nil {
			sabotage(f)
		}
		troubled := c
		troubled.AWS.HTTPClient = &http.Client{Transport: f}
		troubled.AWS.Retryer = quickRetries
		var store *dynamodb.Store
		if err := insist(func() (err error) { store, err = dynamodb.Open(t.Context(), troubled); return err }); err != nil {
			t.Fatal(err)
		}
		s := &scenario{id: fmt.Sprint(i), faulty: store, clean: clean}
		if err := s.run(t.Context(), f); err != nil {
			return counts, fmt.Errorf("scenario %d, seed %d: %w", i, seed, err)
		}
	}
	return counts, nil
}

func TestFaultsLoseNothingAndNeverGoBack(t *testing.T) {
	t.Parallel()
	counts, err := suffer(t, 20, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range faultKinds {
		if counts[kind] == 0 {
			t.Errorf("no request was %s", kind)
		}
	}
	t.Logf("faults: %v", counts)
}

// Each protection, switched off on the wire, must be missed.
func TestSabotageOnTheWire(t *testing.T) {
	t.Parallel()
	without := func(condition string) func(f *faulty) {
		return func(f *faulty) {
			f.mangle = func(_ string, body map[string]any) {
				if body["ConditionExpression"] == condition {
					delete(body, "ConditionExpression")
					delete(body, "ExpressionAttributeValues")
					delete(body, "ExpressionAttributeNames")
				}
			}
		}
	}
	for name, sabotage := range map[string]func(f *faulty){
		"versions are not compared":   without("attribute_not_exists(pk) OR v < :v"),
		"reservations do not compare": without("attribute_not_exists(pk)"),
		"a kept event is replaced":    without("attribute_not_exists(pk) OR #until <= :now"),
		"a write is acknowledged and lost": func(f *faulty) {
			n := 0
			f.swallow = func(operation string) bool {
				f.mu.Lock()
				defer f.mu.Unlock()
				n++
				return operation == "PutItem" && n%7 == 0
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said := ""
			if _, err := suffer(t, 200, sabotage); err != nil { // chance may need so many
				said = err.Error()
			}
			campaign.Red(t, "F40", fmt.Sprintf("the protection against %q", name), said)
		})
	}
}
