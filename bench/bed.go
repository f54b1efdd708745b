package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/postgres"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

// bed is what one run is measured on: a fresh database beside the one of the limits.
type bed struct {
	*config
	folder string
	server *server // nil but for PostgreSQL
	limits limits
}

func newBed(ctx context.Context, c *config) (*bed, error) {
	folder, err := os.MkdirTemp(c.dir, "bench-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the databases: %w", err)
	}
	b := &bed{config: c, folder: folder}
	if c.backend != "postgres" {
		b.limits, err = openSQLiteLimits(folder)
	} else if b.server, err = openServer(ctx, c.postgres); err == nil {
		b.limits, err = openPostgresLimits(ctx, c.postgres, b.server.limits())
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return b, nil
}

func (b *bed) close() error {
	err := b.limits.close()
	if b.server != nil {
		err = errors.Join(err, b.server.close())
	}
	return errors.Join(err, os.RemoveAll(b.folder))
}

func (b *bed) file() string { return filepath.Join(b.folder, "bench.db") }

// home opens the backend that is measured, behind a gate.
func (b *bed) home(ctx context.Context) (*gate, error) {
	var backend lambdabiz.Backend
	var err error
	switch b.backend {
	case "memory":
		backend = memory.New()
	case "postgres":
		backend, err = postgres.Open(ctx, b.postgres, postgres.Config{Schema: b.server.schema})
	default:
		backend, err = sqlite.Open(b.file())
	}
	if err != nil {
		return nil, fmt.Errorf("open the backend: %w", err)
	}
	return &gate{Backend: backend}, nil
}

// engine opens the backend and makes an engine that knows the definitions and tasks.
func (b *bed) engine(
	ctx context.Context, config lambdabiz.Config, definitions ...lambdabiz.Registrable,
) (*lambdabiz.Engine, *gate, error) {
	g, err := b.home(ctx)
	if err != nil {
		return nil, nil, err
	}
	engine, err := lambdabiz.New(g, config)
	if err == nil {
		err = engine.Register(definitions...)
	}
	if err != nil {
		return nil, nil, errors.Join(err, g.Close())
	}
	return engine, g, nil
}

// work runs an engine as a worker while do runs, and closes it.
func (b *bed) work(
	ctx context.Context, config lambdabiz.Config, definitions []lambdabiz.Registrable,
	do func(ctx context.Context, e *lambdabiz.Engine, p *pace) error,
) error {
	engine, g, err := b.engine(ctx, config, definitions...)
	if err != nil {
		return err
	}
	err = engine.RunWhile(ctx, func(ctx context.Context) error {
		return do(ctx, engine, &pace{limits: b.limits, gate: g, off: !b.paced || b.backend == "memory", usage: b.usage})
	})
	return errors.Join(err, engine.Close())
}

// usage is what this program has computed so far, and what the server has.
func (b *bed) usage() spent { return spent{cpuTime(), b.server.cpuTime()} }
