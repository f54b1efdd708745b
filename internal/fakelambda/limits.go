package fakelambda

import "time"

// Limits of Lambda. Payloads: the documentation of Invoke says 6 MB for synchronous and, since October
// 2025, 1 MB for asynchronous invocations. The bytes of the first are in Lambda's own error message
// ("Request must be smaller than 6291456 bytes for the InvokeFunction operation"); those of the second
// are assumed.
const (
	MaxRequestBytes       = 6 << 20
	MaxEventBytes         = 1 << 20
	MaxResponseBytes      = 6<<20 + 100 // "Response payload size exceeded maximum allowed payload size (6291556 bytes)."
	MaxClientContextBytes = 3583        // in base64, as the documentation of Invoke says
	MaxTimeout            = 900 * time.Second
)

const (
	maxLogBytes    = 4 << 10          // of X-Amz-Log-Result, as the documentation of Invoke says
	initLimit      = 10 * time.Second // of the init phase, as the documentation of the execution environment says
	defaultTimeout = 3 * time.Second  // Lambda's own default
	maxQueueDelay  = 5 * time.Minute  // between tries of a throttled event ("from 1 second up to 5 minutes")
)
