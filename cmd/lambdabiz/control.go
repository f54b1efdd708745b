package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// control is a command that asks one thing of one orchestration.
type control struct {
	verb, short, long string
	example           string
	done              string // what is true afterwards
	act               func(ctx context.Context, s *store, id, reason string) error
	noReason          bool // the verb takes none
	// ends is the status that the verb aims at, if it does: one that has it already needs nothing more.
	ends lambdabiz.Status
	fits func(r *lambdabiz.RunInfo) bool // which ones a filter is about
}

func cancelCommand(a *app) *cobra.Command {
	return a.control(&control{
		verb: "cancel", short: "Ask an orchestration to end",
		long: "Ask an orchestration to end. Its context ends, what it waits for returns, and its code may\n" +
			"clean up. Its children are cancelled too. The request is on disk when the command returns.",
		example: "  lambdabiz cancel order-7 --reason 'customer changed their mind'\n" +
			"  lambdabiz cancel --tag campaign=spring --before 30d --dry-run",
		done: "cancellation is requested", ends: lambdabiz.StatusCancelled, fits: isOpen,
		act: func(ctx context.Context, s *store, id, reason string) error {
			return s.Cancel(ctx, id, reason)
		},
	})
}

func terminateCommand(a *app) *cobra.Command {
	return a.control(&control{
		verb: "terminate", short: "End an orchestration at once, without a word to its code",
		long: "End an orchestration at once as TERMINATED, without a word to its code. Tasks that run are\n" +
			"not stopped, but their results are dropped. Its children go on. Prefer cancel.",
		example: "  lambdabiz terminate order-7 --reason 'stuck since Monday'",
		done:    "is terminated", ends: lambdabiz.StatusTerminated, fits: isOpen,
		act: func(ctx context.Context, s *store, id, reason string) error {
			return s.Terminate(ctx, id, reason)
		},
	})
}

func pauseCommand(a *app) *cobra.Command {
	return a.control(&control{
		verb: "pause", short: "Hold an orchestration until it is resumed",
		long: "Hold an orchestration. Operations that run may end and are recorded, then nothing happens\n" +
			"until it is resumed. Events are kept meanwhile. One that is driven by hand gets an error that\n" +
			"says that it is paused, and the reason.",
		example: "  lambdabiz pause order-7 --reason 'stock is counted'",
		done:    "is paused", fits: isOpen,
		act: func(ctx context.Context, s *store, id, reason string) error {
			return s.Pause(ctx, id, reason)
		},
	})
}

func resumeCommand(a *app) *cobra.Command {
	return a.control(&control{
		verb: "resume", short: "Let a paused or blocked orchestration go on",
		long: "Let a paused orchestration go on, and try a blocked one again at once. One that is driven by\n" +
			"hand goes on when its caller calls again.",
		example: "  lambdabiz resume order-7\n  lambdabiz resume --blocked --name Order",
		done:    "goes on", noReason: true, fits: stands,
		act: func(ctx context.Context, s *store, id, _ string) error { return s.Resume(ctx, id) },
	})
}

func dropCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "drop ID NUMBER",
		Short: "Remove an event that an orchestration has not taken",
		Long: "Remove an event that has arrived in an orchestration and is not taken, one whose payload its\n" +
			"code cannot read, say: such an event blocks the orchestration. NUMBER is what show prints\n" +
			"beside the event. An orchestration that is blocked is tried again at once. The request is on\n" +
			"disk when the command returns.",
		Example:           "  lambdabiz show order-7\n  lambdabiz drop order-7 12",
		Args:              takes(2, "ID", "NUMBER"),
		ValidArgsFunction: completeIDs(a, true),
		RunE: func(c *cobra.Command, args []string) error {
			number, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil || number < 1 {
				return usagef("NUMBER is %q, it must be the number of an event, as show prints it", args[1])
			}
			return a.with(c.Context(), func(s *store) error {
				if err := s.DropEvent(c.Context(), args[0], number); err != nil {
					return err
				}
				if a.json() {
					return printJSON(a.out, dropped{args[0], "drop", number})
				}
				return write(a.out, fmt.Sprintf("%s: event %d is dropped\n", clean(args[0]), number))
			})
		},
	}
}

type dropped struct {
	ID     string `json:"id"`
	Action string `json:"action"`
	Event  int64  `json:"event"`
}

func (a *app) control(k *control) *cobra.Command {
	var reason string
	many := &bulk{verb: k.verb, done: k.done, fits: k.fits}
	c := &cobra.Command{
		Use: k.verb + " [ID]", Short: k.short, Long: k.long + bulkHelp, Example: k.example,
		ValidArgsFunction: completeIDs(a, true),
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		act := func(ctx context.Context, s *store, id string) error {
			return k.already(ctx, s, id, k.act(ctx, s, id, reason))
		}
		return a.with(c.Context(), func(s *store) error {
			if len(args) == 0 {
				return many.run(c.Context(), a, s, func(ctx context.Context, id string) error { return act(ctx, s, id) })
			}
			if err := act(c.Context(), s, args[0]); err != nil {
				return err
			}
			if !a.json() {
				return write(a.out, fmt.Sprintf("%s: %s\n", clean(args[0]), k.done))
			}
			state, err := s.State(c.Context(), args[0])
			if err != nil {
				return err
			}
			return printJSON(a.out, controlled{
				args[0], k.verb, state.Status, state.Paused, state.PauseReason, state.CancelRequested, state.CancelReason,
			})
		})
	}
	many.register(c)
	if !k.noReason {
		c.Flags().StringVar(&reason, "reason", "", "why, for those who look at it later: show has it")
	}
	return c
}

// already makes success of the refusal of what has come true before: to repeat a command is no conflict.
func (k *control) already(ctx context.Context, s *store, id string, err error) error {
	if k.ends == lambdabiz.StatusNone || !errors.Is(err, lambdabiz.ErrClosed) {
		return err
	}
	if state, look := s.State(ctx, id); look != nil || state.Status != k.ends {
		return errors.Join(err, look)
	}
	return nil
}

// controlled is what a control prints: the state right after it.
type controlled struct {
	ID              string           `json:"id"`
	Action          string           `json:"action"`
	Status          lambdabiz.Status `json:"status"`
	Paused          bool             `json:"paused"`
	PauseReason     string           `json:"pauseReason,omitempty"`
	CancelRequested bool             `json:"cancelRequested"`
	CancelReason    string           `json:"cancelReason,omitempty"`
}

func purgeCommand(a *app) *cobra.Command {
	many := &bulk{verb: "purge", done: "is removed", fits: hasEnded}
	c := &cobra.Command{
		Use:   "purge [ID]",
		Short: "Remove an ended orchestration with all its runs",
		Long: "Remove an ended orchestration with all its runs, operations and event keys. The id is free\n" +
			"afterwards. An open one is never removed." + bulkHelp,
		Example:           "  lambdabiz purge order-7\n  lambdabiz purge --status SUCCEEDED --ended-before 90d --dry-run",
		ValidArgsFunction: completeIDs(a, false),
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		return a.with(c.Context(), func(s *store) error {
			if len(args) == 0 {
				return many.run(c.Context(), a, s, s.Purge)
			}
			if err := s.Purge(c.Context(), args[0]); err != nil {
				return err
			}
			if a.json() {
				return printJSON(a.out, purged{args[0], "purge"})
			}
			return write(a.out, clean(args[0])+": is removed\n")
		})
	}
	many.register(c)
	c.Flags().StringVar(&many.endedBefore, "ended-before", "", "only those that ended before this time: "+timeForms)
	return c
}

type purged struct {
	ID     string `json:"id"`
	Action string `json:"action"`
}
