// Chaos runs the fault tests of this module for long, or their sabotage twins, and says what really happened.
//
//	go run ./test/chaos -cycles 1000     a campaign: every fault test goes its full length
//	go run ./test/chaos -sabotage        every twin, which must be red
//
// A fault test is one that reports by package campaign; chaos finds them in the source. It shows each test as it
// ends, collects the lines of campaign.Report and campaign.Red, and ends with a summary. Its exit code is 0 when all
// passed, 1 when something failed, a twin was green, nothing ran or it was interrupted, and 2 for bad flags.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/lambdabiz/lambdabiz/test/campaign"
)

const help = `Chaos runs fault tests for long, or their sabotage twins, and sums up what really happened.

usage: go run ./test/chaos [flags] [packages]

examples:
  go run ./test/chaos -cycles 1000            every fault test at its full length
  go run ./test/chaos -cycles 50 ./sqlite     a twentieth of it, of one package
  go run ./test/chaos -run Kill -seed 7       repeat one with the seed that it printed
  go run ./test/chaos -backend postgres       those that are about PostgreSQL
  go run ./test/chaos -sabotage               every twin: each must be red
  go run ./test/chaos -cycles 1000 -json      the summary as JSON on standard output

Packages are directories or patterns as of the go command; without any it is ./... and all of the module.
Ctrl-C ends the tests and prints the summary of what there is.

flags:
`

// options is what the flags say.
type options struct {
	cycles   int
	seed     string
	run      string
	backend  string
	sabotage bool
	race     bool
	asJSON   bool
	dir      string
	packages []string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := chaos(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// chaos is the program: its result is the exit code.
func chaos(ctx context.Context, args []string, out, progress io.Writer) int {
	o, err := parse(args, out)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		sayf(progress, "chaos: %v\nrun it with -help for examples\n", err)
		return 2
	}
	s := newSummary(o)
	if err := s.work(ctx, progress); err != nil {
		sayf(progress, "chaos: %v\n", err)
		return 1
	}
	if o.asJSON {
		err = s.writeJSON(out)
	} else {
		err = s.write(out)
	}
	if err != nil {
		sayf(progress, "chaos: write summary: %v\n", err)
		return 1
	}
	if !s.Passed {
		return 1
	}
	return 0
}

// sayf writes to a terminal; nothing follows from it when that is gone.
func sayf(w io.Writer, format string, a ...any) { _, _ = fmt.Fprintf(w, format, a...) }

func parse(args []string, out io.Writer) (*options, error) {
	o := &options{dir: "."}
	f := flag.NewFlagSet("chaos", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.IntVar(&o.cycles, "cycles", 1000, "how long: thousandths of the full length of every fault test")
	f.StringVar(&o.seed, "seed", "", "the `number` that repeats a run; each test picks its own without it")
	f.StringVar(&o.run, "run", "", "only tests whose name matches the regular `expression`")
	f.StringVar(&o.backend, "backend", "", "only tests of a home, as postgres: those of its package, and with its `name` in theirs")
	f.BoolVar(&o.sabotage, "sabotage", false, "run the twins: the same tests with their protection removed")
	f.BoolVar(&o.race, "race", false, "with the race detector")
	f.BoolVar(&o.asJSON, "json", false, "write the summary as JSON")
	err := f.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		sayf(out, help)
		f.SetOutput(out)
		f.PrintDefaults()
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	if o.packages = f.Args(); len(o.packages) == 0 {
		o.packages = []string{"./..."}
	}
	return o, o.check()
}

func (o *options) check() error {
	if o.cycles < 1 {
		return fmt.Errorf("-cycles is %d, it must be above 0", o.cycles)
	}
	if o.seed != "" {
		if _, err := strconv.ParseUint(o.seed, 10, 64); err != nil {
			return fmt.Errorf("-seed is %q, it must be a number", o.seed)
		}
	}
	if _, err := regexp.Compile(o.run); err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	return nil
}

// work finds the tests, runs them and takes in what they say. An error means that they could not be run at all.
func (s *summary) work(ctx context.Context, progress io.Writer) error {
	found, err := s.options.find(ctx)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return errors.New("no such test in these packages")
	}
	s.expect(found)
	start := time.Now()
	cmd := s.options.command(ctx, found)
	sayf(progress, "%d tests of %d packages\n", len(s.Tests), len(found))
	var said bytes.Buffer
	cmd.Stderr = &said
	stream, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("run tests: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run tests: %w", err)
	}
	readErr := s.read(stream, progress)
	err = cmd.Wait()
	for line := range strings.Lines(said.String()) {
		s.Other = append(s.Other, strings.TrimSpace(line))
	}
	s.Interrupted = ctx.Err() != nil
	s.Seconds = time.Since(start).Round(time.Second / 10).Seconds()
	_, exited := errors.AsType[*exec.ExitError](err)
	if err != nil && !s.Interrupted && !exited { // its exit code says what the stream says
		return fmt.Errorf("run tests: %w", err)
	}
	if readErr != nil && !s.Interrupted {
		return readErr
	}
	s.judge()
	return nil
}

// command is the go command that runs the tests that were found.
func (o *options) command(ctx context.Context, found []tested) *exec.Cmd {
	args := []string{"test", "-json", "-count=1", "-timeout=0"}
	if o.race {
		args = append(args, "-race")
	}
	names := map[string]bool{}
	var list []string
	for _, p := range found {
		for _, name := range p.tests {
			if !names[name] {
				names[name] = true
				list = append(list, name)
			}
		}
	}
	args = append(args, "-run=^("+strings.Join(list, "|")+")$")
	for _, p := range found {
		args = append(args, p.path)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = o.dir
	cmd.Env = os.Environ()
	if !o.sabotage {
		cmd.Env = append(cmd.Env, campaign.CyclesVariable+"="+strconv.Itoa(o.cycles))
	}
	if o.seed != "" {
		cmd.Env = append(cmd.Env, campaign.SeedVariable+"="+o.seed)
	}
	asGroup(cmd)
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// short is the last part of a package's path.
func short(pkg string) string { return path.Base(pkg) }
