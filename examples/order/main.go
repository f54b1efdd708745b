// Order reserves an item, takes the payment, asks for an approval and ships: a saga. When a part fails, what was done is
// taken back, the latest first. Kill it whenever you like: the bank is never charged twice.
//
//	go run ./examples/order
//	go run ./examples/order --id order-8 --boss no     # refused: refund and release
//	go run ./examples/order --id order-9 --sold-out    # fails at the end: the same
//
// Kill it (kill -9 PROCESS, which the first line names) right after the line of the bank, and run it again: the bank has
// moved the money, and nobody has recorded it. So the bank is asked again, with the same key, and knows it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

const usage = `order is a saga: reserve, charge, ask for approval, ship. Kill it and run it again: it continues.

Examples:
  order                            everything goes well
  order --id order-8 --boss no     the boss refuses: the money goes back
  order --id order-9 --sold-out    shipping fails: the money goes back
  order --id order-10 --boss wait  the boss is you: it says how to answer from another terminal

Flags:
`

type settings struct {
	db, id, boss string
	order        Order
	soldOut      bool
	pace         time.Duration
}

func main() {
	var s settings
	flag.StringVar(&s.db, "db", filepath.Join(os.TempDir(), "lambdabiz-order.db"), "`file` with the state; the bank's books lie beside it")
	flag.StringVar(&s.id, "id", "order-7", "`id` of the order; another id is another order")
	flag.StringVar(&s.order.Item, "item", "tea", "what is ordered")
	flag.IntVar(&s.order.Cents, "cents", 450, "what it costs")
	flag.StringVar(&s.boss, "boss", "yes", "what the boss answers: `yes, no or wait`")
	flag.BoolVar(&s.soldOut, "sold-out", false, "let the shipping fail")
	flag.DurationVar(&s.pace, "pace", time.Second, "how long each task takes")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	err := run(ctx, s)
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case err != nil && interrupted:
		fmt.Printf("interrupted; everything so far is in %s: run the same command again\n", s.db)
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "order:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) (err error) {
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("there are no arguments, only flags: %q (see -h)", flag.Args())
	case s.boss != "yes" && s.boss != "no" && s.boss != "wait":
		return fmt.Errorf("--boss is %q, it must be yes, no or wait", s.boss)
	}
	slog.SetLogLoggerLevel(slog.LevelError) // what the engine logs below that is printed here in plainer words
	backend, err := sqlite.Open(s.db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, backend.Close()) }()
	bank, err := openBank(s.db + ".bank.json")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bank.close()) }()
	engine, err := lambdabiz.New(backend, lambdabiz.Config{Hooks: lambdabiz.Hooks{Operation: printRecorded}})
	if err != nil {
		return err
	}
	shop := &shop{bank: bank, engine: engine, db: s.db, boss: s.boss, soldOut: s.soldOut, pace: s.pace}
	order := define(shop.outside())
	if err := engine.Register(order, lambdabiz.ErrorValue("refused", errRefused)); err != nil {
		return err
	}
	if err := announce(ctx, engine, s); err != nil {
		return err
	}
	err = engine.RunWhile(ctx, func(ctx context.Context) error {
		run, err := lambdabiz.Start(ctx, engine, order, s.id, s.order) // a second start finds the first one's run
		if err != nil {
			return err
		}
		receipt, err := run.Result(ctx)
		switch {
		case err == nil:
			fmt.Printf("%s has succeeded: %s, %s\n", s.id, receipt.Payment, receipt.Parcel)
		case errors.Is(err, errRefused): // no surprise: a refusal is an outcome like another
			fmt.Printf("%s was refused; what was done is taken back\n", s.id)
			return nil
		}
		return err
	})
	if ctx.Err() == nil {
		charged, refunded, repeated, bankErr := bank.moved()
		fmt.Printf("the bank's books, all orders: charged %d cents, refunded %d, %d repeated requests\n", charged, refunded, repeated)
		err = errors.Join(err, bankErr)
	}
	return err
}

// announce says what is on disk already.
func announce(ctx context.Context, engine *lambdabiz.Engine, s settings) error {
	state, err := engine.State(ctx, s.id)
	switch {
	case errors.Is(err, lambdabiz.ErrNotFound):
		fmt.Printf("%s begins in process %d; its state is in %s\n", s.id, os.Getpid(), s.db)
		return nil
	case err != nil:
		return err
	case state.Status.Ended():
		fmt.Printf("%s had ended before: nothing runs\n", s.id)
	default:
		fmt.Printf("%s goes on in process %d\n", s.id, os.Getpid())
	}
	return nil
}

// printRecorded is told of each operation that an order which goes on finds recorded.
func printRecorded(e lambdabiz.OperationEvent) {
	if e.Recorded {
		fmt.Printf("  %s had ended before: it does not run again\n", e.Operation.ID)
	}
}
