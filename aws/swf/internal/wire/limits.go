package wire

import "time"

// Limits of Amazon SWF. Source, if no other is named: "Amazon SWF Quotas" in the Amazon SWF Developer
// Guide and the constraints of the API reference, November 2026. Quotas may change.
const (
	MaxChars      = 32768 // of an input, a result, a signal, a marker's details, a context
	MaxReason     = 256   // of a reason
	MaxName       = 256   // of an id or a name
	MaxLambdaName = 64    // ScheduleLambdaFunctionDecisionAttributes.name

	MaxEvents  = 25000 // of a history; the service ends the run there
	WarnEvents = 10000 // where AWS advises to stop
	StopEvents = 24000 // where the backend ends the run with a clear error
	FullEvents = 24700 // where nothing more begins, with the events to come of all that is open

	EventsOfWork  = 6 // to come of an open activity or function, with its decision task
	EventsOfTimer = 5 // the same of a timer
	EventsOfChild = 9 // the same of a child, with the decision task at its start

	MaxOpen = 900 // open activities, Lambda functions, timers: 1,000 each is the quota

	MaxRun    = 365 * 24 * time.Hour // the longest life of a run
	MaxLambda = 900 * time.Second    // the longest Lambda function
	Retention = 90                   // days that a closed run's history is kept, at most

	PageSize = 1000 // events of a page, at most

	// MaxPayload leaves room for the envelopes that carry a payload with ids, names and keys.
	MaxPayload = 30000
	// MaxFailure leaves room for the JSON of a recorded error.
	MaxFailure = 10000
	// MaxBegin is the bytes of inputs that one answer begins, and MaxJournal those of a journal that goes with it:
	// a request may have 1 MB, and the rest goes before or after it.
	MaxBegin   = 400_000
	MaxJournal = 400_000
	// chunk is the part of a journal that one marker holds.
	chunk = 32000
)

// TypeVersion is the version of all types: the version of an orchestration's code is no concern of SWF.
const TypeVersion = "1"
