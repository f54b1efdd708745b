package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/memory"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

// bed is what one run is measured on: a fresh database beside the one of the limits.
type bed struct {
	*config
	folder string
	limits *limits
}

func newBed(c *config) (*bed, error) {
	folder, err := os.MkdirTemp(c.dir, "bench-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the databases: %w", err)
	}
	b := &bed{config: c, folder: folder}
	if b.limits, err = openLimits(folder); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return b, nil
}

func (b *bed) close() error {
	return errors.Join(b.limits.close(), os.RemoveAll(b.folder))
}

func (b *bed) file() string { return filepath.Join(b.folder, "bench.db") }

// home opens the backend that is measured, behind a gate.
func (b *bed) home() (*gate, error) {
	var backend lambdabiz.Backend
	var err error
	if b.backend == "memory" {
		backend = memory.New()
	} else {
		backend, err = sqlite.Open(b.file())
	}
	if err != nil {
		return nil, fmt.Errorf("open the backend: %w", err)
	}
	return &gate{Backend: backend}, nil
}

// engine opens the backend and makes an engine that knows the definitions and tasks.
func (b *bed) engine(config lambdabiz.Config, definitions ...lambdabiz.Registrable) (*lambdabiz.Engine, *gate, error) {
	g, err := b.home()
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
	engine, g, err := b.engine(config, definitions...)
	if err != nil {
		return err
	}
	err = engine.RunWhile(ctx, func(ctx context.Context) error {
		return do(ctx, engine, &pace{limits: b.limits, gate: g, off: !b.paced || b.backend == "memory"})
	})
	return errors.Join(err, engine.Close())
}
