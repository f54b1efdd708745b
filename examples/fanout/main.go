// Fanout works on many items with a limit on how many at the same time, shows its progress, and repeats what fails.
//
//	go run ./examples/fanout
//	go run ./examples/fanout --id album-2 --photos 500 --concurrency 50
//
// Kill it in the middle (kill -9 PROCESS, which the first line names) and run it again: the photos that were done stay
// done, those that were worked on begin again with the same number of the attempt, and the others follow.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

const usage = `fanout shrinks the photos of an album, a few at the same time. Kill it and run it again: it continues.

Examples:
  fanout                                               20 photos, 4 at the same time
  fanout --id album-2 --photos 500 --concurrency 50    more
  fanout --id album-3 --broken                         one photo fails for good: the others are done all the same

Flags:
`

type settings struct {
	db, id      string
	photos      int
	concurrency int
	broken      bool
}

func main() {
	var s settings
	flag.StringVar(&s.db, "db", filepath.Join(os.TempDir(), "lambdabiz-fanout.db"), "`file` with the state")
	flag.StringVar(&s.id, "id", "album-1", "`id` of the album; another id is another album")
	flag.IntVar(&s.photos, "photos", 20, "how many photos the album has")
	flag.IntVar(&s.concurrency, "concurrency", 4, "how many are worked on at the same time")
	flag.BoolVar(&s.broken, "broken", false, "put a photo into the album that cannot be read")
	flag.DurationVar(&pace, "pace", 700*time.Millisecond, "how long each photo takes")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	err := run(ctx, s)
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case err != nil && interrupted:
		fmt.Printf("interrupted; everything so far is in %s: run the same command again\n", s.db)
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "fanout:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) (err error) {
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("there are no arguments, only flags: %q (see -h)", flag.Args())
	case s.photos < 1 || s.concurrency < 1:
		return fmt.Errorf("--photos is %d and --concurrency is %d, both must be 1 or more", s.photos, s.concurrency)
	}
	slog.SetLogLoggerLevel(slog.LevelError) // what the engine logs below that is printed here in plainer words
	backend, err := sqlite.Open(s.db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, backend.Close()) }()
	engine, err := lambdabiz.New(backend, lambdabiz.Config{})
	if err != nil {
		return err
	}
	if err := engine.Register(shrink); err != nil {
		return err
	}
	if err := announce(ctx, engine, s); err != nil {
		return err
	}
	return engine.RunWhile(ctx, func(ctx context.Context) error {
		album := Album{Photos: photos(s), Concurrency: s.concurrency}
		run, err := lambdabiz.Start(ctx, engine, shrink, s.id, album) // a second start finds the first one's run
		if err != nil {
			return err
		}
		var display sync.WaitGroup
		defer display.Wait()
		watching, stop := context.WithCancel(ctx)
		defer stop()
		display.Go(func() { showProgress(watching, engine, s.id) })
		thumbnails, err := run.Result(ctx)
		if err != nil {
			return err
		}
		attempts := 0
		for _, t := range thumbnails {
			attempts += t.Attempts
		}
		fmt.Printf("%s has succeeded: %d thumbnails, %d attempts\n", s.id, len(thumbnails), attempts)
		return nil
	})
}

// photos are the names of the album's photos.
func photos(s settings) []string {
	var names []string
	for i := range s.photos {
		names = append(names, fmt.Sprintf("photo-%02d", i+1))
	}
	if s.broken {
		names[s.photos/2] = "broken-photo"
	}
	return names
}

// announce says what is on disk already.
func announce(ctx context.Context, engine *lambdabiz.Engine, s settings) error {
	state, err := engine.State(ctx, s.id)
	if errors.Is(err, lambdabiz.ErrNotFound) {
		fmt.Printf("%s begins in process %d; its state is in %s\n", s.id, os.Getpid(), s.db)
		return nil
	}
	if err != nil {
		return err
	}
	done := 0
	for i := range state.Operations {
		if state.Operations[i].Status.Ended() {
			done++
		}
	}
	if state.Status.Ended() {
		fmt.Printf("%s had ended before: nothing runs\n", s.id)
	} else {
		fmt.Printf("%s goes on in process %d: %d photos were done before, they do not run again\n", s.id, os.Getpid(), done)
	}
	return nil
}

// showProgress prints the progress that the orchestration shows in its state, as any other program could.
func showProgress(ctx context.Context, engine *lambdabiz.Engine, id string) {
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	shown := Progress{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		state, err := engine.State(ctx, id)
		if err != nil || state.Progress == nil {
			continue // the next tick may know more
		}
		var now Progress
		if err := engine.Decode(state.Progress, &now); err == nil && now != shown {
			fmt.Printf("%d of %d photos are done\n", now.Done, now.Of)
			shown = now
		}
	}
}
