package sqlite

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

const (
	storePayloadBytes = 16 << 20 // of one payload
	storeInboxBytes   = 64 << 20 // of the payloads of all messages of a run
)

// Store is a [lambdabiz.Store] in a SQLite file. Each call is one transaction, so what a Put writes
// becomes visible at once, and is on disk when it returns. Any number of processes may use the file.
// A payload may have 16 MB, those of a run's messages 64 MB together.
type Store struct{ b *Backend }

var _ lambdabiz.Store = (*Store)(nil)

// OpenStore opens the store in the database file at path, or creates it. The file may be that of a
// [Backend] too: they do not touch each other's tables.
func OpenStore(path string) (*Store, error) {
	return OpenStoreConfig(context.Background(), Config{Path: path})
}

// OpenStoreConfig opens the store in a database file, or creates it; see [OpenConfig].
func OpenStoreConfig(ctx context.Context, c Config) (*Store, error) {
	b, err := OpenConfig(ctx, c)
	if err != nil {
		return nil, err
	}
	exists := false
	err = b.read(ctx, func(c *conn) (err error) {
		exists, err = c.hasStore()
		return err
	})
	if err == nil && !exists {
		err = b.write(ctx, "create the tables of the store", func(t *tx) error { return t.createStore() })
	}
	if err != nil {
		_ = b.Close() // the fault is the answer
		return nil, fmt.Errorf("open store %s: %w", c.Path, err)
	}
	return &Store{b}, nil
}

// createStore makes the store's tables, unless somebody was faster.
func (c *conn) createStore() error {
	exists, err := c.hasStore()
	if err != nil || exists {
		return err
	}
	return c.db.Exec(storeSchema)
}

// hasStore reports whether the store's tables are there, and refuses those of a newer version.
func (c *conn) hasStore() (bool, error) {
	var exists bool
	err := c.statement(storeFindSchema, func(s *stmt) (err error) { exists, err = s.found(); return err })
	if err != nil || !exists {
		return false, err
	}
	return true, c.statement(storeGetVersion, func(s *stmt) error {
		if s.next() {
			if version := s.getInt(); version > storeVersion {
				return fmt.Errorf("version %d of the store is newer than %d: upgrade lambdabiz", version, storeVersion)
			}
		}
		return s.done()
	})
}

// statement prepares a statement for do, and gives it up afterwards.
func (c *conn) statement(text string, do func(*stmt) error) error {
	raw, _, err := c.db.Prepare(text)
	if err != nil {
		return err
	}
	err = do(&stmt{raw: raw, large: &c.large})
	_ = raw.Close() // repeats the last error of the statement
	return err
}

// again makes a statement ready to be bound once more.
func (s *stmt) again() *stmt {
	s.bound, s.bytes, s.column = 0, 0, 0
	return s
}

// version binds the two parts of a version.
func (s *stmt) version(v lambdabiz.SnapshotVersion) *stmt {
	return s.int(v.Start.UnixMicro()).int(v.Event)
}

func (s *stmt) getVersion() lambdabiz.SnapshotVersion {
	return lambdabiz.SnapshotVersion{Start: time.UnixMicro(s.getInt()).UTC(), Event: s.getInt()}
}

// Put writes in one transaction what is newer than what is stored; see [lambdabiz.Store].
func (s *Store) Put(ctx context.Context, snapshot *lambdabiz.Snapshot) error {
	if err := fits(snapshot); err != nil {
		return err
	}
	return s.b.write(ctx, "put", func(t *tx) error {
		if len(snapshot.Operations) > 0 {
			err := t.statement(storePutOperation, func(s *stmt) error {
				for i := range snapshot.Operations {
					if err := s.again().putOperation(snapshot, &snapshot.Operations[i]); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return t.statement(storePutRun, func(s *stmt) error { return s.putRun(snapshot) })
	})
}

// Reserve writes a run if the id's run is the one that it replaces; see [lambdabiz.Store].
func (s *Store) Reserve(ctx context.Context, snapshot *lambdabiz.Snapshot, replaces string) error {
	if err := fits(snapshot); err != nil {
		return err
	}
	return s.b.write(ctx, "reserve", func(t *tx) error {
		var runID string
		var version lambdabiz.SnapshotVersion
		err := t.statement(storeHead, func(s *stmt) error {
			if s.text(snapshot.ID).next() {
				runID, version = s.getText(), s.getVersion()
			}
			return s.done()
		})
		given := snapshot.Version
		given.Start = time.UnixMicro(given.Start.UnixMicro())
		switch {
		case err != nil:
			return err
		case runID == snapshot.RunID && runID != "":
			return nil
		case runID != replaces:
			return fmt.Errorf("sqlite: reserve %s: %w: its run is %q", snapshot.ID, lambdabiz.ErrStale, runID)
		case runID != "" && version.Compare(given) >= 0:
			return fmt.Errorf("sqlite: reserve %s: %w: run %s has no older version", snapshot.ID, lambdabiz.ErrStale, runID)
		}
		return t.statement(storePutRun, func(s *stmt) error { return s.putRun(snapshot) })
	})
}

// fits returns an error that wraps ErrTooLarge for a payload beyond the limit.
func fits(snapshot *lambdabiz.Snapshot) error {
	check := func(what string, limit int, sizes ...int) error {
		for _, size := range sizes {
			if size > limit {
				return fmt.Errorf("sqlite: put %s: %s: %w: %d bytes, the limit is %d",
					snapshot.ID, what, lambdabiz.ErrTooLarge, size, limit)
			}
		}
		return nil
	}
	for _, o := range snapshot.Operations {
		if err := check("operation "+o.ID, storePayloadBytes, len(o.Input), len(o.Result), len(o.Details)); err != nil {
			return err
		}
	}
	inbox := 0
	for _, m := range snapshot.Messages {
		if err := check("message "+m.Name, storePayloadBytes, len(m.Payload)); err != nil {
			return err
		}
		inbox += len(m.Payload)
	}
	if err := check("messages", storeInboxBytes, inbox); err != nil {
		return err
	}
	return check("run", storePayloadBytes, len(snapshot.Input), len(snapshot.Result), len(snapshot.Progress))
}

// storedMessage is a message in JSON, its payload as bytes, whatever it is.
type storedMessage struct {
	lambdabiz.Message
	Payload []byte
}

func (s *stmt) putOperation(snapshot *lambdabiz.Snapshot, o *lambdabiz.Operation) error {
	body := *o
	body.Input, body.Result, body.Details = nil, nil, nil
	body.ScheduledAt, body.StartedAt, body.EndedAt = whole(o.ScheduledAt), whole(o.StartedAt), whole(o.EndedAt)
	body.DueAt, body.ExpiresAt = whole(o.DueAt), whole(o.ExpiresAt)
	s.text(snapshot.ID).text(o.ID).text(snapshot.RunID).version(snapshot.Version).int(o.Number)
	return s.json(body, false).blob(o.Input).blob(o.Result).blob(o.Details).exec()
}

func (s *stmt) putRun(snapshot *lambdabiz.Snapshot) error {
	info := snapshot.RunInfo
	info.Input, info.Result, info.Progress = nil, nil, nil
	info.ScheduledAt, info.StartedAt, info.EndedAt = whole(info.ScheduledAt), whole(info.StartedAt), whole(info.EndedAt)
	info.Deadline, info.WakeAt = whole(info.Deadline), whole(info.WakeAt)
	if b := info.Blocked; b != nil {
		c := *b
		c.Since, c.RetryAt = whole(b.Since), whole(b.RetryAt)
		info.Blocked = &c
	}
	messages := make([]storedMessage, len(snapshot.Messages))
	for i, m := range snapshot.Messages {
		m.ArrivedAt = whole(m.ArrivedAt)
		messages[i] = storedMessage{m, m.Payload}
	}
	s.text(info.ID).text(info.RunID).version(snapshot.Version).int(info.ScheduledAt.UnixMicro())
	s.int(int64(info.Status)).text(info.Name).bool(info.Blocked != nil).bool(info.Paused).tags(info.Tags)
	s.json(info, false).text(snapshot.BackendRunID).time(snapshot.SavedAt).json(messages, len(messages) == 0)
	return s.blob(snapshot.Input).blob(snapshot.Result).blob(snapshot.Progress).exec()
}

// whole is a time as it is stored: UTC, in microseconds.
func whole(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// Get returns the run of an id as one snapshot; see [lambdabiz.Store].
func (s *Store) Get(ctx context.Context, id string) (*lambdabiz.Snapshot, error) {
	var snapshot *lambdabiz.Snapshot
	err := s.b.read(ctx, func(c *conn) error {
		snapshot = nil
		err := c.statement(storeRun, func(s *stmt) (err error) {
			if s.text(id).next() {
				snapshot = s.getRun()
			}
			return s.done()
		})
		if err != nil || snapshot == nil {
			return err
		}
		return c.statement(storeOperations, func(s *stmt) error {
			s.text(id).text(snapshot.RunID)
			for s.next() {
				snapshot.Operations = append(snapshot.Operations, s.getOperation())
			}
			return s.done()
		})
	})
	if err == nil && snapshot == nil {
		err = lambdabiz.ErrNotFound
	}
	return snapshot, err
}

func (s *stmt) getRun() *lambdabiz.Snapshot {
	snapshot := &lambdabiz.Snapshot{}
	s.getJSON(&snapshot.RunInfo)
	snapshot.Version, snapshot.BackendRunID, snapshot.SavedAt = s.getVersion(), s.getText(), s.getTime()
	var messages []storedMessage
	s.getJSON(&messages)
	for _, m := range messages {
		m.Message.Payload = m.Payload
		snapshot.Messages = append(snapshot.Messages, m.Message)
	}
	snapshot.Input, snapshot.Result, snapshot.Progress = s.getBlob(), s.getBlob(), s.getBlob()
	return snapshot
}

func (s *stmt) getOperation() lambdabiz.Operation {
	number := s.getInt()
	var o lambdabiz.Operation
	s.getJSON(&o)
	o.Number, o.Input, o.Result, o.Details = number, s.getBlob(), s.getBlob(), s.getBlob()
	return o
}

// List returns a page of runs; see [lambdabiz.Store].
func (s *Store) List(ctx context.Context, f lambdabiz.Filter) (lambdabiz.Page, error) {
	before, id, err := storeCursor(f.Cursor)
	if err != nil {
		return lambdabiz.Page{}, err
	}
	limit := rules.PageSize(&f)
	var page lambdabiz.Page
	err = s.b.read(ctx, func(c *conn) error {
		page = lambdabiz.Page{}
		return c.statement(storeList, func(s *stmt) error {
			s.bindStoreList(f, before, id, limit)
			var last string
			for s.next() {
				if len(page.Runs) == limit {
					page.Next = last
					break
				}
				var info lambdabiz.RunInfo
				s.getJSON(&info)
				last = seal(strconv.FormatInt(s.getInt(), 36) + " " + s.getText())
				page.Runs = append(page.Runs, info)
			}
			return s.done()
		})
	})
	return page, err
}

func (s *stmt) bindStoreList(f lambdabiz.Filter, before int64, id string, limit int) {
	if f.Cursor == "" {
		s.null().null()
	} else {
		s.int(before).text(id)
	}
	var statuses int64
	for _, status := range f.Status {
		statuses |= 1 << (status & 63)
	}
	s.int(statuses).optionalText(f.Name).optionalText(f.IDPrefix).optionalText(afterPrefix(f.IDPrefix))
	s.tags(f.Tags).bool(f.Blocked).bool(f.Paused).time(f.ScheduledAfter).time(f.ScheduledBefore)
	s.int(int64(limit) + 1) // one more tells whether there is another page
}

// storeCursor reads a cursor: the start and the id of the last run of a page.
func storeCursor(cursor string) (micros int64, id string, err error) {
	if cursor == "" {
		return 0, "", nil
	}
	place, err := unseal(cursor)
	number, id, ok := strings.Cut(place, " ")
	if err == nil {
		micros, err = strconv.ParseInt(number, 36, 64)
	}
	if err != nil || !ok {
		return 0, "", fmt.Errorf("the cursor %q is not of an earlier page", cursor)
	}
	return micros, id, nil
}

// Keep keeps an event for a start to come; see [lambdabiz.Store].
func (s *Store) Keep(ctx context.Context, id string, e lambdabiz.KeptEvent) error {
	if len(e.Payload) > storePayloadBytes {
		return fmt.Errorf("sqlite: keep event %s for %s: %w: %d bytes, the limit is %d",
			e.Name, id, lambdabiz.ErrTooLarge, len(e.Payload), storePayloadBytes)
	}
	return s.b.write(ctx, "keep", func(t *tx) error {
		err := t.statement(storeDropOld, func(s *stmt) error {
			return s.text(id).text(e.Key).int(e.ArrivedAt.UnixMicro()).exec()
		})
		if err != nil {
			return err
		}
		return t.statement(storeKeep, func(s *stmt) error {
			return s.text(id).text(e.Key).text(e.Name).time(e.ArrivedAt).int(e.Until.UnixMicro()).blob(e.Payload).exec()
		})
	})
}

// Kept returns the kept events whose time is not over; see [lambdabiz.Store].
func (s *Store) Kept(ctx context.Context, id string, now time.Time) ([]lambdabiz.KeptEvent, error) {
	var events []lambdabiz.KeptEvent
	err := s.b.read(ctx, func(c *conn) error {
		events = nil
		return c.statement(storeKept, func(s *stmt) error {
			s.text(id).int(now.UnixMicro())
			for s.next() {
				events = append(events, lambdabiz.KeptEvent{
					Key: s.getText(), Name: s.getText(), ArrivedAt: s.getTime(), Until: s.getTime(), Payload: s.getBlob(),
				})
			}
			return s.done()
		})
	})
	return events, err
}

// Drop removes kept events in one transaction; see [lambdabiz.Store].
func (s *Store) Drop(ctx context.Context, id string, keys []string) error {
	return s.b.write(ctx, "drop", func(t *tx) error {
		return t.statement(storeDrop, func(s *stmt) error {
			for _, key := range keys {
				if err := s.again().text(id).text(key).exec(); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// Delete removes a run with its operations in one transaction; see [lambdabiz.Store].
func (s *Store) Delete(ctx context.Context, id, runID string) error {
	return s.b.write(ctx, "delete", func(t *tx) error {
		if err := t.statement(storeDeleteRun, func(s *stmt) error { return s.text(id).text(runID).exec() }); err != nil {
			return err
		}
		if t.db.Changes() == 0 {
			return nil
		}
		return t.statement(storeDeleteOperations, func(s *stmt) error { return s.text(id).exec() })
	})
}

// Close waits for what is in progress and closes the file. It may be called twice.
func (s *Store) Close() error { return s.b.Close() }
