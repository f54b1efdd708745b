package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/postgres"
)

// diagnosePostgres looks at the database first: when that does not work, nothing else can be asked.
func (a *app) diagnosePostgres(ctx context.Context, p *target, grace time.Duration) error {
	d := &diagnosis{Workers: []lambdabiz.WorkerRecord{}, Problems: []problem{}}
	checks := postgres.CheckDatabase(ctx, p.name, p.postgresConfig())
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	for _, k := range checks {
		v := check{Name: k.Name, Detail: k.Detail, Warning: k.Warning}
		if k.Err != nil {
			v.Problem = k.Err.Error()
		}
		d.Checks = append(d.Checks, v)
	}
	if checks[len(checks)-1].Err != nil { // it goes no further: orchestrations cannot be read either
		return a.report(d)
	}
	return a.look(ctx, func(s *store) error {
		silent, err := watchBeats(ctx, s)
		var found *diagnosis
		if err == nil {
			found, err = diagnose(ctx, silent, time.Now(), grace)
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil: // what was found about the database may say why
			d.Checks = append(d.Checks, check{Name: "orchestrations", Problem: err.Error()})
			return a.report(d)
		}
		found.Checks = d.Checks
		found.Problems = append(silent.problems(found.Workers), found.Problems...)
		return a.report(found)
	})
}

// beats is a reader that knows which workers have not shown life for a lease. A database does not know whose process is gone.
type beats struct {
	reader
	still map[int64]int64 // by worker: the beat at which it stands
}

// watchEvery is how often the beats are looked at.
const watchEvery = 250 * time.Millisecond

// defaultLease is that of a worker which has not said its own.
const defaultLease = 15 * time.Second

// watchBeats looks until each worker has beaten once, or has been silent for its lease.
func watchBeats(ctx context.Context, r reader) (*beats, error) {
	b := &beats{reader: r, still: map[int64]int64{}}
	first, err := r.Workers(ctx)
	if err != nil || len(first) == 0 {
		return b, err
	}
	begun := time.Now()
	waiting := map[int64]lambdabiz.WorkerRecord{}
	for i := range first {
		waiting[first[i].Number] = first[i]
	}
	ticks := time.NewTicker(watchEvery)
	defer ticks.Stop()
	for len(waiting) > 0 {
		select {
		case <-ctx.Done():
			return b, context.Cause(ctx)
		case <-ticks.C:
		}
		now, err := r.Workers(ctx)
		if err != nil {
			return b, err
		}
		b.compare(waiting, now, time.Since(begun))
	}
	return b, nil
}

// compare takes those off the list of whom is known whether they live.
func (b *beats) compare(waiting map[int64]lambdabiz.WorkerRecord, now []lambdabiz.WorkerRecord, passed time.Duration) {
	for number, was := range waiting {
		at := slices.IndexFunc(now, func(w lambdabiz.WorkerRecord) bool { return w.Number == number })
		lease := was.Lease
		if lease == 0 {
			lease = defaultLease
		}
		switch {
		case at < 0, now[at].Beat != was.Beat: // it has left, or lives
			delete(waiting, number)
		case passed >= lease:
			b.still[number] = was.Beat
			delete(waiting, number)
		}
	}
}

// Workers says of those that stand still that they are gone.
func (b *beats) Workers(ctx context.Context) ([]lambdabiz.WorkerRecord, error) {
	all, err := b.reader.Workers(ctx)
	for i := range all {
		if beat, still := b.still[all[i].Number]; still && beat == all[i].Beat {
			all[i].Gone = true
		}
	}
	return all, err
}

// problems are the workers that stand still.
func (b *beats) problems(workers []lambdabiz.WorkerRecord) []problem {
	var all []problem
	for i := range workers {
		w := &workers[i]
		if !w.Gone {
			continue
		}
		p := problem{Name: strings.Join(w.Names, ", "), Since: w.JoinedAt, Worker: w.Number}
		all = append(all, *p.is(problemSilent,
			fmt.Sprintf("worker %d (process %d on %s) has not beaten for its lease", w.Number, w.PID, w.Host),
			"nothing, if another worker serves its definitions: it takes over; else start one"))
	}
	return all
}
