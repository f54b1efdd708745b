package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// connectTimeout is how long one server of the URL may take to accept a connection, if the URL does not say. A machine that
// hangs must not keep a process from the one that has taken over.
const connectTimeout = 5 * time.Second

// lineage keeps a process to the newest primary. Each time that a standby is promoted, its timeline is one higher. A primary
// that was taken for dead and comes back has a lower one than others have seen, and is refused: nobody would ever see what is
// written there. What of its own a process has lost by a fail-over to a standby that lagged, it finds out before it goes on.
type lineage struct {
	newest  atomic.Uint32 // the highest timeline that was seen; 0 for none
	trusted atomic.Uint32 // the one on which what this process has written was looked for
	looking chan struct{} // one place: who looks
	unknown atomic.Bool   // the server does not tell
}

const (
	timelineKey = "lambdabiz.timeline" // of a connection: a uint32
	warningKey  = "lambdabiz.warning"  // of a connection: the text of the last warning that the server gave
)

// errOldPrimary: a server has taken over, and this is not it.
var errOldPrimary = errors.New("another server has taken over from this one, which has come back as a primary")

// errReadOnly: somebody has set it so, for a time or for the role.
var errReadOnly = errors.New("the server takes no writes: default_transaction_read_only is on")

// configure has every new connection of a pool looked at. A server that is refused is passed over for the next one of the URL.
func (l *lineage) configure(config *pgxpool.Config) {
	c := config.ConnConfig
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, connectTimeout)
	config.PingTimeout = cmp.Or(config.PingTimeout, connectTimeout)
	validate, notice := c.ValidateConnect, c.OnNotice
	c.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		if validate != nil {
			if err := validate(ctx, conn); err != nil {
				return err
			}
		}
		return l.admit(ctx, conn)
	}
	c.OnNotice = func(conn *pgconn.PgConn, n *pgconn.Notice) {
		if n.SeverityUnlocalized == "WARNING" {
			conn.CustomData()[warningKey] = n.Message
		}
		if notice != nil {
			notice(conn, n)
		}
	}
}

// survey looks at all servers of a URL, for the newest timeline: a process that begins after a primary has come back must not
// take that for the primary. Servers that do not answer tell nothing.
func (l *lineage) survey(ctx context.Context, config *pgx.ConnConfig) {
	hosts := map[string]*pgconn.FallbackConfig{}
	first := &pgconn.FallbackConfig{Host: config.Host, Port: config.Port, TLSConfig: config.TLSConfig}
	for _, f := range append([]*pgconn.FallbackConfig{first}, config.Fallbacks...) {
		at := fmt.Sprint(f.Host, " ", f.Port)
		if hosts[at] == nil { // the first is the way that is preferred
			hosts[at] = f
		}
	}
	if len(hosts) < 2 {
		return
	}
	var all sync.WaitGroup
	for _, f := range hosts {
		all.Go(func() {
			one := config.Copy()
			one.Host, one.Port, one.TLSConfig, one.Fallbacks = f.Host, f.Port, f.TLSConfig, nil
			if conn, err := pgx.ConnectConfig(ctx, one); err == nil {
				_ = conn.Close(ctx) // it has told all
			}
		})
	}
	all.Wait()
}

// admit reads the timeline of a new connection, and refuses a server that is none to write to.
func (l *lineage) admit(ctx context.Context, conn *pgconn.PgConn) error {
	if l.unknown.Load() {
		conn.CustomData()[timelineKey] = uint32(0)
		return nil
	}
	answer, err := one(ctx, conn, `SELECT CASE WHEN pg_is_in_recovery() THEN 'standby'
		WHEN current_setting('transaction_read_only') = 'on' THEN 'read-only'
		ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END`)
	switch c := code(err); {
	case strings.HasPrefix(c, "42"), strings.HasPrefix(c, "0A"), strings.HasPrefix(c, "55"), strings.HasPrefix(c, "XX"):
		l.unknown.Store(true) // what is like PostgreSQL need not have this
		conn.CustomData()[timelineKey] = uint32(0)
		return nil
	case err != nil:
		return err
	case answer == "standby":
		return errStandby
	case answer == "read-only":
		return errReadOnly
	}
	number, err := strconv.ParseUint(answer, 16, 32)
	if err != nil {
		return fmt.Errorf("read the timeline of the server: %w", err)
	}
	at := uint32(number)
	conn.CustomData()[timelineKey] = at
	for {
		newest := l.newest.Load()
		if at < newest {
			return fmt.Errorf("%w: it is on timeline %d, the other on %d", errOldPrimary, at, newest)
		}
		if l.newest.CompareAndSwap(newest, at) {
			return nil
		}
	}
}

// one returns the only value of the only row.
func one(ctx context.Context, conn *pgconn.PgConn, sql string) (string, error) {
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return "", err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) != 1 {
		return "", errors.New("the server does not answer what was asked")
	}
	return string(results[0].Rows[0][0]), results[0].Err
}

// isOutdated reports whether a connection leads to a server from which another one has taken over.
func (l *lineage) isOutdated(conn *pgconn.PgConn) bool {
	at, _ := conn.CustomData()[timelineKey].(uint32)
	return at < l.newest.Load() && !l.unknown.Load()
}

// trust looks at a connection that comes out of the pool. When a server has taken over, it looks there for what this process
// was told is written; if it is not there, its workers own nothing any more: what they have in memory is ahead of the tables.
func (b *Backend) trust(ctx context.Context, conn *pgx.Conn) error {
	l := &b.lineage
	if _, known := conn.PgConn().CustomData()[timelineKey].(uint32); !known { // of a pool that is the user's
		if err := l.admit(ctx, conn.PgConn()); err != nil {
			return err
		}
	}
	if l.isOutdated(conn.PgConn()) {
		return errOldPrimary
	}
	at, _ := conn.PgConn().CustomData()[timelineKey].(uint32)
	if at <= l.trusted.Load() {
		return nil
	}
	select {
	case l.looking <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-l.looking }()
	if at <= l.trusted.Load() {
		return nil
	}
	if err := b.lookForLosses(ctx, conn); err != nil {
		return err
	}
	l.trusted.Store(at)
	return nil
}

// lookForLosses looks for the last transaction of each lane. The log of a server is one sequence: if that is there, all before
// it is, too. The next one of the lane may be there in its place: it removes the witness of the one before it, and its answer
// may have been lost. What was written days ago no standby lags behind. Nothing is written here meanwhile: no connection to this
// server is handed out before.
func (b *Backend) lookForLosses(ctx context.Context, conn *pgx.Conn) error {
	var asked []int64
	ask := func(told, pending int64) {
		if told > numberAt(time.Now().Add(-leftGrace/2)) { // else a purge may have removed it, by its own clock
			asked = append(asked, told, pending)
		}
	}
	for i := range b.witnesses {
		ask(b.witnesses[i].Load(), b.pending[i].Load())
	}
	for _, told := range b.users.told() { // what removes it was not told before
		ask(told, told)
	}
	if len(asked) == 0 {
		return nil
	}
	t := &tx{b: b, conn: conn}
	found := map[int64]bool{}
	err := t.query(ctx, qFindWitnesses, func(rows pgx.Rows) error {
		var no int64
		err := rows.Scan(&no)
		found[no] = true
		return err
	}, asked)
	if err != nil {
		return err
	}
	lost := false
	for i := 0; i < len(asked); i += 2 {
		lost = lost || !found[asked[i]] && !found[asked[i+1]]
	}
	if !lost {
		return nil
	}
	// They leave, as by themselves: they live, so nothing counts as a crash. When they join again their runs are freed.
	workers := b.bell.allJoined()
	err = t.whole(ctx, func() error {
		for _, worker := range workers {
			if err := t.unregister(ctx, worker, -1); err != nil {
				return err
			}
		}
		_, err := t.exec(ctx, qFenceHands)
		return err
	})
	if err != nil {
		return fmt.Errorf("give up what was lost by a fail-over: %w", err)
	}
	for i := range b.witnesses {
		b.witnesses[i].Store(0)
		b.pending[i].Store(0)
	}
	b.users.dismiss(true)
	b.losses.Add(1)
	b.bell.tell() // they ask, and hear that they are gone
	return nil
}
