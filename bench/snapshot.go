package main

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/lambdabiz/lambdabiz"
)

// snapshot runs sequences, c in flight, and then as many again while somebody has a transaction open that sees the tables as they
// were: no version of a row that has been written since can be removed.
func snapshot(ctx context.Context, b *bed) (figures, error) {
	m := figures{}
	err := b.work(ctx, lambdabiz.Config{}, fiveTasks, func(ctx context.Context, e *lambdabiz.Engine, p *pace) error {
		w := &crowd{e: e, c: b.c, clock: p.now}
		rate := func() (float64, figures, error) {
			took, err := p.during(func() error {
				return w.run(ctx, func(int) bool { return p.now() < b.duration })
			})
			own := figures{}
			took.addCPU(own, len(w.took))
			return float64(len(w.took)) / took.Seconds(), own, err
		}
		if _, _, err := rate(); err != nil { // it warms up
			return err
		}
		free, own, err := rate()
		if err != nil {
			return err
		}
		return b.server.do(ctx, func(conn *pgx.Conn) error {
			old, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
			if err != nil {
				return err
			}
			var runs int64
			err = old.QueryRow(ctx, "SELECT count(*) FROM "+pgx.Identifier{b.server.schema, "runs"}.Sanitize()).Scan(&runs)
			held, ownHeld := 0.0, figures{}
			if err == nil {
				held, ownHeld, err = rate()
			}
			m["orch_per_s"], m["held_orch_per_s"], m["held_ratio"] = free, held, held/free
			m["cpu_ms_per_orch"], m["held_cpu_ms_per_orch"] = own["cpu_ms_per_orch"], ownHeld["cpu_ms_per_orch"]
			return errors.Join(err, old.Rollback(ctx))
		})
	})
	if err != nil {
		return nil, err
	}
	b.limits.add(m)
	return m, nil
}
