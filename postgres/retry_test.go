package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
)

// The server has lost what the driver has prepared on a connection, or cannot use it any more. The statements are prepared anew.
func TestStatementsArePreparedAnew(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(b *bundle){
		"they are gone": func(b *bundle) {
			err := b.On(t.Context(), func(conn *pgx.Conn) error {
				return conn.PgConn().Exec(t.Context(), "DEALLOCATE ALL").Close()
			})
			if err != nil {
				t.Error(err)
			}
		},
		"a column has another type": func(b *bundle) {
			execute(t, b.url, "ALTER TABLE lambdabiz.runs ALTER COLUMN version TYPE varchar(1000)")
		},
	} {
		url := database(t)
		b := &bundle{Backend: overPool(t, url+"&pool_max_conns=1", 0), t: t, url: url, now: moment}
		b.worker = b.join("v1", "Order")
		ref := b.start("a")
		use := func() {
			b.commit(&lambdabiz.Commit{Run: &ref, Worker: b.worker, Operations: []lambdabiz.Operation{operation(1)}})
			b.load("a")
			b.claim(1, 0)
			if err := b.Renew(t.Context(), b.worker); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		use()
		for range 2 {
			spoil(b)
			use()
		}
	}
}

// A commit is refused however often it is tried, always for the sake of others. Those beside it are applied.
func TestACommitThatIsAlwaysRefusedIsRefusedAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	execute(t, b.url, `CREATE FUNCTION public.conflict() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF NEW.path = 'bad' THEN RAISE EXCEPTION 'refused by the test' USING ERRCODE = '40001'; END IF; RETURN NULL; END $$`)
	execute(t, b.url, `CREATE CONSTRAINT TRIGGER conflict AFTER INSERT ON lambdabiz.operations DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW EXECUTE FUNCTION public.conflict()`)
	var batch []*lambdabiz.Commit
	ids := []string{"a", "bad", "b", "c"}
	for _, id := range ids {
		ref := b.start(id)
		o := operation(1)
		o.ID = id
		batch = append(batch, &lambdabiz.Commit{Run: &ref, Worker: b.worker, Operations: []lambdabiz.Operation{o}})
	}
	for i, v := range b.commitAll(batch...) {
		if bad := ids[i] == "bad"; bad != (v.Err != nil) || bad && !isTemporary(v.Err) {
			t.Errorf("commit of %s: %v", ids[i], v.Err)
		}
	}
	for _, id := range ids {
		if n := len(b.load(id).Operations); (n == 1) != (id != "bad") {
			t.Errorf("%s has %d operations", id, n)
		}
	}
}

// A transaction of the application's and a batch wait for each other. The server ends the batch, which is written then.
func TestADeadlockIsTriedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.SetLockTimeout(0)
	first, second := b.start("first"), b.start("second")
	users, err := pgx.Connect(t.Context(), b.url+"&deadlock_timeout=1min")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = users.Close(context.Background()) }()
	lock := func(id string) {
		if _, err := users.Exec(t.Context(), "SELECT 1 FROM lambdabiz.runs WHERE id = $1 FOR UPDATE", id); err != nil {
			t.Errorf("lock %s: %v", id, err)
		}
	}
	if _, err := users.Exec(t.Context(), "BEGIN"); err != nil {
		t.Fatal(err)
	}
	lock("second")
	committed := make(chan error, 1)
	var verdicts []lambdabiz.Verdict
	half := lambdabiz.Payload(`"half"`) // written into the row of the run
	go func() {
		var err error
		verdicts, err = b.Commit(t.Context(), []*lambdabiz.Commit{
			{Run: &first, Worker: b.worker, At: b.now, Operations: []lambdabiz.Operation{operation(1)}, Progress: half},
			{Run: &second, Worker: b.worker, At: b.now, Operations: []lambdabiz.Operation{operation(1)}, Progress: half},
		})
		committed <- err
	}()
	waitUntilWaitedFor(t, b.url, users.PgConn().PID(), nil)
	lock("first") // until the server ends the batch, which has waited longer
	if _, err := users.Exec(t.Context(), "COMMIT"); err != nil {
		t.Error(err)
	}
	if err := <-committed; err != nil {
		t.Fatal(err)
	}
	for i, v := range verdicts {
		if v.Err != nil {
			t.Errorf("commit %d: %v", i, v.Err)
		}
	}
	if n := len(b.load("second").Operations); n != 1 {
		t.Errorf("%d operations", n)
	}
}

// A server that refuses all is left to itself after a while.
func TestAServerThatRefusesAllIsLeft(t *testing.T) {
	t.Parallel()
	b := setup(t)
	execute(t, b.url, `CREATE FUNCTION public.never() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		RAISE EXCEPTION 'refused by the test' USING ERRCODE = '40001'; END $$`)
	for _, table := range []string{"runs", "workers"} {
		execute(t, b.url, "CREATE TRIGGER never AFTER INSERT OR UPDATE OR DELETE ON lambdabiz."+table+
			" FOR EACH STATEMENT EXECUTE FUNCTION public.never()")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, name := range []string{"Join", "Renew", "Commit"} {
		if err := calls[name](ctx, b.Backend); !isTemporary(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
