package swf

import "time"

// Limits of Amazon SWF. Source, if no other is named: "Amazon SWF Quotas" in the Amazon SWF Developer
// Guide and the constraints of the API reference, November 2026. Quotas may change.
const (
	maxChars      = 32768 // of an input, a result, a signal, a marker's details, a context
	maxReason     = 256   // of a reason
	maxName       = 256   // of an id or a name
	maxLambdaName = 64    // ScheduleLambdaFunctionDecisionAttributes.name
	maxTags       = 5     // of an execution

	maxEvents  = 25000 // of a history; the service ends the run there
	warnEvents = 10000 // where AWS advises to stop
	stopEvents = 24000 // where this package ends the run with a clear error
	fullEvents = 24700 // where nothing more begins, with the events to come of all that is open

	// The events to come of what is open, each with a decision task of its own; a child has one at its start too.
	eventsOfWork  = 6
	eventsOfTimer = 5
	eventsOfChild = 9

	maxOpen = 900 // open activities, Lambda functions, timers: 1,000 each is the quota

	maxRun    = 365 * 24 * time.Hour // the longest life of a run
	maxLambda = 900 * time.Second    // the longest Lambda function
	retention = 90                   // days that a closed run's history is kept, at most

	pageSize = 1000 // events of a page, at most

	// maxPayload leaves room for the envelopes that carry a payload with ids, names and keys.
	maxPayload = 30000
	// maxFailure leaves room for the JSON of a recorded error.
	maxFailure = 10000
	// maxBegin is the bytes of inputs that one answer begins, and maxJournal those of a journal that goes with it:
	// a request may have 1 MB, and the rest goes before or after it.
	maxBegin   = 400_000
	maxJournal = 400_000
	// chunk is the part of a journal that one marker holds.
	chunk = 32000
)
