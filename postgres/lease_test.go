package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	standin "github.com/lambdabiz/lambdabiz/internal/standins/postgres"
	"github.com/lambdabiz/lambdabiz/postgres"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// disk has every write of the schema ask whether there is room; diskFull says that there is none, as a full disk does, and room
// that there is again. Both change the function only, for which no table is locked that others write.
const (
	disk = `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
	DO $$ DECLARE t text; BEGIN
		FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'lambdabiz' LOOP
			EXECUTE format('CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE OR DELETE ON lambdabiz.%I EXECUTE FUNCTION full_disk()', t);
		END LOOP;
	END $$`
	diskFull = `CREATE OR REPLACE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
	END $$`
	room = `CREATE OR REPLACE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$`
)

// While nobody can beat, nobody is taken for dead: the server is frozen for longer than a lease, or its synchronous standby, or
// its disk is full, and reads work. When it goes on, everybody goes on with what he had, and nothing is begun again.
func TestNobodyIsTakenOverFromWhileNobodyCanBeat(t *testing.T) {
	onlyOnPostgreSQL(t)
	t.Parallel()
	const lease = 1500 * time.Millisecond
	primary := standin.Start(t, standin.Config{Quick: true})
	standby := primary.Standby(t, standin.Synchronous)
	all := openAll(t, primary.URL("postgres"), 3)
	fill(t, primary.URL("postgres"), disk)
	c := newCrew(t, lease, all...)
	const each = 6
	runs := c.start(c.hold, each)
	c.await(each)
	faults := []struct {
		name       string
		begin, end func(context.Context) error
	}{
		{"the server is frozen", primary.Freeze, primary.Thaw},
		{"the standby is frozen", standby.Freeze, standby.Thaw},
		{"the disk is full", execOn(primary, diskFull), execOn(primary, room)},
	}
	rounds := campaign.Rounds(t, 1, 10)
	for range rounds {
		for _, f := range faults {
			if err := f.begin(t.Context()); err != nil {
				t.Fatalf("%s: %v", f.name, err)
			}
			<-time.After(2 * lease) // so long it lasts
			if err := f.end(t.Context()); err != nil {
				t.Fatalf("%s: %v", f.name, err)
			}
			c.work(each) // they work
			<-time.After(lease)
			c.wantBegunOnce()
		}
	}
	close(c.release)
	c.results(runs, 1)
	c.wantBegunOnce()
	campaign.Report(t, "F26", []campaign.Count{{What: "freezes", N: 2 * rounds}, {What: "full disks", N: rounds}})
}

// A fail-over may move the server's clock by hours. No statement asks for it: leases are watched on the workers' own clocks.
func TestNoStatementAsksForTheTimeOfTheServer(t *testing.T) {
	t.Parallel()
	for _, statement := range postgres.Statements() {
		for _, word := range []string{"now()", "clock_timestamp", "current_timestamp", "localtimestamp", "statement_timestamp",
			"transaction_timestamp", "current_date", "current_time", "timeofday", "interval"} {
			if strings.Contains(strings.ToLower(statement), word) {
				t.Errorf("%s asks for the time of the server", statement)
			}
		}
	}
}

func execOn(s *standin.Server, sql string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := connect(ctx, s.URL("postgres"))
		if err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
		return errors.Join(err, conn.Close(ctx))
	}
}
