// Package rest calls REST services as operations of an orchestration. The response is recorded: a
// resumed run gets it back, and the service is not called again.
//
//	employee, err := rest.Get[Employee](o, "employee", "https://hr.example/employees/21",
//		rest.Query("fields", "name,salary"),
//		rest.Header("Authorization", rest.Secret("HR_TOKEN").WithPrefix("Bearer ")))
//	if err != nil {
//		return err
//	}
//	_, err = rest.Put[rest.Response](o, "raise", "https://hr.example/employees/21", employee.WithRaise(),
//		lambdabiz.Retry(lambdabiz.Backoff{Attempts: 10}))
//
// The options of this package and those of [lambdabiz.Call] (Retry, Timeout, Deadline,
// IdempotencyKey) stand in one list.
//
// # How often the service is called
//
// At least once. A crash between the service's answer and its record, and every further attempt, calls
// it again; all of them carry the same Idempotency-Key header. GET, HEAD, PUT and DELETE are attempted
// up to 4 times after a transport error or the statuses 408, 425, 429, 500, 502, 503 and 504. POST and
// PATCH are attempted again only after 429 and 503, and when the request was never sent or the
// connection says that it was not processed (HTTP/2's REFUSED_STREAM, and GOAWAY for those that came
// after the last one); say [Idempotent] when the service honours the key, and they are treated like
// PUT. A Retry-After header is respected. [lambdabiz.Retry] replaces the number and the waits, not what is worth an attempt.
//
// # What is recorded
//
// The [Request] (method, URL, query, headers, body), and of the response the status, the body and the
// headers of a small list that [RecordHeader] extends. Credentials are not: a header, query parameter
// or form field whose name speaks of a credential, and the user and password of a URL, are recorded
// as redacted, and their values live in the memory of the process that makes the call. A resumed run
// gives them again by running the same code. Better are references, [Secret], which any process can
// resolve. Where other processes make the calls, see [Worker], references are the only way: a literal
// credential is refused with *[lambdabiz.UnsupportedError], and nothing is recorded.
// The texts of headers, Link say, are recorded without the credentials in them.
// Bodies in JSON, those of requests and of successful responses, and the path of a URL are recorded as
// they are.
//
// # Where calls may go
//
// Every address is checked when it is dialled, after name resolution, so that redirects and names that
// change their address are covered: see [Guard]. A redirect to another origin loses the headers that are
// credentials, and is refused when it would take a body with one along. Environment variables that name a proxy are ignored.
//
// A [Client] that is registered with the engine performs all calls; without one, a client with the
// defaults of [Config] does. On Amazon SWF calls are activities: a [Worker] makes them, or any engine that
// runs with a registered client.
//
// This package imports the root package and the standard library.
package rest
