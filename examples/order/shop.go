package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// shop is the outside world of this example: a fake bank, a warehouse and a boss. Each prints what it does.
type shop struct {
	bank    *bank
	engine  *lambdabiz.Engine
	db      string        // the file, for those who want to answer from outside
	boss    string        // what the boss answers: yes, no, or nothing for now
	soldOut bool          // the warehouse finds the shelf empty
	pace    time.Duration // how long everything takes
}

func (s *shop) outside() outside {
	return outside{
		reserve: lambdabiz.NewTask("Reserve", s.reserve),
		release: lambdabiz.NewTask("Release", s.release),
		charge:  lambdabiz.NewTask("Charge", s.charge),
		refund:  lambdabiz.NewTask("Refund", s.refund),
		askBoss: lambdabiz.NewTask("AskBoss", s.askBoss),
		ship:    lambdabiz.NewTask("Ship", s.ship),
	}
}

func (s *shop) reserve(ctx context.Context, item string) (string, error) {
	fmt.Println("  warehouse: reserves", item)
	return item, s.wait(ctx)
}

func (s *shop) release(ctx context.Context, item string) (string, error) {
	fmt.Println("  warehouse: puts", item, "back")
	return item, s.wait(ctx)
}

func (s *shop) charge(ctx context.Context, p Payment) (string, error) { return s.pay(ctx, "charge", p) }
func (s *shop) refund(ctx context.Context, p Payment) (string, error) { return s.pay(ctx, "refund", p) }

// pay gives the bank the operation's idempotency key: it is the same in every attempt, after a kill too.
func (s *shop) pay(ctx context.Context, kind string, p Payment) (string, error) {
	info, _ := lambdabiz.TaskInfoFrom(ctx)
	done, err := s.bank.book(info.IdempotencyKey, kind, p)
	if err != nil {
		return "", err
	}
	if done.Repeated {
		fmt.Printf("  bank: %s of %d cents, key %.6s: known, it was %s; no money is moved\n", kind, p.Cents, done.Key, done.ID)
	} else {
		fmt.Printf("  bank: %s of %d cents, key %.6s: %s\n", kind, p.Cents, done.Key, done.ID)
	}
	return done.ID, s.wait(ctx) // killed here the bank has moved the money, and we do not know it
}

// askBoss sends a mail, say. This boss answers at once, as another program would: by raising the event.
func (s *shop) askBoss(ctx context.Context, in Order) (string, error) {
	info, _ := lambdabiz.TaskInfoFrom(ctx)
	id := info.OrchestrationID
	fmt.Printf("  boss: is asked about %s for %d cents\n", in.Item, in.Cents)
	if s.boss == "wait" {
		fmt.Printf("  boss: says nothing yet; answer with: lambdabiz raise %s Approve true --backend sqlite:%s\n", id, s.db)
		return s.boss, s.wait(ctx)
	}
	fmt.Println("  boss: says", s.boss)
	if err := s.engine.RaiseEvent(ctx, id, "Approve", s.boss == "yes", lambdabiz.Key(info.IdempotencyKey)); err != nil {
		return "", err
	}
	return s.boss, s.wait(ctx)
}

func (s *shop) ship(ctx context.Context, item string) (string, error) {
	fmt.Println("  warehouse: packs", item)
	if err := s.wait(ctx); err != nil {
		return "", err
	}
	if s.soldOut {
		return "", lambdabiz.NonRetryable(errors.New("the shelf is empty")) // another attempt would not help
	}
	return "parcel of " + item, nil
}

func (s *shop) wait(ctx context.Context) error {
	select {
	case <-time.After(s.pace):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
