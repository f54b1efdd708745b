package homes_test

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/logbook"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

// What docs/production.md says of backups: a copy by VACUUM INTO of a file that is worked on is whole, and a worker goes on
// from it with what the copy knows.
func TestABackupOfARunningFileGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path, copied := filepath.Join(dir, "orders.db"), filepath.Join(dir, "backup.db")
		open := func(path string) *bench {
			store, err := sqlite.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			return &bench{t: t, home: "sqlite", store: store, backend: store, logs: &logbook.Book{}, ctx: t.Context()}
		}
		running := open(path)
		e, _ := running.worker(collect)
		start(running, e, collect, "order-7", 2)
		raise(running, e, "order-7", "E", "before")
		time.Sleep(time.Minute)

		db, err := sqlite3.Open("file:" + filepath.ToSlash(path))
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Exec("VACUUM INTO '" + filepath.ToSlash(copied) + "'"); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		raise(running, e, "order-7", "E", "after the backup")

		restored := open(copied)
		e, _ = restored.worker(collect)
		raise(restored, e, "order-7", "E", "after the restore")
		run := lambdabiz.Get(e, collect, "order-7")
		if got := result(restored, run); len(got) != 2 || got[0] != "before" || got[1] != "after the restore" {
			t.Errorf("it heard %v", got)
		}
		for _, b := range []*bench{running, restored} {
			b.stop()
			if err := b.backend.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
