package fakeswf

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"time"
)

// decisionTask is scheduled, and started if startedID is set. A run has at most one, as
// the model says of openDecisionTasks: at most 1.
type decisionTask struct {
	scheduledID int64
	startedID   int64
	task        *task
	alarm       *alarm
}

// stickyList is the override of a run's task list by a decider.
type stickyList struct {
	name    string
	timeout string // "" for ever
}

// wake makes a decision task for what just happened, or sees that one comes after the open one.
func (s *Server) wake(ex *execution) {
	switch {
	case !ex.isOpen():
	case ex.deciding || ex.decision != nil && ex.decision.startedID > 0:
		ex.dirty = true
	case ex.decision == nil:
		s.schedule(ex)
	}
}

func (s *Server) schedule(ex *execution) {
	ex.dirty = false
	name := ex.config.taskList
	attributes := object{"startToCloseTimeout": ex.config.decisionTimeout}.put("taskPriority", ex.config.priority)
	if ex.sticky.name != "" {
		name = ex.sticky.name
		attributes.put("scheduleToStartTimeout", ex.sticky.timeout)
	}
	attributes["taskList"] = object{"name": name}
	d := &decisionTask{}
	ex.decision = d
	if d.scheduledID = s.add(ex, "DecisionTaskScheduled", attributes); !ex.isOpen() {
		return
	}
	if ex.sticky.name != "" {
		d.alarm = s.afterText(ex.sticky.timeout, func() { s.expireSticky(ex, d) })
	}
	d.task = listOf(ex.domain.decisions, name).offer(ex.config.priority, func(in object) object { return s.startDecision(ex, d, in) })
}

// expireSticky follows "If a decision task scheduled on the override task list is not started within the timeout, the decision task
// will time out. Amazon SWF will revert the override and schedule a new decision task to the original task list".
func (s *Server) expireSticky(ex *execution, d *decisionTask) {
	d.task.withdraw()
	ex.decision, ex.sticky = nil, stickyList{}
	s.add(ex, "DecisionTaskTimedOut", object{
		"timeoutType": "SCHEDULE_TO_START", "scheduledEventId": d.scheduledID, "startedEventId": int64(0),
	})
	s.wake(ex)
}

func (s *Server) dropDecision(ex *execution) {
	if d := ex.decision; d != nil {
		d.task.withdraw()
		s.stop(d.alarm)
		ex.decision = nil
	}
}

func (s *Server) startDecision(ex *execution, d *decisionTask, in object) object {
	s.stop(d.alarm)
	d.task = nil
	d.startedID = s.add(ex, "DecisionTaskStarted", object{"scheduledEventId": d.scheduledID}.take(in, "identity"))
	if !ex.isOpen() {
		return emptyDecisionTask()
	}
	d.alarm = s.afterText(ex.config.decisionTimeout, func() { s.expireDecision(ex, d) })
	page := pageToken{
		Of: ex.runID, Started: d.startedID, Previous: ex.previousStarted, Token: taskToken("decision", ex.runID, d.startedID),
	}
	if in.flag("startAtPreviousStartedEvent") && ex.previousStarted > 0 {
		// "When set to true, returns the events with eventTimestamp greater than or equal to eventTimestamp of the most recent
		// DecisionTaskStarted event": by time, so events of the same millisecond come again. That the most recent one is that of
		// previousStartedEventId, not one that timed out, is assumed.
		since := ex.events[ex.previousStarted-1].at
		page.From = slices.IndexFunc(ex.events, func(e event) bool { return !e.at.Before(since) })
	}
	return s.decisionPage(ex, page, in)
}

// expireDecision gives the run to another decider: "the task is considered timed out" and a new one is scheduled.
func (s *Server) expireDecision(ex *execution, d *decisionTask) {
	ex.decision = nil
	s.add(ex, "DecisionTaskTimedOut", object{
		"timeoutType": "START_TO_CLOSE", "scheduledEventId": d.scheduledID, "startedEventId": d.startedID,
	})
	s.wake(ex)
}

// taskToken is opaque to clients.
func taskToken(kind, runID string, startedID int64) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s %s %d", kind, runID, startedID))
}

// parseToken finds the run of a task token.
func (s *Server) parseToken(kind, token string) (*execution, int64, error) {
	var gotKind, runID string
	var startedID int64
	text, err := base64.StdEncoding.DecodeString(token)
	if err == nil {
		_, err = fmt.Sscanf(string(text), "%s %s %d", &gotKind, &runID, &startedID)
	}
	if err != nil || gotKind != kind {
		return nil, 0, invalidf("Invalid token")
	}
	ex := s.runs[runID]
	if ex == nil {
		return nil, 0, unknownf("Unknown execution, runId = %s", runID)
	}
	if !ex.isOpen() {
		return nil, 0, unknownExecution(ex.workflowID, ex.runID)
	}
	return ex, startedID, nil
}

func emptyDecisionTask() object {
	return object{"startedEventId": int64(0), "previousStartedEventId": int64(0)}
}

func (s *Server) pollForDecisionTask(ctx context.Context, in object) (object, error) {
	token, err := parsePage(in)
	if err != nil {
		return nil, err
	}
	if token.Position == 0 {
		return s.poll(ctx, in, decisionLists, emptyDecisionTask())
	}
	// "To retrieve subsequent pages, make additional calls to PollForDecisionTask using the nextPageToken returned by the initial
	// call." Pages are given out even if the task has timed out meanwhile (assumed).
	s.lock()
	defer s.unlock()
	ex := s.runs[token.Of]
	if ex == nil || token.Started == 0 {
		return nil, invalidf("Invalid token")
	}
	return s.decisionPage(ex, token, in), nil
}

// decisionPage is one page of the history that a decision task shows: up to its own started event.
func (s *Server) decisionPage(ex *execution, token pageToken, in object) object {
	events, more := s.eventPage(ex.events[:token.Started], token.From, &token.Position, in)
	out := object{
		"taskToken": token.Token, "startedEventId": token.Started, "previousStartedEventId": token.Previous,
		"workflowExecution": ex.wire(), "workflowType": ex.typ.key.wire(), "events": events,
	}
	if more {
		out["nextPageToken"] = token.String()
	}
	return out
}

func (s *Server) respondDecisionTaskCompleted(in object) (object, error) {
	ex, startedID, err := s.parseToken("decision", in.text("taskToken"))
	if err != nil {
		return nil, err
	}
	d := ex.decision
	if d == nil || d.startedID != startedID {
		return nil, unknownf("Unknown decision task, startedEventId = %d", startedID)
	}
	decisions := in.list("decisions")
	if err := checkDecisions(decisions); err != nil {
		return nil, err
	}
	s.stop(d.alarm)
	unhandled := ex.dirty && !s.cfg.CloseAnyway
	ex.decision, ex.previousStarted, ex.deciding = nil, d.startedID, true
	attributes := object{"scheduledEventId": d.scheduledID, "startedEventId": d.startedID}
	attributes.take(in, "executionContext", "taskList", "taskListScheduleToStartTimeout")
	if in.has("executionContext") {
		ex.executionContext = in["executionContext"]
	}
	if list := in.sub("taskList").text("name"); list != "" {
		ex.sticky = stickyList{name: list, timeout: in.text("taskListScheduleToStartTimeout")}
	}
	answer := decisionAnswer{completedID: s.add(ex, "DecisionTaskCompleted", attributes), unhandled: unhandled}
	for _, decision := range decisions {
		s.decide(ex, answer, decision)
	}
	ex.deciding = false
	if ex.isOpen() && ex.dirty {
		s.schedule(ex)
	}
	return nil, nil
}

// closing are the decisions that end a run.
var closing = []string{
	"CompleteWorkflowExecution", "FailWorkflowExecution", "CancelWorkflowExecution", "ContinueAsNewWorkflowExecution",
}

func attributesMember(decision string) string {
	return lowerFirst(decision) + "DecisionAttributes"
}

// checkDecisions refuses the whole answer: a decision without the attributes that it must have, and decisions after a closing one
// ("Close must be last decision in list"; both messages as observed by the authors of moto).
func checkDecisions(decisions []object) error {
	var problems []string
	for i, decision := range decisions {
		kind := decision.text("decisionType")
		member := attributesMember(kind)
		if !decision.has(member) {
			shape := model().Shapes[upperFirst(member)]
			if len(shape.Required) > 0 {
				problems = append(problems, fmt.Sprintf(
					"Value null at 'decisions.%d.member.%s' failed to satisfy constraint: Member must not be null", i+1, member))
			}
		}
		if timeout := decision.sub(member).text("startToCloseTimeout"); kind == "ScheduleLambdaFunction" && timeout != "" {
			if d, limited := seconds(timeout); !limited || d < time.Second || d > maxLambda {
				problems = append(problems, fmt.Sprintf("Value '%s' at 'decisions.%d.member.%s.startToCloseTimeout' failed to "+
					"satisfy constraint: Member must be an integer from 1 to 900", timeout, i+1, member))
			}
		}
		if slices.Contains(closing, kind) && i < len(decisions)-1 {
			return invalidf("Close must be last decision in list")
		}
	}
	if problems != nil {
		return invalidMembers(problems)
	}
	return nil
}
