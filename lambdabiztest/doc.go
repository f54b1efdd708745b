// Package lambdabiztest is for tests of your own orchestrations. It needs no database, no server and no waiting.
//
//	func TestOrder(t *testing.T) {
//		lambdabiztest.Run(t, func(t *testing.T, env *lambdabiztest.Env) {
//			env.Register(Order)
//			charge := lambdabiztest.Stub(env, "charge", func(_ context.Context, in Card) (Receipt, error) {
//				return Receipt{"payment-1"}, nil
//			})
//			ship := lambdabiztest.Stub(env, "ship", func(_ context.Context, item string) (string, error) {
//				return "parcel of " + item, nil
//			}).Times(1).Input("tea")
//			lambdabiztest.InOrder(charge, ship)
//
//			order := lambdabiztest.Start(env, Order, "order-7", Cart{"tea", 450})
//			env.Advance(30 * 24 * time.Hour) // costs nothing
//			env.Raise("order-7", "Approve", true)
//			if _, err := order.Result(); err != nil {
//				t.Error(err)
//			}
//		})
//	}
//
// # What it does
//
//   - [Run] runs a test in a testing/synctest bubble, with an engine in memory. Time passes when all goroutines
//     wait, so timers of months cost nothing. A run that becomes blocked fails the test at once, with the reason,
//     the operation and the source line. An orchestration that is left open fails it too, unless [Env.AllowOpen] names it.
//   - [Stub], [StubStep] and [StubDo] replace what an operation does, found by its id. [Env.Expect] says how an
//     operation shall be called, and leaves what it does alone. A task or a service that is neither stubbed nor
//     registered is never performed: it fails the test.
//   - [CrashEverywhere] runs a test once for each commit that its orchestrations make, lets the process die there, and
//     compares what comes of it with a run that nothing disturbs.
//   - [Resume] lets new code run over the state of an orchestration that was exported from production, without
//     performing anything, and reports what would run, what is kept, and what has changed.
//
// docs/testing.md explains each with whole programs.
//
// It imports the root package, package memory, internal/probe, testing and the standard library.
package lambdabiztest
