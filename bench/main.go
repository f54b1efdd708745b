// Command bench measures LambdaBiz beside the limits of the machine it runs on.
//
//	go run ./bench -workload sequence -c 256
//
// It prints one line of JSON per result on stdout, and what it does on stderr. Every orchestration's result is
// computed from every step and compared: a wrong or missing one fails the run. docs/benchmarks.md describes the
// method, and has figures.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// config is what the command line says.
type config struct {
	workload, backend, dir string
	postgres               string // the server's address
	n, c, runs             int
	duration               time.Duration
	park                   time.Duration
	paced                  bool
	cpuProfile, memProfile string
	child                  string
}

// workload measures once.
type workload struct {
	about string
	n, c  int // the defaults
	run   func(ctx context.Context, b *bed) (figures, error)
}

var workloads = map[string]workload{
	"sequence": {"five chained tasks, at most c orchestrations in flight, for about 3 s, or n of them", 0, 1, sequence},
	"fanout":   {"one orchestration of n parallel steps", 1000, 0, fanout},
	"long":     {"one orchestration of n steps in sequence", 5000, 0, long},
	"sleepers": {"n orchestrations wait for an event, then all are signalled", 10_000, 0, sleepers},
	"idle":     {"a worker with nothing to do: what it computes all the same", 0, 0, idle},
	"timers":   {"n orchestrations with a timer of 2 s: how late it is", 5000, 0, timers},
	"crash":    {"n sequences, c in flight, killed at half of the steps, and started again", 2000, 64, crash},
	"mixed":    {"small sequences, c in flight, alone and beside one orchestration of n branches, races, and events", 10_000, 8, mixed},
	"purge":    {"n sequences, c in flight, have ended: all are removed", 10_000, 256, purge},
	"snapshot": {"sequences, c in flight, for about 3 s without and with a snapshot held open on PostgreSQL", 0, 256, snapshot},
	"workers":  {"sequences, c in flight, on n worker processes on PostgreSQL, for about 3 s", 2, 256, workers},
	"disk":     {"bytes on disk per completed sequence, and throughput over the first and the last fifth of n", 20_000, 64, disk},
}

func main() {
	c, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err = run(ctx, c, os.Stdout)
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(args []string, out io.Writer) (*config, error) {
	c := &config{}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(out)
	f.StringVar(&c.workload, "workload", "sequence", "what to measure: "+strings.Join(names(), ", "))
	f.StringVar(&c.backend, "backend", "sqlite",
		"where: sqlite (WAL, synchronous=FULL), postgres (fsync and synchronous_commit on) or memory")
	f.StringVar(&c.postgres, "postgres", "", "`url` of a database for -backend postgres, where schemas are made and removed (default\n"+
		postgresVariable+", or a server that is started for the measurement)")
	f.StringVar(&c.dir, "dir", "", "directory for the databases; the disk that it is on is measured (default a temporary one)")
	f.IntVar(&c.n, "n", 0, "how many orchestrations or steps; 0 for the number that the workload has above")
	f.IntVar(&c.c, "c", 0, "how many orchestrations are in flight; 0 for the workload's own")
	f.IntVar(&c.runs, "runs", 5, "runs on a fresh database each; what is printed is the median of each metric")
	f.DurationVar(&c.duration, "time", 3*time.Second,
		"how long a run of sequence takes when -n is 0, or one of workers, or each part of snapshot")
	f.DurationVar(&c.park, "park", time.Second, "how long sleepers stay in memory")
	f.BoolVar(&c.paced, "pace", true, "measure the machine's limits in slices between those of the workload; "+
		"without it, before and after: for profiles")
	f.StringVar(&c.cpuProfile, "cpuprofile", "", "write a CPU profile of the runs to this `file`")
	f.StringVar(&c.memProfile, "memprofile", "", "write a profile of all allocations to this `file`")
	f.StringVar(&c.child, "child", "", "used by the workloads crash and workers for their own processes")
	f.Usage = func() { usage(f) }
	if err := f.Parse(args); err != nil {
		return nil, err //nolint:wrapcheck // the package has said it already
	}
	w, known := workloads[c.workload]
	switch {
	case f.NArg() > 0:
		return nil, fmt.Errorf("unknown argument %q: see -help", f.Arg(0))
	case !known:
		return nil, fmt.Errorf("unknown workload %q: it must be one of %s", c.workload, strings.Join(names(), ", "))
	case c.n < 0 || c.c < 0 || c.runs < 1:
		return nil, errors.New("-n and -c must be 0 or more, -runs at least 1")
	case !slices.Contains([]string{"sqlite", "postgres", "memory"}, c.backend):
		return nil, fmt.Errorf("unknown backend %q: it must be sqlite, postgres or memory", c.backend)
	case c.backend == "memory" && (c.workload == "crash" || c.workload == "disk"):
		return nil, fmt.Errorf("workload %s needs a backend that outlives its process", c.workload)
	case c.backend != "postgres" && (c.workload == "snapshot" || c.workload == "workers"):
		return nil, fmt.Errorf("workload %s is for -backend postgres", c.workload)
	case c.backend == "postgres" && c.workload == "crash":
		return nil, errors.New("workload crash measures a file that another process finds: it is for -backend sqlite")
	}
	c.postgres = cmp.Or(c.postgres, os.Getenv(postgresVariable))
	if c.n == 0 {
		c.n = w.n
	}
	if c.c == 0 {
		c.c = w.c
	}
	return c, nil
}

func names() []string {
	var list []string
	for name := range workloads {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

func usage(f *flag.FlagSet) {
	out := f.Output()
	fmt.Fprint(out, "Measures LambdaBiz beside the limits of the machine.\n\nWorkloads:\n")
	for _, name := range names() {
		w := workloads[name]
		fmt.Fprintf(out, "  %-9s %s", name, w.about)
		if w.n > 0 {
			fmt.Fprintf(out, "; -n %d", w.n)
		}
		if w.c > 0 {
			fmt.Fprintf(out, "; -c %d", w.c)
		}
		fmt.Fprintln(out)
	}
	fmt.Fprint(out, "\nExamples:\n",
		"  go run ./bench -workload sequence -c 1\n",
		"  go run ./bench -workload sequence -c 256 -runs 1 -pace=false -cpuprofile cpu.out\n",
		"  go run ./bench -workload sleepers -n 1000000 -runs 1\n",
		"  go run ./bench -backend postgres -workload sequence -c 256\n\nFlags:\n")
	f.PrintDefaults()
}

func run(ctx context.Context, c *config, out io.Writer) error {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	switch {
	case c.child != "" && c.workload == "workers":
		return workersChild(ctx, c)
	case c.child != "":
		return crashChild(ctx, c)
	}
	if c.backend == "postgres" && c.postgres == "" {
		url, stop, err := serve()
		if err != nil {
			return fmt.Errorf("start a server (-postgres names one that is there): %w", err)
		}
		defer stop()
		c.postgres = url
	}
	stop, err := profile(c)
	if err != nil {
		return err
	}
	r, fault := measure(ctx, c)
	if err := stop(); err != nil {
		return err
	}
	return errors.Join(fault, r.print(out))
}

// measure runs the workload as often as the command line says, and takes the medians.
func measure(ctx context.Context, c *config) (*result, error) {
	var all []figures
	once := measureOnce
	if c.runs > 1 && c.cpuProfile == "" && c.memProfile == "" {
		once = measureApart
	}
	for i := range c.runs {
		m, err := once(ctx, c)
		if err != nil {
			err = fmt.Errorf("%s, run %d: %w", c.workload, i+1, err)
			return newResult(c, medians(all), err), err
		}
		fmt.Fprintf(os.Stderr, "run %d of %d: %s\n", i+1, c.runs, m)
		all = append(all, m)
	}
	return newResult(c, medians(all), nil), nil
}

// measureApart measures once in a process of its own, so that no run finds the memory that another has left.
func measureApart(ctx context.Context, c *config) (figures, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, "-runs", "1", "-workload", c.workload, "-backend", c.backend, "-dir", c.dir,
		"-n", strconv.Itoa(c.n), "-c", strconv.Itoa(c.c), "-time", c.duration.String(), "-park", c.park.String(),
		"-pace="+strconv.FormatBool(c.paced))
	cmd.Env = append(os.Environ(), postgresVariable+"="+c.postgres)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	var r result
	if fault := json.Unmarshal(out, &r); fault != nil {
		return nil, fmt.Errorf("run it in a process of its own: %w: %s", errors.Join(err, fault), &complaints)
	}
	if r.Error != "" {
		return nil, errors.New(r.Error)
	}
	return r.Metrics, err
}

func measureOnce(ctx context.Context, c *config) (figures, error) {
	b, err := newBed(ctx, c)
	if err != nil {
		return nil, err
	}
	m, err := workloads[c.workload].run(ctx, b)
	return m, errors.Join(err, b.close())
}

// profile begins what profiles were asked for, and returns what ends and writes them.
func profile(c *config) (func() error, error) {
	var cpu *os.File
	if c.cpuProfile != "" {
		var err error
		if cpu, err = os.Create(c.cpuProfile); err != nil {
			return nil, err
		}
		if err := pprof.StartCPUProfile(cpu); err != nil {
			return nil, errors.Join(err, cpu.Close())
		}
	}
	if c.memProfile != "" {
		runtime.MemProfileRate = 8 << 10
	}
	return func() error {
		var errs []error
		if cpu != nil {
			pprof.StopCPUProfile()
			errs = append(errs, cpu.Close())
		}
		if c.memProfile != "" {
			f, err := os.Create(c.memProfile)
			if err != nil {
				return errors.Join(append(errs, err)...)
			}
			errs = append(errs, pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
		}
		return errors.Join(errs...)
	}, nil
}
