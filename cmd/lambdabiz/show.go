package main

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

func showCommand(a *app) *cobra.Command {
	var runID string
	c := &cobra.Command{
		Use:   "show ID",
		Short: "Show an orchestration with its operations",
		Example: "  lambdabiz show Sequence3\n" +
			"  lambdabiz show Sequence3 -o json\n" +
			"  lambdabiz show Sequence3 --store dynamodb:LambdaBizState",
		Args:              takes(1, "ID"),
		ValidArgsFunction: completeIDs(a, false),
		RunE: func(c *cobra.Command, args []string) error {
			return a.look(c.Context(), func(s *store) error {
				state, err := s.StateOf(c.Context(), args[0], runID)
				if err != nil {
					return err
				}
				if a.json() {
					return printJSON(a.out, viewOf(state))
				}
				return write(a.out, showText(state))
			})
		},
	}
	c.Flags().StringVar(&runID, "run", "", "the run with this run id instead of the latest one")
	return c
}

// showText is a state for a person.
func showText(s *lambdabiz.State) string {
	text := headTable(s).String()
	if len(s.Operations) > 0 {
		text += "\n" + operationTable(s.Operations).String()
	}
	if len(s.WaitingFor) > 0 && !s.Status.Ended() {
		text += "\nwaits for " + waitingText(s.WaitingFor) + "\n"
	}
	if len(s.Events) > 0 {
		t := newTable("NUMBER", "EVENT", "KEY", "ARRIVED", "PAYLOAD")
		for _, e := range s.Events {
			t.row(strconv.FormatInt(e.Number, 10), e.Name, orDash(e.Key), timeCell(e.ArrivedAt), payloadCell(e.Payload))
		}
		text += "\n" + t.String()
	}
	if s.Blocked != nil && s.Blocked.Detail != "" {
		text += "\nblocked at\n" + indented(s.Blocked.Detail)
	}
	return text
}

func indented(lines string) string {
	var text strings.Builder
	for line := range strings.Lines(lines) {
		text.WriteString("  " + strings.TrimRight(clean(line), " ") + "\n")
	}
	return text.String()
}

func headTable(s *lambdabiz.State) *table {
	t := newTable()
	t.row("id", s.ID)
	t.row("name", orDash(s.Name))
	t.row("run", s.RunID)
	t.row("status", s.Status.String()+pausedText(s))
	if s.PauseReason != "" {
		t.row("paused for", cut(s.PauseReason, 4*cellWidth))
	}
	if s.CancelReason != "" {
		t.row("cancelled for", cut(s.CancelReason, 4*cellWidth))
	}
	if b := s.Blocked; b != nil {
		t.row("blocked", blockedText(b))
	}
	t.row("input", payloadCell(s.Input))
	if s.Error != nil {
		t.row("error", cut(s.Error.Message, 4*cellWidth))
	} else {
		t.row("result", payloadCell(s.Result))
	}
	if len(s.Progress) > 0 {
		t.row("progress", payloadCell(s.Progress))
	}
	if len(s.Tags) > 0 {
		t.row("tags", tagText(s.Tags))
	}
	if s.Parent != nil {
		t.row("parent", s.Parent.ID)
	}
	t.row("scheduled", timeCell(s.ScheduledAt))
	t.row("started", timeCell(s.StartedAt))
	t.row("ended", timeCell(s.EndedAt))
	if !s.Deadline.IsZero() {
		t.row("deadline", timeCell(s.Deadline))
	}
	if s.Worker != 0 {
		t.row("worker", strconv.FormatInt(s.Worker, 10))
	}
	if !s.WakeAt.IsZero() && !s.Status.Ended() {
		t.row("wakes", timeCell(s.WakeAt))
	}
	if s.Version != "" && !s.Status.Ended() {
		t.row("ran last by", "version "+s.Version)
	}
	if len(s.Orphans) > 0 {
		t.row("orphans", strings.Join(s.Orphans, ", "))
	}
	return t
}

func pausedText(s *lambdabiz.State) string {
	switch {
	case s.Status.Ended():
		return ""
	case s.Paused:
		return " (paused)"
	case s.CancelRequested:
		return " (cancelling)"
	default:
		return ""
	}
}

func tagText(tags map[string]string) string {
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		pairs = append(pairs, key+"="+tags[key])
	}
	return strings.Join(pairs, " ")
}

func operationTable(ops []lambdabiz.Operation) *table {
	t := newTable("OPERATION", "KIND", "NAME", "STATUS", "TRIES", "STARTED", "TOOK", "RESULT")
	for i := range ops {
		o := &ops[i]
		took := "-"
		if !o.EndedAt.IsZero() && !o.StartedAt.IsZero() {
			took = short(o.EndedAt.Sub(o.StartedAt))
		}
		t.row(o.ID, o.Kind.String(), orDash(o.Name), o.Status.String(), strconv.Itoa(o.Attempts),
			timeCell(o.StartedAt), took, operationOutcome(o))
	}
	return t
}
