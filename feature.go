package lambdabiz

// Feature is something that a home may be unable to promise.
type Feature string

// The features that a backend may refuse.
const (
	FeatureBeforeStart   Feature = "events before the start"
	FeatureStartPolicy   Feature = "start policies for a closed id"
	FeaturePause         Feature = "pause and resume"
	FeatureHand          Feature = "orchestrations driven by hand"
	FeatureList          Feature = "lists by name, tag or time"
	FeatureContinueAsNew Feature = "ContinueAsNew"
	FeatureHeartbeat     Feature = "heartbeats of tasks that the home itself performs"
	FeatureLongWait      Feature = "waits beyond the longest life of a run"
	FeatureLeaveChildren Feature = "ContinueAsNew with open children"
	FeatureLongStep      Feature = "long steps"
	FeatureLongTask      Feature = "long tasks that the home itself performs"
	FeatureQueue         Feature = "queues"
	FeaturePurge         Feature = "purging"
	FeatureEarlierRuns   Feature = "lists of all runs of an id"

	// FeatureValue is refused wherever a home performs the operation: a value of [WithValue] stays in the
	// process that calls, and whoever performs the operation may be another one.
	FeatureValue Feature = "values in the context of tasks that another process may perform"

	// FeatureTransaction is refused wherever the home is another one than that of the function that was called: each home
	// has functions of its own, such as Tx of package postgres.
	FeatureTransaction Feature = "transactions of another home"
)
