package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func doctorCommand(a *app) *cobra.Command {
	var grace time.Duration
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Find orchestrations that nothing will wake",
		Long: "Find open orchestrations that will not go on by themselves:\n" +
			"  blocked      a mistake in the code keeps it from going on; the reason is shown\n" +
			"  lost worker  it is held by a worker that is gone or not registered\n" +
			"  unserved     it is due, and no live worker has its definition\n" +
			"  overdue      it is due for long, though a live worker has its definition\n" +
			"  asleep       it has no time to wake, and no event or child to wait for\n" +
			"  late         it will wake later than what it waits for\n" +
			"  unreadable   something of it in the store cannot be read\n" +
			"and a process that keeps all others from writing, or has stopped:\n" +
			"  locked       it has been in a write for more than a second: frozen, or very slow\n" +
			"  silent       on PostgreSQL, a worker that has not shown life for its lease\n" +
			"Paused ones and those driven by hand are no problem. The exit code is 5 if there are problems.\n" +
			"Notes say which definitions of open ones no live worker has, on how many that wait the code of the live workers\n" +
			"has not been tried yet, and which of the last 1,000 that have ended left out something that is recorded\n" +
			"(orphans).\n\n" +
			"On PostgreSQL it first checks connection, server, schema, rights, tables and indexes, settings, standbys,\n" +
			"snapshots that are held, dead rows, and messages that lie; then it watches the beats of the workers, for\n" +
			"some seconds, or a lease if one is silent. Warnings do not change the exit code. A role that is no\n" +
			"administrator sees more with pg_monitor.\n\n" +
			"On Amazon SWF it checks region, credentials, domain and role, and finds what is blocked or\n" +
			"unserved: decisions, tasks and REST calls that have waited on a task list for a minute. Which code has run\n" +
			"an orchestration is not known there.",
		Example: "  lambdabiz doctor\n" +
			"  lambdabiz doctor --grace 1m -o json\n" +
			"  lambdabiz doctor --backend postgres://orders@db.example.com/shop\n" +
			"  lambdabiz doctor --backend swf:LambdaBiz --region eu-west-1",
		Args: takes(0),
		RunE: func(c *cobra.Command, _ []string) error {
			if grace < 0 {
				return usagef("--grace is %v, it must be 0 or more", grace)
			}
			where, err := a.targets.resolve()
			if err != nil {
				return err
			}
			if where.backend != nil && where.backend.kind == kindSWF {
				if !c.Flags().Changed("grace") {
					grace = time.Minute
				}
				return a.diagnoseSWF(c.Context(), where.backend, grace)
			}
			if where.backend != nil && where.backend.kind == kindPostgres {
				return a.diagnosePostgres(c.Context(), where.backend, grace)
			}
			return a.look(c.Context(), func(s *store) error {
				d, err := diagnose(c.Context(), s, time.Now(), grace)
				if err != nil {
					return err
				}
				locked, err := lockedProblem(c.Context(), s.backend)
				if err != nil {
					return err
				}
				if locked != nil {
					d.Problems = append([]problem{*locked}, d.Problems...)
				}
				return a.report(d)
			})
		},
	}
	c.Flags().DurationVar(&grace, "grace", 10*time.Second, "how late a worker may be; 1m on Amazon SWF")
	return c
}

// report prints a diagnosis; the error carries the exit code.
func (a *app) report(d *diagnosis) error {
	live := 0
	for _, w := range d.Workers {
		if !w.Gone {
			live++
		}
	}
	if err := a.printDiagnosis(d); err != nil {
		return err
	}
	summary := fmt.Sprintf("%d open (%d paused), %d live workers: ", d.Open, d.Paused, live)
	if d.hidden { // Amazon SWF does not tell who polls
		summary = fmt.Sprintf("%d open (%d paused): ", d.Open, d.Paused)
	}
	switch n := len(d.Problems); {
	case d.unfit():
		return &quietError{exitProblems, "the configuration does not work"}
	case n > 0:
		return &quietError{exitProblems, fmt.Sprintf("%s%d need help", summary, n)}
	}
	if a.json() {
		return nil
	}
	return write(a.out, summary+"all have a reason to wake\n")
}

func (a *app) printDiagnosis(d *diagnosis) error {
	if a.json() {
		return printJSON(a.out, d)
	}
	text := ""
	if len(d.Checks) > 0 {
		t := newTable()
		for _, c := range d.Checks {
			what := "ok"
			switch {
			case c.Problem != "":
				what = "PROBLEM: " + c.Problem
			case c.Warning != "":
				what = "WARNING: " + c.Warning
			}
			t.row(c.Name, orDash(c.Detail), what)
		}
		text = t.String()
	}
	if len(d.Problems) > 0 {
		t := newTable("ID", "NAME", "PROBLEM", "SINCE", "DETAIL", "WHAT TO DO")
		for _, p := range d.Problems {
			t.row(orDash(p.ID), orDash(p.Name), p.Kind, timeCell(p.Since), p.Detail, p.Hint)
		}
		text += t.String()
	}
	return write(a.out, text+unservedNote(d.Unserved)+untriedNote(d.Untried)+orphanedNote(d.Orphaned))
}
