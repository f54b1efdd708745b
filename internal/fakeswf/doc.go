// Package fakeswf is Amazon SWF in memory, for tests and local programs: an [net/http.Handler] that speaks SWF's JSON 1.0 protocol
// to the real SDK, and a clock that a test can move. It imports the standard library only.
//
//	srv := fakeswf.New(fakeswf.Config{Clock: clock, Lambda: run})
//	defer srv.Close()
//	client := swf.New(swf.Options{
//		Region: "us-east-1", BaseEndpoint: aws.String("http://fake.invalid"),
//		HTTPClient: &http.Client{Transport: srv.Transport()}, Credentials: ...,
//	})
//
// Requests are checked against AWS's own service model (model.json), and the package's tests check every answer against it. A rule
// that the model cannot say cites, in quotation marks, the sentence of the API reference that it follows, or names the page of the
// developer guide. A fake is no proof of what AWS does; the overlap with another implementation is one table of test cases.
//
// # Time
//
// Without Config.Clock the fake lives in real time, or in the virtual time of a testing/synctest bubble in which New, Transport and
// all calls happen. With a [ManualClock] nothing fires by itself: Advance runs all timers and timeouts that are due, each at its own
// time, before it returns.
//
// # Not modelled
//
// Signatures and permissions, tags of resources, rates (Config.Fault and Config.RefuseDecision stand in), retention of closed runs
// (Expire stands in), the delay of eventually consistent answers (Fault.Stale stands in).
//
// # Assumed
//
// These rules stand in no documentation that we know:
//
//   - Refusals: how ValidationException words a breach of the rules for ids, durations and priorities; that lengths count UTF-16
//     units; the kind of the error for a request over 1 MB; NONE and more than a year as execution timeout of a start are a
//     ValidationException; the texts of all faults; UnknownResourceFault for a start in a deprecated domain.
//   - An empty poll has no taskToken at all and 0 as event ids (as in moto).
//   - Order of checks: of the four defaults of a start; of type, id, limit and defaults of an activity; of a child's.
//   - Every "...Failed" event of a decision makes a new decision task; so do ChildWorkflowExecutionStarted and
//     ExternalWorkflowExecutionSignaled and -CancelRequested; MarkerRecorded, TimerCanceled, ActivityTaskStarted,
//     LambdaFunctionScheduled and -Started do not.
//   - A closing decision fails with UNHANDLED_DECISION if anything came between the start of its decision task and the answer, not
//     because of what earlier decisions of the same answer did.
//   - "Close must be last decision in list" refuses the whole answer (observed by the authors of moto).
//   - previousStartedEventId is that of the last decision task that was completed, and startAtPreviousStartedEvent begins there, by
//     time in milliseconds; tasks that timed out do not count.
//   - Further pages of a decision task are given out even when the task has timed out.
//   - A decision task that times out is scheduled again at once, however often.
//   - An answer for a task that timed out or whose run is closed is UnknownResourceFault.
//   - A duration of 0 seconds is over at once.
//   - Ids that do not apply are 0: startedEventId of what was not started, externalInitiatedEventId, parentInitiatedEventId.
//   - Among tasks of one priority the older comes first, and so do pollers.
//   - RespondActivityTaskCanceled is accepted without a request to cancel.
//   - ContinueAsNew takes task list, timeouts, child policy, tags and Lambda role from the decision and the type, not from the old
//     run; parent and parentInitiatedEventId stay; the parent hears of the last run only.
//   - At 25,000 events the last one is WorkflowExecutionTerminated with the cause EVENT_LIMIT_EXCEEDED, and the child policy is applied.
//   - Children, signals and requests to cancel between runs happen at once, within the answer.
//   - Lambda tasks: Started follows Scheduled at once; at most 1,000 are open; the id must be unique among the open ones; a missing
//     role is ScheduleLambdaFunctionFailed with LAMBDA_SERVICE_NOT_AVAILABLE_IN_REGION or StartLambdaFunctionFailed, see
//     MissingRole; a startToCloseTimeout outside 1 to 900 is a ValidationException; an error that is no LambdaError has the reason
//     UnhandledError and {"errorMessage": ...} as details; a result over 32,768 characters fails with ResultTooLarge; an unknown
//     function with ResourceNotFoundException; the function goes on when its run is closed.
package fakeswf
