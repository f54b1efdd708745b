package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

func raiseCommand(a *app) *cobra.Command {
	var key string
	var receipt lambdabiz.Receipt
	var keep, keepEnded time.Duration
	c := &cobra.Command{
		Use:   "raise ID EVENT [PAYLOAD]",
		Short: "Raise an event in an orchestration",
		Long: "Raise an event in an orchestration, and return when it is on disk. It is kept until the\n" +
			"orchestration waits for it. PAYLOAD is JSON, null when it is left out, and is read from\n" +
			"standard input when it is \"-\".\n\n" +
			"With --key the command may be repeated. A key that was used before is no error: the output says\n" +
			"that nothing was added, and JSON has the receipt \"repeated\" instead of \"added\". On Amazon SWF\n" +
			"it is \"unknown\" for an event with a key: nobody knows before the orchestration reads it.",
		Example: "  lambdabiz raise Sequence3 Approve true\n" +
			"  lambdabiz raise order-7 paid '{\"amount\":12}' --key payment-4711\n" +
			"  lambdabiz raise order-8 paid - --before-start 24h < payment.json",
		Args:              takes(2, "ID", "EVENT", "PAYLOAD"),
		ValidArgsFunction: completeIDs(a, true),
		RunE: func(c *cobra.Command, args []string) error {
			payload, err := a.payload(c.Context(), "PAYLOAD", args[2:])
			if err != nil {
				return err
			}
			opts := []lambdabiz.RaiseOption{lambdabiz.WithReceipt(&receipt)}
			if c.Flags().Changed("key") {
				if key == "" {
					return usagef("--key is empty, leave it out or give 1 to %d bytes", lambdabiz.MaxIDBytes)
				}
				opts = append(opts, lambdabiz.Key(key))
			}
			if c.Flags().Changed("before-start") {
				if keep <= 0 {
					return usagef("--before-start is %v, it must be positive", keep)
				}
				opts = append(opts, lambdabiz.BeforeStart(keep))
			}
			if c.Flags().Changed("before-restart") {
				if keepEnded <= 0 {
					return usagef("--before-restart is %v, it must be positive", keepEnded)
				}
				opts = append(opts, lambdabiz.BeforeRestart(keepEnded))
			}
			return a.with(c.Context(), func(s *store) error {
				if err := s.checkCodec(c.Context(), args[0]); err != nil {
					return err
				}
				if err := s.RaiseEvent(c.Context(), args[0], args[1], payload, opts...); err != nil {
					return err
				}
				waits, err := otherWaits(c.Context(), s, args[0], args[1])
				if err != nil {
					return err
				}
				if a.json() {
					return printJSON(a.out, raised{args[0], args[1], key, receipt, waits})
				}
				text := receiptText(args[0], args[1], key, receipt)
				if len(waits) > 0 {
					text += fmt.Sprintf("it stays until the orchestration waits for it: now that waits for %s\n",
						clean(strings.Join(waits, ", ")))
				}
				return write(a.out, text)
			})
		},
	}
	c.Flags().StringVar(&key, "key", "", "a second event with this key does nothing")
	c.Flags().DurationVar(&keep, "before-start", 0, "keep it so long for a start to come, when ID is unknown")
	c.Flags().DurationVar(&keepEnded, "before-restart", 0, "keep it so long for a start to come, when ID is unknown or has ended")
	c.MarkFlagsMutuallyExclusive("before-start", "before-restart")
	return c
}

// raised is what raise prints.
type raised struct {
	ID    string `json:"id"`
	Event string `json:"event"`
	Key   string `json:"key,omitempty"`
	// Receipt is whether the event is new.
	Receipt lambdabiz.Receipt `json:"receipt"`
	// Waits are the events that the orchestration waits for instead, if it does not wait for this one: a misspelt
	// name shows here.
	Waits []string `json:"waitsFor,omitempty"`
}

// receiptText says what a raise has done.
func receiptText(id, event, key string, r lambdabiz.Receipt) string {
	id, event, key = clean(id), clean(event), clean(key)
	switch {
	case r == lambdabiz.ReceiptRepeated:
		return fmt.Sprintf("%s: an event was raised before with the key %s, nothing was added\n", id, key)
	case r == lambdabiz.ReceiptUnknown && key != "":
		return fmt.Sprintf("%s: event %s is recorded; if the key %s was used before, nothing was added\n", id, event, key)
	default:
		return fmt.Sprintf("%s: event %s is recorded\n", id, event)
	}
}

// otherWaits are the events that an open orchestration waits for now, if it waits for some, has this one in its inbox, and waits
// for others only.
func otherWaits(ctx context.Context, s *store, id, event string) ([]string, error) {
	state, err := s.State(ctx, id)
	if errors.Is(err, lambdabiz.ErrNotFound) {
		return nil, nil // kept for a start to come
	}
	if err != nil {
		return nil, fmt.Errorf("the event is recorded; look whether it is waited for: %w", err)
	}
	var names []string
	for _, w := range state.WaitingFor {
		if w.Kind == lambdabiz.KindEvent {
			names = append(names, w.Name)
		}
	}
	arrived := slices.ContainsFunc(state.Events, func(b lambdabiz.Buffered) bool { return b.Name == event })
	if !arrived || slices.Contains(names, event) {
		return nil, nil
	}
	return names, nil
}
