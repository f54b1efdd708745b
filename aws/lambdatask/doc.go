// Package lambdatask performs tasks as AWS Lambda functions, on backends that are databases: with
//
//	engine.Register(client.All())
//
// lambdabiz.CallTask(o, id, "Sum", in) invokes the function Sum when no Go task has that name. The input
// goes to the function as it is recorded and its response is the result, so the engine's codec must be one
// that makes JSON, as the default does. On Amazon SWF the backend invokes functions itself, and this package
// is not asked.
//
// # How often a function runs
//
// At least once, as every task. It runs again when the worker dies during the invocation, when the attempt
// times out, and when Lambda's answer is lost, if the call's Retry policy has attempts left: the first
// invocation may still run then, since Lambda cannot take one back. Every invocation of one operation carries
// the same idempotency key in its client context; a Go function finds it with [InfoFrom], others under
// custom, "lambdabiz-idempotency-key". A recorded result is never asked for again.
//
// # What is retried where
//
// A function's error is a [*FunctionError], repeated by the call's Retry policy alone. Refusals that another
// invocation cannot cure (no such function, no permission, a bad or too large payload, ...) are final, whatever
// the policy. What Lambda refuses for the moment (throttling, a function that is not ready), its internal
// errors, and failed connections are tried again within the same attempt, for [Config].Patience, with waits
// between 50 ms and 5 s, doubling, of which half is left to chance, or as long as Lambda's Retry-After says. A
// lost answer is not tried again within the attempt. The SDK's own retries are off: they would repeat lost
// answers in silence.
//
// The package imports the root package, internal/awscall, the AWS SDK for Go, and lambdacontext of aws-lambda-go.
package lambdatask
