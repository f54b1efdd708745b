package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	standin "github.com/lambdabiz/lambdabiz/internal/standins/postgres"
)

// TestMain lets the program start itself, as the workload crash and runs in processes of their own do.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{"-workload", "-runs"}, os.Args[1]) {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestEveryWorkloadPrintsItsMetrics runs each of them in small, as the program does.
func TestEveryWorkloadPrintsItsMetrics(t *testing.T) {
	t.Parallel()
	limits := []string{"limit_commits_per_s", "limit_rows_per_s"}
	for _, w := range []struct {
		args    []string
		metrics []string
	}{
		{[]string{"-workload", "sequence", "-c", "4", "-n", "20", "-time", "30ms"}, append(limits, "orch_per_s", "steps_per_s",
			"lat_ms_p50", "lat_ms_p99", "cpu_ms_per_orch", "ratio_to_commit_limit", "ratio_to_row_limit")},
		{[]string{"-workload", "fanout", "-n", "50"}, append(limits, "ms", "activities_per_s")},
		{[]string{"-workload", "long", "-n", "300"}, append(limits, "seconds", "steps_per_s", "first100_ms_per_step",
			"last100_ms_per_step", "growth", "ratio_to_commits")},
		{[]string{"-workload", "sleepers", "-n", "300", "-park", "1ms"}, append(limits, "start_s", "all_waiting_s", "rss_mb_before",
			"rss_mb_waiting", "kb_per_sleeper", "signal_s", "signal_to_all_done_s", "done_per_s",
			"cpu_ms_per_orch", "ratio_to_row_limit")},
		{[]string{"-workload", "timers", "-n", "50"}, append(limits, "all_done_s", "last_timer_created_s", "late_ms_p50",
			"late_ms_p99", "late_ms_max")},
		{[]string{"-workload", "crash", "-n", "100", "-c", "8"}, append(limits, "acked_before_kill", "open_s", "lost", "wrong",
			"inflight_done_s", "all_done_s", "steps_repeated")},
		{[]string{"-workload", "disk", "-n", "100", "-c", "8"}, append(limits, "bytes_per_orch", "orch_per_s_first_fifth",
			"orch_per_s_last_fifth")},
		{[]string{"-workload", "mixed", "-n", "50", "-c", "2", "-time", "30ms"}, append(limits, "alone_ms_p50", "alone_ms_p99",
			"branches_ms_p99", "branches_ratio", "races_ms_p99", "races_ratio", "events_ms_p99", "events_ratio")},
		{[]string{"-workload", "purge", "-n", "50", "-c", "8"}, append(limits, "purged_per_s", "cpu_ms_per_orch", "ratio_to_row_limit")},
		{[]string{"-workload", "idle", "-time", "10ms"}, []string{"cpu_ms_per_s"}},
	} {
		t.Run(w.args[1], func(t *testing.T) {
			t.Parallel()
			r := output(t, append(w.args, "-runs", "1", "-dir", t.TempDir())...)
			if r.Peer != "lambdabiz" || r.Workload != w.args[1] || r.Backend != "sqlite" || r.Error != "" {
				t.Errorf("the result is %+v", r)
			}
			for _, name := range w.metrics {
				if _, ok := r.Metrics[name]; !ok {
					t.Errorf("no metric %s in %v", name, r.Metrics)
				}
			}
			if r.Metrics["lost"] != 0 || r.Metrics["wrong"] != 0 {
				t.Errorf("lost or wrong: %v", r.Metrics)
			}
		})
	}
}

// output runs the program and reads the line that it prints.
func output(t *testing.T, args ...string) *result {
	t.Helper()
	c, err := parse(args, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := run(t.Context(), c, &out); err != nil {
		t.Fatal(err)
	}
	var r result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("the output is %q: %v", &out, err)
	}
	return &r
}

func TestRunsAreInProcessesOfTheirOwn(t *testing.T) {
	t.Parallel()
	r := output(t, "-workload", "fanout", "-n", "10", "-runs", "3", "-dir", t.TempDir())
	if r.Metrics["ms"] <= 0 || r.Params["runs"] != 3.0 {
		t.Errorf("the result is %+v", r)
	}
}

func TestMemoryIsMeasuredToo(t *testing.T) {
	t.Parallel()
	r := output(t, "-workload", "sequence", "-backend", "memory", "-n", "10", "-time", "10ms", "-runs", "1", "-dir", t.TempDir())
	if r.Durability != "none" || r.Metrics["orch_per_s"] <= 0 {
		t.Errorf("the result is %+v", r)
	}
}

func TestPostgreSQLIsMeasuredToo(t *testing.T) {
	t.Parallel()
	for workload, metric := range map[string]string{
		"sequence": "limit_commits32_per_s", "disk": "bytes_per_orch", "purge": "purged_per_s", "snapshot": "held_ratio",
		"workers": "orch_per_s",
	} {
		t.Run(workload, func(t *testing.T) { // one after the other: each has many connections
			n := "20"
			if workload == "workers" {
				n = "2"
			}
			r := output(t, "-workload", workload, "-backend", "postgres", "-postgres", standin.Database(t), "-c", "4", "-n", n,
				"-time", "100ms", "-runs", "1", "-dir", t.TempDir())
			if r.Durability != "full: fsync and synchronous_commit on" || r.Metrics[metric] <= 0 || r.Metrics["limit_rows_per_s"] <= 0 {
				t.Errorf("the result is %+v", r)
			}
		})
	}
}

// A server of its own, without whose processes the server's part would be missing where it can be known.
func TestAServerIsStartedForTheMeasurement(t *testing.T) {
	t.Parallel()
	url, stop, err := serve()
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip("no PostgreSQL to start (make standins installs one): ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	s, err := openServer(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "linux" && s.cpuTime() <= 0 {
		t.Errorf("the server, process %d, has computed nothing", s.pid)
	}
}

func TestBadArgumentsAreNamed(t *testing.T) {
	t.Parallel()
	for _, w := range []struct{ args, want string }{
		{"-workload nap", "unknown workload \"nap\": it must be one of crash, disk"},
		{"-backend oracle", "unknown backend \"oracle\""},
		{"-c -1", "-n and -c must be 0 or more"},
		{"-runs 0", "-runs at least 1"},
		{"-backend memory -workload crash", "needs a backend that outlives its process"},
		{"-backend postgres -workload crash", "it is for -backend sqlite"},
		{"-workload workers", "is for -backend postgres"},
		{"fast", "unknown argument \"fast\""},
		{"-quick", "flag provided but not defined: -quick"},
	} {
		_, err := parse(strings.Fields(w.args), io.Discard)
		if err == nil || !strings.Contains(err.Error(), w.want) {
			t.Errorf("%s: %v, want %q", w.args, err, w.want)
		}
	}
	var help bytes.Buffer
	if _, err := parse([]string{"-help"}, &help); !strings.Contains(help.String(), "go run ./bench -workload sequence -c 1") ||
		err != flag.ErrHelp { //nolint:errorlint // it is the package's own, unwrapped
		t.Errorf("-help gives %v and\n%s", err, &help)
	}
}

func TestMediansAndQuantiles(t *testing.T) {
	t.Parallel()
	m := medians([]figures{{"a": 1, "b": 10}, {"a": 3}, {"a": 2, "b": 20}})
	if m["a"] != 2 || m["b"] != 15 {
		t.Errorf("medians %v, want a 2 and b 15", m)
	}
	var d []time.Duration
	for i := range 100 {
		d = append(d, time.Duration(100-i)*time.Millisecond)
	}
	if got := quantile(d, 0.99); got != 100*time.Millisecond {
		t.Errorf("p99 of 1 to 100 ms is %v", got)
	}
	if got := rounded(0.0123456); got != 0.01235 {
		t.Errorf("rounded to %v", got)
	}
}
