// Package check says what code would do with orchestrations that are in flight, before it is deployed: what is recorded of
// them is returned to the code, and nothing is performed. A program offers it to those who deploy it with [Main]:
//
//	if len(os.Args) > 1 && os.Args[1] == "check" { // lambdabiz export -o open.jsonl; orders check open.jsonl
//		os.Exit(check.Main(ctx, os.Args[2:], os.Stdout, os.Stderr, fulfil, charge, ship))
//	}
//
// In a test use lambdabiztest.Check, or lambdabiztest.Resume for one orchestration.
//
// It imports the standard library and the engine.
package check
