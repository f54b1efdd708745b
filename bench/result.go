package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// figures are figures by name. The unit is in the name.
type figures map[string]float64

func (m figures) String() string {
	var b strings.Builder
	for i, name := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			b.WriteString(" ")
		}
		fmt.Fprintf(&b, "%s=%v", name, rounded(m[name]))
	}
	return b.String()
}

// rounded keeps four digits.
func rounded(v float64) float64 {
	if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return v
	}
	scale := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}

// medians takes the median of each metric by itself.
func medians(runs []figures) figures {
	m := figures{}
	for _, run := range runs {
		for name := range run {
			var values []float64
			for _, r := range runs {
				if v, ok := r[name]; ok {
					values = append(values, v)
				}
			}
			m[name] = rounded(median(values))
		}
	}
	return m
}

func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	if len(s)%2 == 1 {
		return s[len(s)/2]
	}
	return (s[len(s)/2-1] + s[len(s)/2]) / 2
}

// quantile is the value below which the part q of them lies.
func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(d))
	return s[min(len(s)-1, int(q*float64(len(s))))]
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// result is one line of output.
type result struct {
	Peer       string         `json:"peer"`
	Version    string         `json:"version"`
	Backend    string         `json:"backend"`
	Durability string         `json:"durability"`
	Workload   string         `json:"workload"`
	Params     map[string]any `json:"params"`
	Metrics    figures        `json:"metrics"`
	When       time.Time      `json:"when"`
	Load1      float64        `json:"load1"`
	Error      string         `json:"error,omitempty"`
}

func newResult(c *config, m figures, err error) *result {
	r := &result{
		Peer: "lambdabiz", Version: version(), Backend: c.backend, Durability: "full: WAL synchronous=FULL",
		Workload: c.workload, Params: map[string]any{"runs": c.runs}, Metrics: m,
		When: time.Now().UTC().Truncate(time.Second), Load1: load1(),
	}
	switch c.backend {
	case "memory":
		r.Durability = "none"
	case "postgres":
		r.Durability = "full: fsync and synchronous_commit on"
	}
	if c.n > 0 {
		r.Params["n"] = c.n
	} else {
		r.Params["seconds"] = c.duration.Seconds()
	}
	if c.c > 0 {
		r.Params["c"] = c.c
	}
	if err != nil {
		r.Error = err.Error()
	}
	return r
}

func (r *result) print(w io.Writer) error {
	text, err := json.Marshal(r)
	if err == nil {
		_, err = fmt.Fprintf(w, "%s\n", text)
	}
	return err
}

// version is the revision that this program was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, modified := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = "+"
		}
	}
	if revision == "" {
		return info.Main.Version
	}
	return revision + modified
}

// load1 is how many processes wanted to run during the last minute, where that can be asked.
func load1() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	var load float64
	if _, err := fmt.Sscan(string(text), &load); err != nil {
		return 0
	}
	return load
}
