package fakeswf

import (
	"fmt"
	"time"
)

// event is an entry of a history; its id is its place in it, from 1.
type event struct {
	kind       string
	at         time.Time
	attributes object
}

// execution is one run of a workflow.
type execution struct {
	domain     *domain
	workflowID string
	runID      string
	typ        *registeredType
	config     runConfig
	tags       []any
	events     []event

	parent          *execution // nil without one
	parentInitiated int64      // in the parent's history

	started         time.Time
	closed          time.Time // zero while it is open
	closeStatus     string
	cancelRequested bool
	deadline        *alarm

	decision        *decisionTask // nil if none is scheduled or started
	dirty           bool          // something happened that the open decision task does not show
	deciding        bool          // decisions are being carried out: the next decision task comes after them
	previousStarted int64         // the started event of the last decision task that was completed
	sticky          stickyList

	activities       map[string]*activity
	timers           map[string]*timer
	children         map[string]*child
	lambdas          map[string]*lambdaTask
	latestActivity   time.Time
	executionContext any
}

// runConfig is what a start and the type's defaults agree on.
type runConfig struct {
	taskList         string
	priority         string
	decisionTimeout  string
	executionTimeout string
	childPolicy      string
	lambdaRole       string
}

// wire is the configuration as members of StartWorkflowExecution and of events.
func (c runConfig) wire() object {
	o := object{
		"taskList": object{"name": c.taskList}, "childPolicy": c.childPolicy,
		"taskStartToCloseTimeout": c.decisionTimeout, "executionStartToCloseTimeout": c.executionTimeout,
	}
	return o.put("taskPriority", c.priority).put("lambdaRole", c.lambdaRole)
}

// resolve takes each setting from the request, else from the type. missing names the first default that is not defined.
// "A task list for this workflow execution must be specified either as a default for the workflow type or through this parameter.
// If neither this parameter is set nor a default task list was specified at registration time then a fault is returned." So for all
// four; the order of the checks is assumed.
func resolve(in object, t *registeredType) (c runConfig, missing string) {
	pick := func(member, otherwise string) string {
		if text := in.text(member); text != "" {
			return text
		}
		text := t.defaults.text(otherwise)
		if text == "" && missing == "" {
			missing = otherwise
		}
		return text
	}
	c.executionTimeout = pick("executionStartToCloseTimeout", "defaultExecutionStartToCloseTimeout")
	c.taskList = in.sub("taskList").text("name")
	if c.taskList == "" {
		c.taskList = t.defaults.sub("defaultTaskList").text("name")
	}
	if c.taskList == "" && missing == "" {
		missing = "defaultTaskList"
	}
	c.decisionTimeout = pick("taskStartToCloseTimeout", "defaultTaskStartToCloseTimeout")
	c.childPolicy = pick("childPolicy", "defaultChildPolicy")
	required := missing
	c.priority = pick("taskPriority", "defaultTaskPriority")
	c.lambdaRole = pick("lambdaRole", "defaultLambdaRole")
	return c, required
}

// run is what a new execution needs.
type run struct {
	domain     *domain
	workflowID string
	typ        *registeredType
	config     runConfig
	attributes object // input, tagList and where it comes from
	parent     *execution
	initiated  int64
}

// begin starts a run; the caller has checked that no run of the id is open.
func (s *Server) begin(r run) *execution {
	ex := &execution{
		domain: r.domain, workflowID: r.workflowID, runID: newRunID(), typ: r.typ, config: r.config,
		parent: r.parent, parentInitiated: r.initiated, started: s.now(),
		activities: map[string]*activity{}, timers: map[string]*timer{}, children: map[string]*child{}, lambdas: map[string]*lambdaTask{},
	}
	ex.tags, _ = r.attributes["tagList"].([]any)
	r.domain.runs = append(r.domain.runs, ex)
	r.domain.open[ex.workflowID] = ex
	s.runs[ex.runID] = ex
	attributes := ex.config.wire().and(object{"workflowType": ex.typ.key.wire(), "parentInitiatedEventId": r.initiated}).and(r.attributes)
	if r.parent != nil {
		attributes["parentWorkflowExecution"] = r.parent.wire()
	}
	s.add(ex, "WorkflowExecutionStarted", attributes)
	timeout, limited := seconds(ex.config.executionTimeout)
	if !limited { // "there is a one-year max limit on the time that a workflow execution can run"
		timeout = year
	}
	ex.deadline = s.after(timeout, func() { s.timeOut(ex) })
	s.wake(ex)
	return ex
}

func (ex *execution) wire() object {
	return object{"workflowId": ex.workflowID, "runId": ex.runID}
}

func (ex *execution) isOpen() bool {
	return ex.closed.IsZero()
}

// add appends an event and returns its id, or 0 if the run is closed. A history has 25,000 events at most (developer
// guide, "Amazon SWF Quotas"): the one before the last makes the service terminate the run, with the cause EVENT_LIMIT_EXCEEDED
// (that this is the last event is assumed).
func (s *Server) add(ex *execution, kind string, attributes object) int64 {
	if !ex.isOpen() {
		return 0
	}
	ex.events = append(ex.events, event{kind: kind, at: s.now(), attributes: attributes})
	id := int64(len(ex.events))
	if len(ex.events) == s.limits.HistoryEvents-1 {
		s.terminate(ex, object{"childPolicy": ex.config.childPolicy, "cause": "EVENT_LIMIT_EXCEEDED"})
	}
	return id
}

// finish closes a run with its last event, which closing an execution always is.
func (s *Server) finish(ex *execution, kind, closeStatus string, attributes object) {
	if !ex.isOpen() {
		return
	}
	ex.events = append(ex.events, event{kind: kind, at: s.now(), attributes: attributes})
	ex.closed, ex.closeStatus = s.now(), closeStatus
	delete(ex.domain.open, ex.workflowID)
	s.stop(ex.deadline)
	s.dropDecision(ex)
	for _, a := range ex.activities {
		s.dropActivity(a)
	}
	for _, t := range ex.timers {
		s.stop(t.alarm)
	}
	clear(ex.timers)
}

// terminate closes a run at once and treats its children by the policy of the event.
func (s *Server) terminate(ex *execution, attributes object) {
	s.finish(ex, "WorkflowExecutionTerminated", "TERMINATED", attributes)
	s.tellParent(ex, "ChildWorkflowExecutionTerminated", nil)
	s.applyChildPolicy(ex, attributes.text("childPolicy"))
}

// timeOut is the end of executionStartToCloseTimeout. "Exceeding this limit causes the workflow execution to time out".
func (s *Server) timeOut(ex *execution) {
	s.finish(ex, "WorkflowExecutionTimedOut", "TIMED_OUT", object{"timeoutType": "START_TO_CLOSE", "childPolicy": ex.config.childPolicy})
	s.tellParent(ex, "ChildWorkflowExecutionTimedOut", object{"timeoutType": "START_TO_CLOSE"})
	s.applyChildPolicy(ex, ex.config.childPolicy)
}

// requestCancel records the request; "It is up to the decider to take appropriate actions".
func (s *Server) requestCancel(ex *execution, attributes object) {
	ex.cancelRequested = true
	s.add(ex, "WorkflowExecutionCancelRequested", attributes)
	s.wake(ex)
}

// signal records a signal "and creates a decision task".
func (s *Server) signal(ex *execution, in object, from object) {
	s.add(ex, "WorkflowExecutionSignaled", object{"externalInitiatedEventId": int64(0)}.take(in, "signalName", "input").and(from))
	s.wake(ex)
}

// year is the longest that a run may last.
const year = 365 * 24 * time.Hour

// checkExecutionTimeout refuses NONE and more than a year; the kind of the error is assumed.
func checkExecutionTimeout(member string, in object) error {
	text := in.text(member)
	if d, limited := seconds(text); text == "" || limited && d <= year {
		return nil
	}
	return invalidMembers([]string{fmt.Sprintf(
		"Value '%s' at '%s' failed to satisfy constraint: Member must be a number of seconds, at most a year", text, member)})
}

func (s *Server) startWorkflowExecution(in object) (object, error) {
	if err := checkExecutionTimeout("executionStartToCloseTimeout", in); err != nil {
		return nil, err
	}
	d, t, err := s.typeOf(workflowTypes, in)
	if err != nil {
		return nil, err
	}
	if d.deprecated { // assumed: the API reference names no fault for it
		return nil, unknownf("Unknown domain: %s", d.name)
	}
	if !t.deprecated.IsZero() {
		return nil, faultf("TypeDeprecatedFault", "%s", t.key.name)
	}
	config, missing := resolve(in, t)
	switch {
	case missing != "":
		return nil, faultf("DefaultUndefinedFault", "%s", missing)
	case d.open[in.text("workflowId")] != nil:
		// "You cannot have two open workflow executions with the same workflowId at the same time within the same domain."
		return nil, faultf("WorkflowExecutionAlreadyStartedFault", "Already Started")
	case len(d.open) >= s.limits.OpenExecutions:
		return nil, faultf("LimitExceededFault", "Open workflow executions limit exceeded")
	}
	ex := s.begin(run{
		domain: d, workflowID: in.text("workflowId"), typ: t, config: config, attributes: object{}.take(in, "input", "tagList"),
	})
	return object{"runId": ex.runID}, nil
}

// findOpen finds the run of a signal, a request to cancel or a termination. "If a runId isn't specified, then the ... event is
// recorded in the history of the current open workflow with the matching workflowId in the domain. If the specified workflow
// execution isn't open, this method fails with UnknownResource".
func (s *Server) findOpen(d *domain, workflowID, runID string) *execution {
	ex := d.open[workflowID]
	if ex == nil || runID != "" && runID != ex.runID {
		return nil
	}
	return ex
}

func (s *Server) openRun(in object) (*execution, error) {
	d, err := s.domain(in.text("domain"))
	if err != nil {
		return nil, err
	}
	ex := s.findOpen(d, in.text("workflowId"), in.text("runId"))
	if ex == nil {
		return nil, unknownExecution(in.text("workflowId"), in.text("runId"))
	}
	return ex, nil
}

// Signal records a signal count times in the open run of an id, as if many calls had sent it: so a test makes a long history.
// It reports whether there is such a run.
func (s *Server) Signal(domain, workflowID, name, input string, count int) bool {
	s.lock()
	defer s.unlock()
	d := s.domains[domain]
	if d == nil || d.open[workflowID] == nil {
		return false
	}
	ex := d.open[workflowID]
	for range count {
		s.signal(ex, object{"signalName": name, "input": input}, nil)
	}
	return true
}

func (s *Server) signalWorkflowExecution(in object) (object, error) {
	ex, err := s.openRun(in)
	if err != nil {
		return nil, err
	}
	s.signal(ex, in, nil)
	return nil, nil
}

func (s *Server) requestCancelWorkflowExecution(in object) (object, error) {
	ex, err := s.openRun(in)
	if err != nil {
		return nil, err
	}
	s.requestCancel(ex, object{"externalInitiatedEventId": int64(0)})
	return nil, nil
}

func (s *Server) terminateWorkflowExecution(in object) (object, error) {
	ex, err := s.openRun(in)
	if err != nil {
		return nil, err
	}
	// "If set, specifies the policy to use for the child workflow executions of the workflow execution being terminated. This policy
	// overrides the child policy specified for the workflow execution at registration time or when starting the execution."
	attributes := object{"childPolicy": ex.config.childPolicy, "cause": "OPERATOR_INITIATED"}
	s.terminate(ex, attributes.take(in, "reason", "details", "childPolicy"))
	return nil, nil
}

// anyRun finds an open or closed run.
func (s *Server) anyRun(in object) (*execution, error) {
	d, err := s.domain(in.text("domain"))
	if err != nil {
		return nil, err
	}
	id := in.sub("execution")
	ex := s.runs[id.text("runId")]
	if ex == nil || ex.domain != d || ex.workflowID != id.text("workflowId") {
		return nil, unknownExecution(id.text("workflowId"), id.text("runId"))
	}
	return ex, nil
}

func (ex *execution) info() object {
	info := object{
		"execution": ex.wire(), "workflowType": ex.typ.key.wire(), "startTimestamp": stamp(ex.started),
		"executionStatus": "OPEN", "cancelRequested": ex.cancelRequested,
	}
	if !ex.isOpen() {
		info["executionStatus"], info["closeStatus"], info["closeTimestamp"] = "CLOSED", ex.closeStatus, stamp(ex.closed)
	}
	if ex.parent != nil {
		info["parent"] = ex.parent.wire()
	}
	if ex.tags != nil {
		info["tagList"] = ex.tags
	}
	return info
}

func (s *Server) describeWorkflowExecution(in object) (object, error) {
	ex, err := s.anyRun(in)
	if err != nil {
		return nil, err
	}
	counts := object{
		"openActivityTasks": len(ex.activities), "openDecisionTasks": 0, "openTimers": len(ex.timers),
		"openChildWorkflowExecutions": len(ex.children), "openLambdaFunctions": len(ex.lambdas),
	}
	if ex.decision != nil {
		counts["openDecisionTasks"] = 1
	}
	out := object{"executionInfo": ex.info(), "executionConfiguration": ex.config.wire(), "openCounts": counts}
	if !ex.latestActivity.IsZero() {
		out["latestActivityTaskTimestamp"] = stamp(ex.latestActivity)
	}
	if ex.executionContext != nil {
		out["latestExecutionContext"] = ex.executionContext
	}
	return out, nil
}
