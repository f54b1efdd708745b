package lambdabiz

import "context"

// StepWithin is [Step] for the package of a backend that is a [Transactor]. Its body gets a transaction, and what it writes in
// that is committed together with its result: exactly once. All else is as with a step, and recorded as one: kind, id,
// attempts, options. Where what is recorded as a step becomes a call of this, or the other way round, the record stays good.
//
// A body whose transaction was lost (see [Transaction]) is called again in the same attempt, ten times at most. A result that
// cannot be encoded, or decoded again, rolls back and fails the step. On a home of another name it returns
// *UnsupportedError with [FeatureTransaction], and nothing is recorded, unless a test has stubbed the step.
func StepWithin[T any](
	o Context, id string, w Within, f func(ctx context.Context, t Transaction) (T, error), opts ...CallOption,
) (T, error) {
	c := ask[T](o, id, KindStep, "result")
	c.body.within = &bodyWithin{
		Within: w,
		call:   func(ctx context.Context, t Transaction) (any, error) { return f(ctx, t) },
		reads:  reads[T],
	}
	c.with(opts)
	c.intercepted = o.run().env.intercepted(&c.out)
	if err := c.effect(); err != nil {
		var zero T
		return zero, err
	}
	return c.out, nil
}
