package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// postgresLimits measures what a PostgreSQL server can do at best at this moment: inserts into a table without more than it
// needs, in a schema beside the measured one, by statements that are prepared once.
type postgresLimits struct {
	pool  *pgxpool.Pool
	alone *pgxpool.Conn

	commits, crowded, rows       int // one-row commits of one client, and of limitClients; rows by unnest
	onCommits, onCrowded, onRows time.Duration
}

const (
	limitClients = 32
	limitRows    = 1000 // of a statement with unnest
)

const (
	insertBare  = `INSERT INTO bare (payload) VALUES ($1)`
	insertBares = `INSERT INTO bare (payload) SELECT unnest($1::bytea[])`
)

func openPostgresLimits(ctx context.Context, url, schema string) (*postgresLimits, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("open the database of the limits: %w", err)
	}
	config.MaxConns = limitClients
	name := pgx.Identifier{schema}.Sanitize()
	config.ConnConfig.RuntimeParams["search_path"] = name
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open the database of the limits: %w", err)
	}
	l := &postgresLimits{pool: pool}
	for _, statement := range []string{
		"CREATE SCHEMA " + name,
		"CREATE TABLE bare (no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payload bytea)",
	} {
		if err == nil {
			_, err = pool.Exec(ctx, statement)
		}
	}
	if err == nil {
		l.alone, err = pool.Acquire(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare the database of the limits: %w", err), l.close())
	}
	return l, nil
}

func (l *postgresLimits) close() error {
	if l.alone != nil {
		l.alone.Release()
	}
	l.pool.Close()
	return nil
}

// slice measures the three limits, a third of the time each.
func (l *postgresLimits) slice(d time.Duration) error {
	ctx := context.Background()
	n, took, err := l.until(d/3, func() error {
		_, err := l.alone.Exec(ctx, insertBare, barePayload)
		return err
	})
	l.commits, l.onCommits = l.commits+n, l.onCommits+took
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var clients sync.WaitGroup
	var errs []error
	begun := time.Now()
	for i := range limitClients {
		clients.Go(func() {
			n, _, err := l.until(d/3, func() error {
				if i == 0 { // its connection is taken
					_, err := l.alone.Exec(ctx, insertBare, barePayload)
					return err
				}
				_, err := l.pool.Exec(ctx, insertBare, barePayload)
				return err
			})
			mu.Lock()
			defer mu.Unlock()
			l.crowded += n
			errs = append(errs, err)
		})
	}
	clients.Wait()
	l.onCrowded += time.Since(begun)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	payloads := make([][]byte, limitRows)
	for i := range payloads {
		payloads[i] = barePayload
	}
	n, took, err = l.until(d/3, func() error {
		_, err := l.alone.Exec(ctx, insertBares, payloads)
		return err
	})
	l.rows, l.onRows = l.rows+n*limitRows, l.onRows+took
	return err
}

// until does something again and again for a time.
func (l *postgresLimits) until(d time.Duration, do func() error) (n int, took time.Duration, err error) {
	for begun := time.Now(); ; n++ {
		if took = time.Since(begun); took >= d {
			return n, took, nil
		}
		if err := do(); err != nil {
			return n, took, fmt.Errorf("measure a limit: %w", err)
		}
	}
}

// add adds the limits of the machine to what was measured.
func (l *postgresLimits) add(m figures) {
	m["limit_commits_per_s"] = float64(l.commits) / l.onCommits.Seconds()
	m["limit_commits32_per_s"] = float64(l.crowded) / l.onCrowded.Seconds()
	m["limit_rows_per_s"] = float64(l.rows) / l.onRows.Seconds()
}
