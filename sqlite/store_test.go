package sqlite_test

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ncruces/go-sqlite3"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
	"github.com/lambdabiz/lambdabiz/storetest"
)

func openStore(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.OpenStore(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	var paths sync.Map // of the files, by store
	storetest.Run(t, storetest.Config{
		TooLarge: 16<<20 + 1,
		Open: func(t *testing.T) lambdabiz.Store {
			path := filepath.Join(t.TempDir(), "store.db")
			s := openStore(t, path)
			paths.Store(s, path)
			return s
		},
		Reopen: func(t *testing.T, s lambdabiz.Store) lambdabiz.Store {
			path, _ := paths.Load(s)
			return openStore(t, path.(string))
		},
	})
}

// A program that knows nothing of the store's tables works on the file as before.
func TestStoreSharesTheFileOfABackend(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start("a")
	s := openStore(t, b.path)
	snapshot := &lambdabiz.Snapshot{}
	snapshot.ID, snapshot.RunID, snapshot.Status, snapshot.ScheduledAt = "a", "another", lambdabiz.StatusStarted, b.now
	if err := s.Put(t.Context(), snapshot); err != nil {
		t.Fatal(err)
	}
	if got := b.load("a").RunID; got != "run-of-a" {
		t.Errorf("run of the backend: %s", got)
	}
	again := setupAt(t, b.path)
	again.start("b")
	got, err := openStore(t, b.path).Get(t.Context(), "a")
	if err != nil || got.RunID != "another" {
		t.Errorf("run of the store: %+v, %v", got, err)
	}
}

func TestStoreOfANewerVersionIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	openStore(t, path)
	db, err := sqlite3.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Exec("UPDATE store_schema SET version = 9"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.OpenStore(path); err == nil || !strings.Contains(err.Error(), "upgrade") {
		t.Errorf("open a newer store: %v", err)
	}
}

func TestStoreOfManyWhoOpenItAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			s, err := sqlite.OpenStore(path)
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}
