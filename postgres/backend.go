package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/lambdabiz/lambdabiz"
)

const (
	lanes     = 2
	batchSize = 256
	claimLane = lanes // beside those of commits

	maxPayloadBytes = 32 << 20
	maxIDBytes      = 2000 // an index takes 2,704 bytes
)

// Config is for what [Open] and [New] decide by themselves. The zero value works.
type Config struct {
	// Schema is the name of the schema that has the tables: letters of a to z, digits and underscores. It is created if it
	// is not there. Applications with a schema each share a database. Default: lambdabiz.
	Schema string
	// ExistingSchema refuses a schema that is not there, instead of creating it: for programs that only ask, which must not
	// leave tables where somebody has misspelt a name.
	ExistingSchema bool

	// Portable is for servers that speak as PostgreSQL does and are another, such as CockroachDB, YugabyteDB and Aurora DSQL: no
	// statement uses row locks, SKIP LOCKED, LISTEN, advisory locks or settings of the planner, and each transaction that the
	// server refuses for another one's sake is tried again. It needs snapshot isolation. It is slower, asks where it would hear
	// of changes, and takes payloads of 512 KiB and ids of 900 bytes. A row that somebody holds is waited for as long as the server
	// does, and so is one of a process that hangs: set lock_timeout and idle_in_transaction_session_timeout in the URL where the
	// server has them. It is made for those servers and tested on PostgreSQL: it was
	// not run on them.
	Portable bool
}

// Backend keeps orchestrations in a schema of a PostgreSQL database. It implements [lambdabiz.Backend],
// [lambdabiz.Informer], [lambdabiz.Ender], [lambdabiz.Counter], [lambdabiz.Watcher], and [lambdabiz.Waker] for what any process changes.
type Backend struct {
	pool       *pgxpool.Pool
	own        bool // the pool is closed with the backend
	schema     string
	existing   bool // the schema is not created
	statements [queryCount]string
	way        way // found before prepared is closed, and the same from then on
	numbers    numbers
	process    int64 // names this value where workers have their numbers

	lanes     chan int // the free ones
	claiming  chan *claimer
	witnesses [lanes + 1]atomic.Int64 // the last of each lane, as the server has acknowledged it; who has the lane sets it
	pending   [lanes + 1]atomic.Int64 // the one that each has asked for last

	doubts  doubts
	lineage lineage
	losses  atomic.Int64 // how often what was acknowledged was not there after a fail-over

	preparing chan struct{} // one place: who brings the schema up to date
	prepared  chan struct{} // closed when that is done

	users users // transactions of steps

	closing sync.Once
	closed  chan struct{}
	bell    *bell

	lockTimeout     time.Duration // another one in tests, as the next ones
	answerTimeout   time.Duration
	idleTimeout     time.Duration
	readBackTimeout time.Duration
	leavePiece      int
	migratePatience time.Duration
	beforeCommit    func(conn *pgx.Conn) // called by a test; nil else
}

var (
	_ lambdabiz.Backend  = (*Backend)(nil)
	_ lambdabiz.Waker    = (*Backend)(nil)
	_ lambdabiz.Informer = (*Backend)(nil)
	_ lambdabiz.Watcher  = (*Backend)(nil)
	_ lambdabiz.Ender    = (*Backend)(nil)
	_ lambdabiz.Counter  = (*Backend)(nil)

	_ lambdabiz.Transactor = (*Backend)(nil)
)

// Open connects to the database that a URL names, such as postgres://user:password@host/orders, and brings the schema up to
// date. All that the driver understands may be in the URL: several hosts, sslmode, pool_max_conns. Four connections are enough,
// and one will do. Any number of processes may open a schema at the same time. It refuses one that a newer version has made
// which this one does not understand, a server older than PostgreSQL 14, a standby, and a database that is not in UTF-8.
//
// Behind a pooler in transaction mode, such as PgBouncer, it works as well, and finds out by itself: then it prepares no
// statements, and does not hear of what other processes change but asks.
//
// Name all servers of a cluster, as in postgres://user:password@one,two/orders: it writes to the one that takes writes, goes on
// with another one when that has taken over, and refuses one that was taken over from and comes back. A server has 5 seconds to
// accept a connection, or what connect_timeout says.
func Open(ctx context.Context, url string, c Config) (*Backend, error) {
	config, err := parse(url)
	if err != nil {
		return nil, fmt.Errorf("open PostgreSQL: %w", err)
	}
	var pooled atomic.Bool
	if !strings.Contains(url, "default_query_exec_mode") {
		config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
			if pooled.Load() {
				c.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
			}
			return nil
		}
	}
	b, err := newBackend(c)
	if err != nil {
		return nil, err
	}
	b.lineage.configure(config)
	config.ShouldPing = shouldPing
	b.lineage.survey(ctx, config.ConnConfig)
	if b.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("open PostgreSQL: %w", err)
	}
	b.own = true
	if err = b.prepare(ctx); err != nil {
		_ = b.Close() // the fault is the answer
		return nil, fmt.Errorf("open PostgreSQL: %w", err)
	}
	if b.way.pooled && config.BeforeConnect != nil {
		pooled.Store(true)
		b.pool.Reset()
		b.way.plain = false // nobody else knows b yet
	}
	return b, nil
}

// New keeps orchestrations over the application's own pool, which stays open when the backend is closed. It does nothing with it
// yet: the first call of a method brings the schema up to date, and refuses what [Open] does. What it needs of a session it
// sets for each transaction, so the pool may have any settings; and any way of sending, also behind a pooler.
//
// A pool for several servers needs target_session_attrs=read-write and a connect_timeout. A primary that comes back after
// another one has taken over is refused, but not passed over as by Open; and a commit is acknowledged although somebody has
// ended its wait for a synchronous standby.
func New(pool *pgxpool.Pool, c Config) (*Backend, error) {
	b, err := newBackend(c)
	if err != nil {
		return nil, err
	}
	if pool == nil {
		return nil, errors.New("missing pool: make one by pgxpool.New, or take postgres.Open")
	}
	b.pool = pool
	return b, nil
}

func newBackend(c Config) (*Backend, error) {
	schema, err := quoted(c.Schema)
	if err != nil {
		return nil, err
	}
	b := &Backend{
		schema: schema, existing: c.ExistingSchema, way: way{portable: c.Portable}, lineage: lineage{looking: make(chan struct{}, 1)},
		lanes: make(chan int, lanes), claiming: make(chan *claimer, 1),
		lockTimeout: lockTimeout, answerTimeout: answerTimeout, idleTimeout: idleTimeout, readBackTimeout: readBackTimeout,
		leavePiece: leavePiece,
		preparing:  make(chan struct{}, 1), prepared: make(chan struct{}), closed: make(chan struct{}),
	}
	b.statements, b.migratePatience = b.way.in(schema), migratePatience
	b.lineage.unknown.Store(c.Portable) // such servers have no timelines, and lose nothing
	b.process = b.numbers.next()
	for lane := range lanes {
		b.lanes <- lane
	}
	b.claiming <- &claimer{told: map[int64]*told{}}
	b.bell = newBell(b)
	return b, nil
}

const maxSchemaBytes = 50 // the server takes names of 63 bytes, and the channel of notices has more in it

// quoted is the name of a schema as it stands in statements.
func quoted(schema string) (string, error) {
	if schema == "" {
		schema = "lambdabiz"
	}
	for i, c := range schema {
		letter := c >= 'a' && c <= 'z' || c == '_'
		if digit := c >= '0' && c <= '9'; !letter && (!digit || i == 0) {
			return "", fmt.Errorf("check schema %q: use letters of a to z, digits and underscores, the first no digit", schema)
		}
	}
	if len(schema) > maxSchemaBytes {
		return "", fmt.Errorf("check schema %q: it has %d bytes, the limit is %d", schema, len(schema), maxSchemaBytes)
	}
	return pgx.Identifier{schema}.Sanitize(), nil
}

// Describe says that PostgreSQL keeps every promise, and commits batches in two lanes.
func (b *Backend) Describe() lambdabiz.Description {
	d := lambdabiz.Description{
		Name: home, Spread: true, Lanes: lanes, BatchSize: batchSize,
		MaxPayloadBytes: maxPayloadBytes, MaxIDBytes: maxIDBytes,
	}
	if b.way.portable {
		d.BatchSize, d.MaxPayloadBytes, d.MaxIDBytes = portableBatchSize, portableMaxPayloadBytes, portableMaxIDBytes
	}
	return d
}

// Wake returns a new channel that receives after a change by any process. The first call begins to listen, on a connection
// beside the pool.
func (b *Backend) Wake() <-chan struct{} { return b.bell.wake() }

// Close waits for what is under way, and closes the pool that Open has made. It frees no runs. It may be called twice.
func (b *Backend) Close() error {
	b.closing.Do(func() {
		close(b.closed)
		for range lanes {
			<-b.lanes
		}
		<-b.claiming
		b.bell.stop()
		if b.own {
			b.pool.Close()
		}
	})
	return nil
}

func (b *Backend) isClosed() bool {
	select {
	case <-b.closed:
		return true
	default:
		return false
	}
}

// take takes what is in a channel of one or more places, unless the context or the backend ends before.
func take[T any](ctx context.Context, b *Backend, from chan T) (T, error) {
	var none T
	if b.isClosed() {
		return none, errClosed
	}
	select {
	case v := <-from:
		return v, nil
	case <-b.closed:
		return none, errClosed
	case <-ctx.Done():
		return none, ctx.Err()
	}
}
