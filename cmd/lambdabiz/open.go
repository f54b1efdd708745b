package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"

	lambdabiz "github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/dynamodb"
	"github.com/lambdabiz/lambdabiz/aws/swf"
	"github.com/lambdabiz/lambdabiz/postgres"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

// store is an open backend with an engine on it.
type store struct {
	*lambdabiz.Engine
	backend lambdabiz.Backend
	swf     *swf.Backend    // the backend, if it is one on Amazon SWF
	beside  lambdabiz.Store // the copy of its state, if there is one
	remove  func() error    // removes a copy that was made to be read; nil without one
}

// opening is how a command wants the backend.
type opening struct {
	create   bool // what is not there: a file, a domain
	reads    bool // nothing is changed: a file that cannot be written is read as a copy
	engine   lambdabiz.Config
	taskList string        // the default on Amazon SWF
	decision time.Duration // decision time-out on Amazon SWF; 0 for the default
}

// open opens the backend that exists: a command that asks for something must not leave an empty file or a
// domain behind where somebody has misspelt a name.
func (a *app) open(ctx context.Context) (*store, error) { return a.openAs(ctx, opening{}) }

// create opens the backend, and creates it if there is none.
func (a *app) create(ctx context.Context, c lambdabiz.Config) (*store, error) {
	return a.openAs(ctx, opening{create: true, engine: c})
}

func (a *app) openAs(ctx context.Context, how opening) (*store, error) {
	where, err := a.targets.resolve()
	if err != nil {
		return nil, err
	}
	s := &store{}
	if err := a.openTargets(ctx, s, where, how); err != nil {
		return nil, errors.Join(err, s.close())
	}
	how.engine.Logger = a.logger()
	if s.Engine, err = lambdabiz.New(s.backend, how.engine); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (a *app) openTargets(ctx context.Context, s *store, where targets, how opening) (err error) {
	if where.store != nil {
		if where.backend == nil && how.create {
			return errStoreAlone
		}
		if s.beside, err = a.openStore(ctx, where.store, how.create); err != nil {
			return err
		}
	}
	switch {
	case where.backend == nil:
		s.backend = storeReader{s.beside}
	case where.backend.kind == kindSWF:
		c, err := a.swfConfig(ctx, where.backend)
		if err != nil {
			return err
		}
		c.Store, c.ExistingDomain, c.DecisionTimeout = s.beside, !how.create, how.decision
		if c.TaskList == "" {
			c.TaskList = how.taskList
		}
		if s.swf, err = swf.Open(ctx, c); err != nil {
			return fmt.Errorf("%s: %w", where.backend.flag, err)
		}
		s.backend = s.swf
	case where.backend.kind == kindPostgres:
		config := where.backend.postgresConfig()
		config.ExistingSchema = !how.create
		s.backend, err = postgres.Open(ctx, where.backend.name, config)
		if err != nil {
			s.backend = nil // not a nil pointer in an interface
			return postgresError(where.backend.flag, err)
		}
	default:
		if err := where.backend.checkFile(how.create); err != nil {
			return err
		}
		path := where.backend.name
		if how.reads && unwritable(path) {
			if path, s.remove, err = copyToRead(path); err != nil {
				return fmt.Errorf("%s sqlite:%s: %w", where.backend.flag, where.backend.name, err)
			}
		}
		b, err := sqlite.OpenConfig(ctx, sqlite.Config{Path: path})
		if err != nil {
			return fmt.Errorf("--backend: %w", err)
		}
		s.backend = b
	}
	return nil
}

// postgresError says by which flag a database was named. A URL that cannot be read is wrong usage.
func postgresError(flag string, err error) error {
	err = fmt.Errorf("%s: %w", flag, err)
	if errors.Is(err, postgres.ErrURL) {
		return &usageError{err}
	}
	return err
}

// checkFile looks at a database file.
func (p *target) checkFile(create bool) error {
	if create {
		return nil
	}
	stat, err := os.Stat(p.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s sqlite:%s: the file does not exist (demo and start create one)", p.flag, p.name)
	case err != nil:
		return fmt.Errorf("%s sqlite:%s: %w", p.flag, p.name, err)
	case stat.IsDir():
		return fmt.Errorf("%s sqlite:%s: it is a directory, give the path of a file", p.flag, p.name)
	case stat.Size() == 0:
		return fmt.Errorf("%s sqlite:%s: the file is empty, it is no database (demo and start make one of it)", p.flag, p.name)
	}
	return nil
}

func (a *app) openStore(ctx context.Context, p *target, create bool) (lambdabiz.Store, error) {
	if p.kind == kindSQLite {
		if err := p.checkFile(create); err != nil {
			return nil, err
		}
		s, err := sqlite.OpenStoreConfig(ctx, sqlite.Config{Path: p.name})
		if err != nil {
			return nil, fmt.Errorf("--store: %w", err)
		}
		return s, nil
	}
	c, err := a.loadAWS(ctx, p)
	if err != nil {
		return nil, err
	}
	s, err := dynamodb.Open(ctx, dynamodb.Config{
		AWS: c, Table: p.name, Endpoint: p.options["endpoint"], CreateTable: p.options["create"] == "true",
	})
	if err != nil {
		return nil, fmt.Errorf("--store: %w", err)
	}
	return s, nil
}

// swfConfig is the configuration of a backend on Amazon SWF, without what a command decides.
func (a *app) swfConfig(ctx context.Context, p *target) (swf.Config, error) {
	c, err := a.loadAWS(ctx, p)
	return swf.Config{
		AWS: c, Domain: p.name, Endpoint: p.options["endpoint"], TaskList: p.options["task-list"],
		LambdaRole: p.options["lambda-role"], Logger: a.logger(),
	}, err
}

// loadAWS uses AWS's own chain: the environment, the configuration files, the machine's role.
func (a *app) loadAWS(ctx context.Context, p *target) (aws.Config, error) {
	log := a.logger()
	opts := []func(*config.LoadOptions) error{
		// What the SDK has to say is for -v; it is asked for no requests, in which credentials stand.
		config.WithLogger(logging.LoggerFunc(func(_ logging.Classification, format string, args ...any) {
			log.Debug("aws: " + fmt.Sprintf(format, args...))
		})),
	}
	if v := p.options["region"]; v != "" {
		opts = append(opts, config.WithRegion(v))
	}
	if v := p.options["profile"]; v != "" {
		opts = append(opts, config.WithSharedConfigProfile(v))
	}
	if v := p.options["retry-mode"]; v != "" {
		mode, err := aws.ParseRetryMode(v)
		if err != nil {
			return aws.Config{}, usagef("%s: the retry mode is %q, it must be standard or adaptive", p.flag, v)
		}
		opts = append(opts, config.WithRetryMode(mode))
	}
	c, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return c, fmt.Errorf("%s: load the AWS configuration: %w", p.flag, err)
	}
	if c.Region == "" {
		return c, usagef("%s: no AWS region: give --region, AWS_REGION, or a profile that has one", p.flag)
	}
	return c, nil
}

// close closes what is open.
func (s *store) close() error {
	var errs []error
	if s.backend != nil {
		errs = append(errs, s.backend.Close())
	}
	if s.beside != nil {
		errs = append(errs, s.beside.Close())
	}
	if s.remove != nil {
		errs = append(errs, s.remove())
	}
	return errors.Join(errs...)
}
