package lambdabiz

import "context"

// Transactor is an optional ability of a [Backend] that keeps its runs beside tables of the application's own: what the
// application writes there, and what is recorded of a run, become durable in one transaction.
//
// Applications do not use it. The backend's own package has functions for them, which hand what they are given to
// [StepWithin], [StartWithin] and [RaiseWithin]: package postgres has Tx, StartTx and RaiseTx, and so has package sqlite. A
// backend that wraps another one has the ability only if it passes these methods on.
type Transactor interface {
	// Begin begins a transaction for the body of a step; how is [Within].How as the backend's package has given it. With an
	// error the body is not called. One with a method Temporary() bool that returns true says that the store is busy or out
	// of reach: then it is tried again. Any other is the attempt's.
	Begin(ctx context.Context, how any) (Transaction, error)

	// Write makes the starts and the raises of a commit from outside part of a transaction of the application's, which is
	// within, as the backend's package has given it. None of the starts claims. The verdict holds if the transaction is
	// committed. A raise may be delivered later than that: its verdict is what could be told by then, with
	// ReceiptUnknown. After an error the transaction is not to be committed.
	Write(ctx context.Context, within any, c *Commit) (Verdict, error)
}

// Transaction is what the body of a step writes in. One goroutine uses it.
type Transaction interface {
	// Commit records the end of the step and commits. c has the run under its fence and the step as its only operation,
	// which the transaction inserts or replaces. ErrFenced: the run has another holder, or has ended. After that, and
	// after any other error, nothing of the transaction stays, neither of the body's nor of the record; one that is
	// temporary (see Begin) says that the body may be called again at once. Only ErrOutcomeUnknown leaves that open: then
	// Commit is called again with the same c, to look what has become of it.
	//
	// From its begin on it does not end with ctx.
	Commit(ctx context.Context, c *Commit) error

	// Rollback ends the transaction without a trace. After Commit it does nothing.
	Rollback()

	// Lost reports whether an error that the body has returned is the transaction's own: another transaction was in its
	// way, or its connection has ended. Then the body may be called again at once, in a new transaction.
	Lost(err error) bool
}

// Within says, for the package of a backend, in what something is to be written.
type Within struct {
	Home string // the backend's Description.Name: any other refuses with *UnsupportedError
	How  any    // the package's own: for Transactor.Begin, or the transaction for Transactor.Write
}
