package memory

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

var errStoreClosed = errors.New("memory: store is closed")

// Store is a [lambdabiz.Store] in memory. Make one with [NewStore].
type Store struct {
	mu     sync.Mutex
	closed bool
	ids    map[string]*storedID
	kept   map[string][]lambdabiz.KeptEvent // in the order in which they were kept
}

var _ lambdabiz.Store = (*Store)(nil)

// storedID is what is stored of an orchestration id. Operations of runs before the latest are not seen.
type storedID struct {
	run        *lambdabiz.Snapshot // without operations; nil until there is one
	operations map[string]storedOperation
}

type storedOperation struct {
	runID     string
	version   lambdabiz.SnapshotVersion
	operation lambdabiz.Operation
}

// NewStore makes an empty store. Nothing is too large for it.
func NewStore() *Store {
	return &Store{ids: map[string]*storedID{}, kept: map[string][]lambdabiz.KeptEvent{}}
}

// Put writes what is newer than what is stored; see [lambdabiz.Store]. All of it becomes visible at once.
func (s *Store) Put(ctx context.Context, snapshot *lambdabiz.Snapshot) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	id := s.ids[snapshot.ID]
	if id == nil {
		id = &storedID{operations: map[string]storedOperation{}}
		s.ids[snapshot.ID] = id
	}
	version := stampVersion(snapshot.Version)
	for _, op := range snapshot.Operations {
		if old, ok := id.operations[op.ID]; !ok || old.version.Compare(version) < 0 {
			id.operations[op.ID] = storedOperation{snapshot.RunID, version, cloneOperation(op)}
		}
	}
	if id.run == nil || id.run.Version.Compare(version) < 0 {
		id.run = cloneRun(snapshot)
	}
	return nil
}

// Reserve writes a run if the id's run is the one that it replaces; see [lambdabiz.Store].
func (s *Store) Reserve(ctx context.Context, snapshot *lambdabiz.Snapshot, replaces string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	id := s.ids[snapshot.ID]
	switch {
	case id == nil && replaces == "":
		s.ids[snapshot.ID] = &storedID{run: cloneRun(snapshot), operations: map[string]storedOperation{}}
		return nil
	case id == nil:
		return fmt.Errorf("memory: reserve %s: %w: it has no run", snapshot.ID, lambdabiz.ErrStale)
	case id.run.RunID == snapshot.RunID:
		return nil
	case id.run.RunID != replaces:
		return fmt.Errorf("memory: reserve %s: %w: its run is %s", snapshot.ID, lambdabiz.ErrStale, id.run.RunID)
	case id.run.Version.Compare(stampVersion(snapshot.Version)) >= 0:
		return fmt.Errorf("memory: reserve %s: %w: run %s has no older version", snapshot.ID, lambdabiz.ErrStale, replaces)
	}
	id.run = cloneRun(snapshot)
	return nil
}

// Get returns the run of an id; see [lambdabiz.Store].
func (s *Store) Get(ctx context.Context, id string) (*lambdabiz.Snapshot, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	stored := s.ids[id]
	if stored == nil {
		return nil, lambdabiz.ErrNotFound
	}
	snapshot := cloneRun(stored.run)
	for _, o := range stored.operations {
		if o.runID == snapshot.RunID {
			snapshot.Operations = append(snapshot.Operations, cloneOperation(o.operation))
		}
	}
	slices.SortFunc(snapshot.Operations, func(x, y lambdabiz.Operation) int { return cmp.Compare(x.Number, y.Number) })
	return snapshot, nil
}

// List returns a page of runs; see [lambdabiz.Store].
func (s *Store) List(ctx context.Context, f lambdabiz.Filter) (lambdabiz.Page, error) {
	after, err := parseStorePlace(f.Cursor)
	if err != nil {
		return lambdabiz.Page{}, err
	}
	if err := s.enter(ctx); err != nil {
		return lambdabiz.Page{}, err
	}
	defer s.mu.Unlock()
	var found []*lambdabiz.Snapshot
	for _, stored := range s.ids {
		run := stored.run
		if inStoreFilter(f, &run.RunInfo) && (f.Cursor == "" || compareStorePlace(storePlaceOf(run), after) > 0) {
			found = append(found, run)
		}
	}
	slices.SortFunc(found, func(x, y *lambdabiz.Snapshot) int {
		return compareStorePlace(storePlaceOf(x), storePlaceOf(y))
	})
	var page lambdabiz.Page
	limit := rules.PageSize(&f)
	for i, run := range found {
		if i == limit {
			page.Next = storePlaceOf(found[i-1]).String()
			break
		}
		info := cloneInfo(run.RunInfo)
		info.Input, info.Result, info.Progress = nil, nil, nil
		page.Runs = append(page.Runs, info)
	}
	return page, nil
}

// storePlace is a run's place in a list, which never changes.
type storePlace struct {
	micros int64
	id     string
}

func storePlaceOf(s *lambdabiz.Snapshot) storePlace {
	return storePlace{s.ScheduledAt.UnixMicro(), s.ID}
}

// String is the place as a cursor: encoded, so that what somebody types is none.
func (p storePlace) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(p.micros, 10) + " " + p.id))
}

// compareStorePlace orders the newest start first.
func compareStorePlace(x, y storePlace) int {
	return cmp.Or(cmp.Compare(y.micros, x.micros), strings.Compare(y.id, x.id))
}

func parseStorePlace(cursor string) (storePlace, error) {
	if cursor == "" {
		return storePlace{}, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return storePlace{}, errCursor
	}
	number, id, ok := strings.Cut(string(text), " ")
	micros, err := strconv.ParseInt(number, 10, 64)
	p := storePlace{micros, id}
	if err != nil || !ok || p.String() != cursor {
		return storePlace{}, errCursor
	}
	return p, nil
}

// inStoreFilter reports whether a filter selects a run. Only open runs are blocked or paused.
func inStoreFilter(f lambdabiz.Filter, i *lambdabiz.RunInfo) bool {
	if i.Status.Ended() && (f.Blocked || f.Paused) {
		return false
	}
	return selects(f, &run{info: *i})
}

// Keep keeps an event for a start to come; see [lambdabiz.Store].
func (s *Store) Keep(ctx context.Context, id string, e lambdabiz.KeptEvent) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	kept := s.kept[id]
	same := slices.IndexFunc(kept, func(x lambdabiz.KeptEvent) bool { return x.Key == e.Key })
	if same >= 0 && kept[same].Until.After(stamp(e.ArrivedAt)) {
		return nil
	}
	if same >= 0 {
		kept = slices.Delete(kept, same, same+1)
	}
	s.kept[id] = append(kept, cloneKept(e))
	return nil
}

// Kept returns the kept events whose time is not over; see [lambdabiz.Store].
func (s *Store) Kept(ctx context.Context, id string, now time.Time) ([]lambdabiz.KeptEvent, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var events []lambdabiz.KeptEvent
	for _, e := range s.kept[id] {
		if e.Until.After(now) {
			events = append(events, cloneKept(e))
		}
	}
	return events, nil
}

// Drop removes kept events; see [lambdabiz.Store].
func (s *Store) Drop(ctx context.Context, id string, keys []string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	rest := slices.DeleteFunc(s.kept[id], func(e lambdabiz.KeptEvent) bool { return slices.Contains(keys, e.Key) })
	if len(rest) == 0 {
		delete(s.kept, id)
	} else {
		s.kept[id] = rest
	}
	return nil
}

// Delete removes a run with its operations; see [lambdabiz.Store].
func (s *Store) Delete(ctx context.Context, id, runID string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if stored := s.ids[id]; stored != nil && stored.run.RunID == runID {
		delete(s.ids, id)
	}
	return nil
}

// Close makes every later call fail.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// enter locks the store, unless the call is over already.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errStoreClosed
	}
	return nil
}

func stampVersion(v lambdabiz.SnapshotVersion) lambdabiz.SnapshotVersion {
	v.Start = stamp(v.Start)
	return v
}

// cloneRun copies a snapshot without its operations.
func cloneRun(s *lambdabiz.Snapshot) *lambdabiz.Snapshot {
	c := *s
	c.RunInfo = cloneInfo(s.RunInfo)
	c.ScheduledAt, c.StartedAt, c.EndedAt = stamp(c.ScheduledAt), stamp(c.StartedAt), stamp(c.EndedAt)
	c.Deadline, c.WakeAt, c.SavedAt = stamp(c.Deadline), stamp(c.WakeAt), stamp(c.SavedAt)
	c.Version = stampVersion(s.Version)
	c.Operations = nil
	c.Messages = cloneMessages(s.Messages)
	for i := range c.Messages {
		c.Messages[i].ArrivedAt = stamp(c.Messages[i].ArrivedAt)
	}
	return &c
}

func cloneKept(e lambdabiz.KeptEvent) lambdabiz.KeptEvent {
	e.Payload = clonePayload(e.Payload)
	e.ArrivedAt, e.Until = stamp(e.ArrivedAt), stamp(e.Until)
	return e
}
