package lambdatask

import "time"

// Limits of Lambda, from the documentation of Invoke ("The maximum payload size is 6 MB for synchronous
// invocations", "Up to 3,583 bytes of base64-encoded data about the invoking client") and from the page
// "Lambda quotas" (a function's timeout: 900 seconds). The bytes are those of Lambda's error message "Request must be
// smaller than 6291456 bytes for the InvokeFunction operation". The engine's own limit of a payload
// (lambdabiz.Config.MaxPayloadBytes, 1 MiB by default) is lower, unless it was raised.
const (
	// MaxPayloadBytes limits a request. A response has the same limit, which Lambda checks: the function
	// fails with Function.ResponseSizeTooLarge.
	MaxPayloadBytes = 6 << 20
	// MaxClientContextBytes limits the client context, in base64.
	MaxClientContextBytes = 3583
	// MaxRun is how long a function can run.
	MaxRun = 900 * time.Second
)

// answerLimit is how long an answer is waited for when nothing else ends the attempt: a connection may die
// without a sign.
const answerLimit = MaxRun + time.Minute

// Waits between the tries of one attempt, before chance halves them at most.
const (
	firstWait = 100 * time.Millisecond
	mostWait  = 5 * time.Second
)
