package postgres_test

import (
	"context"
	"net"
	"os"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	standin "github.com/lambdabiz/lambdabiz/internal/standins/postgres"
	"github.com/lambdabiz/lambdabiz/postgres"
)

// home is what the tests of this package run on. LAMBDABIZ_POSTGRES_PORTABLE=1 ("make portable") is the portable mode,
// on a server that works as those do which it is for. Transactions see a snapshot, many are refused with 40001, some of them at
// their COMMIT, and no statement says what not all of these servers understand.
var home = chooseHome(os.Getenv(portableVariable) != "")

type place struct {
	config   postgres.Config
	template string
	refusals string // statements that make a database refuse
}

const portableVariable = "LAMBDABIZ_POSTGRES_PORTABLE"

func chooseHome(portable bool) place {
	if !portable {
		return place{template: "tables"}
	}
	return place{postgres.Config{Portable: true}, "portable tables", refusals(10)}
}

// onlyOnPostgreSQL skips a test of what the portable mode has not.
func onlyOnPostgreSQL(t testing.TB) {
	t.Helper()
	if home.config.Portable {
		t.Skip("the portable mode has none of it")
	}
}

// refusals make the database refuse one of n transactions at each of the places where a server of snapshots may: when it writes
// a run, and at the end. Which ones does not depend on chance.
func refusals(n int) string {
	const trigger = "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT OR UPDATE OR DELETE ON lambdabiz."
	return `CREATE SEQUENCE public.tried;
		CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
			IF hashint8extended(nextval('public.tried'), 1) % ` + strconv.Itoa(n) + ` = 0 THEN
				RAISE EXCEPTION 'refused by the test' USING ERRCODE = '40001';
			END IF;
			RETURN NULL;
		END $$;
		` + trigger + `witnesses DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.refuse();
		` + trigger + `workers DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.refuse();
		CREATE TRIGGER refuse AFTER INSERT OR UPDATE OR DELETE ON lambdabiz.runs FOR EACH STATEMENT EXECUTE FUNCTION public.refuse();`
}

// database is an empty one with the tables.
func database(t testing.TB) string {
	t.Helper()
	return standin.Shared(t, 0).Copy(t, home.template, makeTables)
}

func makeTables(ctx context.Context, url string) error {
	b, err := postgres.Open(ctx, url, home.config)
	if err != nil {
		return err
	}
	if err := b.Close(); err != nil || home.refusals == "" {
		return err
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, home.refusals)
	return err
}

func open(t testing.TB, url string) *postgres.Backend {
	t.Helper()
	url += "&pool_max_conns=4"
	if home.config.Portable {
		return overPool(t, url, 0)
	}
	b, err := postgres.Open(t.Context(), url, home.config)
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, b)
	return b
}

func closeAfter(t testing.TB, b *postgres.Backend) {
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
}

// over opens a backend over a pool of the application's, with a mode, 0 for the driver's default.
func over(t testing.TB, at string, mode pgx.QueryExecMode) *postgres.Backend {
	t.Helper()
	return overPool(t, at+"&pool_max_conns=4", mode)
}

func overPool(t testing.TB, at string, mode pgx.QueryExecMode) *postgres.Backend {
	t.Helper()
	config, err := pgxpool.ParseConfig(at)
	if err != nil {
		t.Fatal(err)
	}
	if mode != 0 {
		config.ConnConfig.DefaultQueryExecMode = mode
	}
	if home.config.Portable {
		config.ConnConfig.RuntimeParams["default_transaction_isolation"] = "repeatable read"
		config.ConnConfig.RuntimeParams["lock_timeout"] = "5s"
		dial := config.ConnConfig.DialFunc
		config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			return &recorded{Conn: conn, statement: func(s string) { checkPortable(t, s) }}, err
		}
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	b, err := postgres.New(pool, home.config)
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, b)
	return b
}
