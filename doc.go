// Package lambdabiz runs orchestrations that outlive the process that runs them.
//
// An orchestration is an ordinary Go function. It calls tasks, runs steps, sleeps, waits for events,
// starts children and fans out; every such operation carries an explicit id, and its result is
// recorded under that id. Kill the process at any instant and start it again: the function runs from
// its top, every recorded operation returns what is recorded, and the work goes on where it was.
//
//	var Order = lambdabiz.Define("Order", func(o lambdabiz.Context, in Cart) (Receipt, error) {
//		payment, err := lambdabiz.Call(o, "charge", Charge, in, lambdabiz.Retry(lambdabiz.Backoff{Attempts: 5}))
//		if err != nil {
//			return Receipt{}, err
//		}
//		if err := lambdabiz.Sleep(o, "cool-off", 24*time.Hour); err != nil {
//			return Receipt{}, err
//		}
//		return lambdabiz.Call(o, "ship", Ship, payment)
//	})
//
// # Four rules for authors
//
//  1. Give every operation an id that is unique in its scope (in a loop, put the key in it).
//  2. Effects belong in tasks, steps and service calls. Code between operations runs again after an
//     interruption.
//  3. Concurrency with operations in it goes through [Go], [Map] and [Race]; each branch uses its own
//     context, and branches talk through [Future.Wait] only.
//  4. Between operations decide on recorded values, not on the clock, on chance or on who was faster
//     ([Race] records its winner).
//
// A mistake against these rules does not fail a run: it blocks it, with the reason, the operation and
// the source line in its [State], until the code is fixed.
//
// # Guarantees
//
// A start is idempotent by orchestration id. A recorded result never changes and its operation never
// runs again. A task or step runs at least once and its result is recorded exactly once; every attempt
// carries the same idempotency key. An acknowledged event is never lost. A timer fires once and never
// early. Only the owner of a run writes. What is acknowledged is on disk. docs/guarantees.md has them
// in full.
//
// # Homes
//
// The durable engine underneath is a [Backend]: packages sqlite and memory have one each. Anyone can
// write another and prove it with package backendtest.
//
// This package imports the standard library only.
package lambdabiz
