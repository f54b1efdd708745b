package postgres

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// SetLockTimeout changes how long a write waits for a row.
func (b *Backend) SetLockTimeout(d time.Duration) { b.lockTimeout = d }

// SetLeavePiece changes how many runs Leave frees at a time.
func (b *Backend) SetLeavePiece(n int) { b.leavePiece = n }

// SetPatience changes how long a call waits for answers of the server, and the server for the next statement of a transaction.
func (b *Backend) SetPatience(answer, idle time.Duration) {
	b.answerTimeout, b.idleTimeout = answer, idle
}

// SetReadBackPatience changes how long what became of a commit is looked for.
func (b *Backend) SetReadBackPatience(d time.Duration) { b.readBackTimeout = d }

// SetListenPatience changes how often a connection that listens is tried when it is silent, and how long it may take to answer.
// Call it before Wake.
func (b *Backend) SetListenPatience(every, within time.Duration) {
	b.bell.every, b.bell.within = every, within
}

// Losses is how often what was acknowledged was not there after a fail-over.
func (b *Backend) Losses() int { return int(b.losses.Load()) }

// BeforeCommit has a function called before each COMMIT, with its connection.
func (b *Backend) BeforeCommit(f func(conn *pgx.Conn)) { b.beforeCommit = f }

// On runs do on a connection of the backend's.
func (b *Backend) On(ctx context.Context, do func(*pgx.Conn) error) error { return b.on(ctx, do) }

// WithoutOrphans and WithoutLanes take protections of Leave out: that others free what it has left, and that it takes the
// worker's right to write away before it frees the first run.
func (b *Backend) WithoutOrphans() { b.statements[qOrphans] = "SELECT 1::bigint WHERE false" }
func (b *Backend) WithoutLanes()   { b.statements[qDeleteLanes] = "SELECT $1::bigint" }

// WithoutLaneLock lets a batch look at its lanes, and hold none.
func (b *Backend) WithoutLaneLock() {
	var w way
	for _, q := range []query{qLanes, qQuickLane} {
		b.statements[q] = strings.Replace(w.in(b.schema)[q], " FOR UPDATE", "", 1)
	}
}

// WithoutLooksForLosses lets a process find all that it looks for after a fail-over, and WithoutTimelines lets servers not tell
// theirs.
func (b *Backend) WithoutLooksForLosses() {
	b.statements[qFindWitnesses] = "SELECT unnest($1::bigint[])"
}
func (b *Backend) WithoutTimelines() { b.lineage.unknown.Store(true) }

// MakeNumbers has the numbers of runs, workers and witnesses made by a function.
func (b *Backend) MakeNumbers(made func() int64) { b.numbers.made = made }

// Statements are all that the backend says in its hot path.
func Statements() []string { return statements[:] }

// Migrations are the steps of the schema.
func Migrations() []string {
	steps, _ := migrations()
	return steps
}

// MinimumOf is the least version that a program must know for these steps.
func MinimumOf(steps []string) int { return minimumOf(steps) }

// Another names a server that is no PostgreSQL.
func Another(host, version string) string { return another(host, version) }

// SetMigratePatience changes how long a process waits for one that migrates and is silent.
func (b *Backend) SetMigratePatience(d time.Duration) { b.migratePatience = d }

// PortableStatements are all that the portable mode says, but for BEGIN, COMMIT and what looks for the schema.
func PortableStatements() []string {
	w := way{portable: true}
	all := w.in("s")
	said := append(all[:], metaTable("s")...)
	for _, step := range Migrations() {
		said = append(said, portably(step, "s")...)
	}
	return said
}

// Text and Plain are how a string is stored and read.
func Text(s string) string           { return text(s) }
func Plain(s string) (string, error) { return plain(s) }

// AfterPrefix is where the ids with a prefix end.
func AfterPrefix(s string) any { return afterPrefix(s) }

// Head is the latest run of an id as the rules see it.
func (b *Backend) Head(ctx context.Context, id string) (h rules.Head, err error) {
	err = b.read(ctx, func(t *tx) error {
		run, err := t.find(ctx, id, "")
		if err == nil {
			h = run.head
		}
		return err
	})
	return h, err
}

// CheckStrictly is CheckDatabase with limits that anything exceeds.
func CheckStrictly(ctx context.Context, url string) []Check {
	k := &checker{limits: limits{held: -1, dead: -1, late: -1}}
	k.run(ctx, url, Config{})
	return k.checks
}

// Relations are the tables and indexes that the migrations make.
func Relations() (tables, indexes []string) {
	steps, _ := migrations()
	return relations(steps, len(steps))
}

// UsersTx is what the body of a step is given of its transaction.
func UsersTx(t lambdabiz.Transaction) pgx.Tx { return t.(*userStep).usersTx() }

// WithoutShare takes a protection out: the run's row is looked at when a step ends, and not locked.
func (b *Backend) WithoutShare() {
	b.statements[qShareRun] = strings.TrimSuffix(b.statements[qShareRun], " FOR SHARE")
}

// WithoutFence takes another one out: whoever has the run by now, the step is recorded.
func (b *Backend) WithoutFence() {
	b.statements[qShareRun] = strings.Replace(b.statements[qShareRun], "fence = $2", "($2::bigint IS NOT NULL)", 1)
}

// WithoutWaiting takes another one out: who reads back does not wait until the server is through.
func (b *Backend) WithoutWaiting() {
	b.statements[qLockRun] = strings.TrimSuffix(b.statements[qLockRun], " FOR NO KEY UPDATE")
}

// PutNoWitness takes a protection out: who reads back a batch that has not come puts nothing in its way.
func (b *Backend) PutNoWitness() { b.statements[qPutWitnesses] = "SELECT unnest($1::bigint[])" }

// WithoutIsolation takes another one out: transactions have the isolation that is the database's default.
func (b *Backend) WithoutIsolation() { b.statements[qBegin] = "BEGIN" }

// LookAtNothing has every commit fail that looks at its runs first.
func (b *Backend) LookAtNothing(fail bool) {
	var w way
	b.statements[qLockRuns] = w.in(b.schema)[qLockRuns]
	if fail {
		b.statements[qLockRuns] = "SELECT 1 / 0"
	}
}

// NameNumbersTwice has a statement say which rows it means by themselves, too, beside the join with what was sent.
func (b *Backend) NameNumbersTwice() {
	b.statements[qQuickRuns] = strings.Replace(b.statements[qQuickRuns], "= ANY(ARRAY[u.no])", "= u.no AND r.no = ANY($4::bigint[])", 1)
}

// Digest stands for a tag in its table.
func Digest(parts ...string) []byte { return digest(parts...) }

// hot are the statements that an orchestration needs, or a worker that looks for work.
var hot = []query{
	qLanes, qFindWitness, qFindRuns, qFindParents, qFindHolders, qLockRuns, qFindKeys, qFindKept, qNewer, qUpdateRuns, qInsertRuns,
	qConsume, qWithdraw, qMove, qInsertMessages, qInsertKeys, qDropKept, qExpireKept, qInsertKept, qInsertTags, qWriteOperations,
	qQuickLane, qQuickRuns, qQuickStarts, qQuickTags, qQuickConsume, qQuickAdd, qQuickReplace, qQuickHeld, qQuickFindRuns,
	qQuickFindOperations, qRenew, qFindWorker, qNews, qTold, qNextWake, qDue, qRuns, qOperations, qMessages, qSetAside, qLatestNumber,
}

// Plans is a connection on which those statements are prepared. With settings it is as it is for a commit.
type Plans struct {
	b        *Backend
	conn     *pgx.Conn
	close    func()
	settings bool
}

// Plans takes a connection and prepares the statements.
func (b *Backend) Plans(ctx context.Context, settings bool) *Plans {
	c, err := b.acquire(ctx)
	if err != nil {
		panic(err)
	}
	return &Plans{b, c.Conn(), c.Release, settings}
}

// Close gives the connection back.
func (p *Plans) Close() { p.close() }

// Explain returns the plans by statement, as JSON.
func (p *Plans) Explain(ctx context.Context) (plans map[string][]byte, err error) {
	plans = map[string][]byte{}
	t := &tx{b: p.b, conn: p.conn}
	settings := []string{"BEGIN", "SET LOCAL plan_cache_mode = force_generic_plan"}
	for _, s := range settings {
		if _, err := p.conn.Exec(ctx, s); err != nil {
			return nil, err
		}
	}
	defer func() { _, _ = p.conn.Exec(ctx, "ROLLBACK") }()
	if p.settings {
		if err := t.query(ctx, qSettings, func(pgx.Rows) error { return nil }, p.b.patience()...); err != nil {
			return nil, err
		}
	}
	for _, q := range hot {
		name := fmt.Sprint("hot", int(q))
		statement, err := p.conn.Prepare(ctx, name, p.b.statements[q])
		if err != nil {
			return nil, err
		}
		nothing := strings.Repeat(",NULL", len(statement.ParamOIDs))
		var plan []byte
		if err := p.conn.QueryRow(ctx, "EXPLAIN (FORMAT JSON) EXECUTE "+name+"("+strings.TrimPrefix(nothing, ",")+")",
			pgx.QueryExecModeSimpleProtocol).Scan(&plan); err != nil {
			return nil, err
		}
		plans[p.b.statements[q]] = plan
	}
	return plans, nil
}

// PagesOfList makes a list, and says how many pages of tables and indexes it has read. It also returns what a list has that goes
// through all runs.
func (b *Backend) PagesOfList(ctx context.Context, f lambdabiz.Filter) (pages int, got, want []string, err error) {
	ids := func(l *listing) (ids []string) {
		for i := range l.page.Runs {
			ids = append(ids, l.page.Runs[i].RunID)
		}
		return append(ids, l.page.Next)
	}
	err = b.on(ctx, func(conn *pgx.Conn) error {
		t := &tx{b: b, conn: conn}
		return t.whole(ctx, func() error {
			read := func() (n int, err error) {
				err = conn.QueryRow(ctx, `SELECT sum(pg_stat_get_xact_blocks_fetched(c.oid))::int FROM pg_class AS c
					JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'lambdabiz'`).Scan(&n)
				return n, err
			}
			before, err := read()
			if err != nil {
				return err
			}
			l := &listing{t: t, f: &f, limit: f.Limit, before: math.MaxInt64}
			if err := l.find(ctx); err != nil {
				return err
			}
			after, err := read()
			if err != nil {
				return err
			}
			pages, got = after-before, ids(l)
			all := &listing{t: t, f: &f, limit: f.Limit, before: math.MaxInt64}
			for k, v := range f.Tags {
				all.tags = append(all.tags, digest(k, v))
			}
			err = all.read(ctx, qList)
			want = ids(all)
			return err
		})
	})
	return pages, got, want, err
}
