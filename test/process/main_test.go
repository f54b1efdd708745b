package process_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"
)

// childVariable carries the arguments of a child. Where it is set, the binary is one.
const childVariable = "LAMBDABIZ_PROCESS_CHILD"

// args is what a parent tells a child before it begins.
type args struct {
	Role    string
	Name    string // in messages, and in the results of tasks that say who ran them
	File    string // the database
	URL     string // of a database of PostgreSQL, instead of a file
	Effects string // the file to which bodies append what they do

	Version string        // of the code, as in lambdabiz.Config
	Lease   time.Duration // as in lambdabiz.Config
	Drain   time.Duration // as in lambdabiz.Config
	Busy    time.Duration // as BusyTimeout in sqlite.Config
	Parks   bool          // what only waits is parked at once

	Files  []string // that the role "fresh" opens, one after the other
	Orders []int    // what the role "all" works through

	Fault string // the point at which the process ends, in a build with the tag "fault"
	Hit   int    // which arrival at that point it is, from 1
	Stops bool   // it does not end there, but hears then that it shall

	Late     bool     // knows the task "Late"
	Let      []string // latches that are open from the beginning
	Sabotage string   // the protection that is switched off; see tracer
}

var roles = map[string]func(*child){
	"work":  workRole,
	"hand":  handRole,
	"fresh": freshRole,
	"naive": naiveRole,
	"all":   allRole,
	"busy":  busyRole,
}

func TestMain(m *testing.M) {
	text, isChild := os.LookupEnv(childVariable)
	if !isChild {
		code := m.Run()
		if withPoints.dir != "" {
			_ = os.RemoveAll(withPoints.dir) // what stays is in the directory for such files
		}
		os.Exit(code)
	}
	var a args
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	runChild(a)
}
