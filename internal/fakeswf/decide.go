package fakeswf

import "slices"

// decisionAnswer is one RespondDecisionTaskCompleted.
type decisionAnswer struct {
	completedID int64 // its DecisionTaskCompleted
	unhandled   bool  // something happened while the decider worked
}

var deciders = map[string]func(*Server, *execution, decisionAnswer, object) (cause string){
	"ScheduleActivityTask":                   (*Server).scheduleActivityTask,
	"RequestCancelActivityTask":              (*Server).requestCancelActivityTask,
	"CompleteWorkflowExecution":              (*Server).completeWorkflowExecution,
	"FailWorkflowExecution":                  (*Server).failWorkflowExecution,
	"CancelWorkflowExecution":                (*Server).cancelWorkflowExecution,
	"ContinueAsNewWorkflowExecution":         (*Server).continueAsNewWorkflowExecution,
	"RecordMarker":                           (*Server).recordMarker,
	"StartTimer":                             (*Server).startTimer,
	"CancelTimer":                            (*Server).cancelTimer,
	"SignalExternalWorkflowExecution":        (*Server).signalExternalWorkflowExecution,
	"RequestCancelExternalWorkflowExecution": (*Server).requestCancelExternalWorkflowExecution,
	"StartChildWorkflowExecution":            (*Server).startChildWorkflowExecution,
	"ScheduleLambdaFunction":                 (*Server).scheduleLambdaFunction,
}

// decide carries out one decision. A decision that cannot be is no error of the call: its cause is in an event.
func (s *Server) decide(ex *execution, answer decisionAnswer, decision object) {
	if !ex.isOpen() {
		return
	}
	kind := decision.text("decisionType")
	in := decision.sub(attributesMember(kind))
	cause := ""
	if s.cfg.RefuseDecision != nil {
		cause = s.cfg.RefuseDecision(kind, in)
	}
	if cause == "" && answer.unhandled && slices.Contains(closing, kind) {
		cause = "UNHANDLED_DECISION" // "if there is an unhandled decision task pending in the workflow execution"
	}
	if cause == "" {
		cause = deciders[kind](s, ex, answer, in)
	}
	if cause != "" {
		s.refuse(ex, answer, kind, cause, in)
	}
}

// refuse records the event of a decision that failed; which of the decision's members it has is in the model. It causes a new
// decision task (assumed for all of them).
func (s *Server) refuse(ex *execution, answer decisionAnswer, kind, cause string, in object) {
	shape := model().Shapes[kind+"FailedEventAttributes"]
	attributes := object{"cause": cause, "decisionTaskCompletedEventId": answer.completedID}
	for member := range shape.Members {
		attributes.take(in, member)
	}
	if _, has := shape.Members["initiatedEventId"]; has {
		// "When the cause isn't WORKFLOW_ALREADY_RUNNING, initiatedEventId is set to 0 because the
		// StartChildWorkflowExecutionInitiated event doesn't exist."
		attributes["initiatedEventId"] = int64(0)
	}
	s.add(ex, kind+"Failed", attributes)
	s.wake(ex)
}

// of is the start of an event's attributes: the decision it comes from.
func (a decisionAnswer) of(in object, members ...string) object {
	return object{"decisionTaskCompletedEventId": a.completedID}.take(in, members...)
}

func (s *Server) completeWorkflowExecution(ex *execution, answer decisionAnswer, in object) string {
	s.finish(ex, "WorkflowExecutionCompleted", "COMPLETED", answer.of(in, "result"))
	s.tellParent(ex, "ChildWorkflowExecutionCompleted", object{}.take(in, "result"))
	return ""
}

func (s *Server) failWorkflowExecution(ex *execution, answer decisionAnswer, in object) string {
	s.finish(ex, "WorkflowExecutionFailed", "FAILED", answer.of(in, "reason", "details"))
	s.tellParent(ex, "ChildWorkflowExecutionFailed", object{}.take(in, "reason", "details"))
	return ""
}

func (s *Server) cancelWorkflowExecution(ex *execution, answer decisionAnswer, in object) string {
	s.finish(ex, "WorkflowExecutionCanceled", "CANCELED", answer.of(in, "details"))
	s.tellParent(ex, "ChildWorkflowExecutionCanceled", object{}.take(in, "details"))
	return ""
}

// undefined are the causes for a missing default.
var undefined = map[string]string{
	"defaultExecutionStartToCloseTimeout": "DEFAULT_EXECUTION_START_TO_CLOSE_TIMEOUT_UNDEFINED",
	"defaultTaskStartToCloseTimeout":      "DEFAULT_TASK_START_TO_CLOSE_TIMEOUT_UNDEFINED",
	"defaultTaskList":                     "DEFAULT_TASK_LIST_UNDEFINED",
	"defaultChildPolicy":                  "DEFAULT_CHILD_POLICY_UNDEFINED",
}

// continueAsNewWorkflowExecution "closes the workflow execution and starts a new workflow execution of the same type using the same
// workflow ID and a unique run Id". Task list, timeouts, tags and role come from the decision and the type, not from the old run
// (assumed; "overrides the default... specified when registering the workflow type"). The parent stays the parent (assumed).
func (s *Server) continueAsNewWorkflowExecution(ex *execution, answer decisionAnswer, in object) string {
	key := ex.typ.key
	if version := in.text("workflowTypeVersion"); version != "" {
		key.version = version
	}
	t := ex.domain.workflowTypes[key]
	switch {
	case t == nil:
		return "WORKFLOW_TYPE_DOES_NOT_EXIST"
	case !t.deprecated.IsZero():
		return "WORKFLOW_TYPE_DEPRECATED"
	}
	config, missing := resolve(in, t)
	if missing != "" {
		return undefined[missing]
	}
	attributes := answer.of(in, "input", "tagList").and(config.wire())
	attributes["workflowType"] = key.wire()
	s.finish(ex, "WorkflowExecutionContinuedAsNew", "CONTINUED_AS_NEW", attributes)
	next := s.begin(run{
		domain: ex.domain, workflowID: ex.workflowID, typ: t, config: config, parent: ex.parent, initiated: ex.parentInitiated,
		attributes: object{"continuedExecutionRunId": ex.runID}.take(in, "input", "tagList"),
	})
	attributes["newExecutionRunId"] = next.runID
	if ex.parent != nil {
		if c := ex.parent.children[ex.workflowID]; c != nil && c.run == ex {
			c.run = next
		}
	}
	return ""
}

func (s *Server) recordMarker(ex *execution, answer decisionAnswer, in object) string {
	s.add(ex, "MarkerRecorded", answer.of(in, "markerName", "details"))
	return ""
}

// timer is a started timer.
type timer struct {
	startedID int64
	alarm     *alarm
}

func (s *Server) startTimer(ex *execution, answer decisionAnswer, in object) string {
	id := in.text("timerId")
	switch {
	case ex.timers[id] != nil:
		return "TIMER_ID_ALREADY_IN_USE"
	case len(ex.timers) >= s.limits.OpenTimers:
		return "OPEN_TIMERS_LIMIT_EXCEEDED"
	}
	t := &timer{}
	ex.timers[id] = t
	t.startedID = s.add(ex, "TimerStarted", answer.of(in, "timerId", "startToFireTimeout", "control"))
	if !ex.isOpen() {
		return ""
	}
	t.alarm = s.afterText(in.text("startToFireTimeout"), func() {
		delete(ex.timers, id)
		s.add(ex, "TimerFired", object{"timerId": id, "startedEventId": t.startedID})
		s.wake(ex)
	})
	return ""
}

func (s *Server) cancelTimer(ex *execution, answer decisionAnswer, in object) string {
	id := in.text("timerId")
	t := ex.timers[id]
	if t == nil {
		return "TIMER_ID_UNKNOWN"
	}
	s.stop(t.alarm)
	delete(ex.timers, id)
	s.add(ex, "TimerCanceled", answer.of(in, "timerId").and(object{"startedEventId": t.startedID}))
	return ""
}
