package fakeswf

import (
	"maps"
	"slices"
)

// child is an open child of a run.
type child struct {
	run         *execution // changes when the child continues as new
	initiatedID int64
	startedID   int64
}

// startChildWorkflowExecution starts the child at once. The order of the checks is assumed.
func (s *Server) startChildWorkflowExecution(ex *execution, answer decisionAnswer, in object) string {
	key, id := keyOf(in.sub("workflowType")), in.text("workflowId")
	t := ex.domain.workflowTypes[key]
	switch {
	case t == nil:
		return "WORKFLOW_TYPE_DOES_NOT_EXIST"
	case !t.deprecated.IsZero():
		return "WORKFLOW_TYPE_DEPRECATED"
	case len(ex.children) >= s.limits.OpenChildren:
		return "OPEN_CHILDREN_LIMIT_EXCEEDED"
	case len(ex.domain.open) >= s.limits.OpenExecutions:
		return "OPEN_WORKFLOWS_LIMIT_EXCEEDED"
	}
	config, missing := resolve(in, t)
	if missing != "" {
		return undefined[missing]
	}
	attributes := answer.of(in, "workflowId", "workflowType", "control", "input", "tagList").and(config.wire())
	initiated := s.add(ex, "StartChildWorkflowExecutionInitiated", attributes)
	if ex.domain.open[id] != nil {
		s.add(ex, "StartChildWorkflowExecutionFailed", answer.of(in, "workflowId", "workflowType", "control").and(object{
			"cause": "WORKFLOW_ALREADY_RUNNING", "initiatedEventId": initiated,
		}))
		s.wake(ex)
		return ""
	}
	if !ex.isOpen() {
		return ""
	}
	c := &child{initiatedID: initiated}
	c.run = s.begin(run{
		domain: ex.domain, workflowID: id, typ: t, config: config, attributes: object{}.take(in, "input", "tagList"),
		parent: ex, initiated: initiated,
	})
	ex.children[id] = c
	c.startedID = s.add(ex, "ChildWorkflowExecutionStarted", object{
		"workflowExecution": c.run.wire(), "workflowType": key.wire(), "initiatedEventId": initiated,
	})
	s.wake(ex)
	return ""
}

// tellParent records the end of a child in its parent's history.
func (s *Server) tellParent(ex *execution, kind string, attributes object) {
	if ex.parent == nil {
		return
	}
	c := ex.parent.children[ex.workflowID]
	if c == nil || c.run != ex {
		return
	}
	delete(ex.parent.children, ex.workflowID)
	s.add(ex.parent, kind, object{
		"workflowExecution": ex.wire(), "workflowType": ex.typ.key.wire(),
		"initiatedEventId": c.initiatedID, "startedEventId": c.startedID,
	}.and(attributes))
	s.wake(ex.parent)
}

// applyChildPolicy follows "the policy to use for the child workflow executions of this workflow execution if it is terminated, by
// calling the TerminateWorkflowExecution action explicitly or due to an expired timeout": TERMINATE, REQUEST_CANCEL or ABANDON.
// Other ends leave the children alone. That the service's own termination at the event limit counts as one is assumed.
func (s *Server) applyChildPolicy(ex *execution, policy string) {
	for _, id := range slices.Sorted(maps.Keys(ex.children)) {
		c := ex.children[id]
		switch policy {
		case "TERMINATE":
			s.terminate(c.run, object{"childPolicy": c.run.config.childPolicy, "cause": "CHILD_POLICY_APPLIED"})
		case "REQUEST_CANCEL":
			s.requestCancel(c.run, object{
				"cause": "CHILD_POLICY_APPLIED", "externalWorkflowExecution": ex.wire(), "externalInitiatedEventId": int64(0),
			})
		}
	}
}

// signalExternalWorkflowExecution signals a run of the same domain, at once.
func (s *Server) signalExternalWorkflowExecution(ex *execution, answer decisionAnswer, in object) string {
	initiated := s.add(ex, "SignalExternalWorkflowExecutionInitiated",
		answer.of(in, "workflowId", "runId", "signalName", "input", "control"))
	target := s.external(ex, answer, "SignalExternalWorkflowExecution", initiated, in)
	if target == nil {
		return ""
	}
	s.signal(target, in, object{"externalWorkflowExecution": ex.wire(), "externalInitiatedEventId": initiated})
	s.add(ex, "ExternalWorkflowExecutionSignaled", object{"workflowExecution": target.wire(), "initiatedEventId": initiated})
	s.wake(ex)
	return ""
}

func (s *Server) requestCancelExternalWorkflowExecution(ex *execution, answer decisionAnswer, in object) string {
	initiated := s.add(ex, "RequestCancelExternalWorkflowExecutionInitiated", answer.of(in, "workflowId", "runId", "control"))
	target := s.external(ex, answer, "RequestCancelExternalWorkflowExecution", initiated, in)
	if target == nil {
		return ""
	}
	s.requestCancel(target, object{"externalWorkflowExecution": ex.wire(), "externalInitiatedEventId": initiated})
	s.add(ex, "ExternalWorkflowExecutionCancelRequested", object{"workflowExecution": target.wire(), "initiatedEventId": initiated})
	s.wake(ex)
	return ""
}

// external finds the open run that a decision is about, or records that there is none.
func (s *Server) external(ex *execution, answer decisionAnswer, kind string, initiated int64, in object) *execution {
	target := s.findOpen(ex.domain, in.text("workflowId"), in.text("runId"))
	if target == nil {
		s.add(ex, kind+"Failed", answer.of(in, "workflowId", "runId", "control").and(object{
			"cause": "UNKNOWN_EXTERNAL_WORKFLOW_EXECUTION", "initiatedEventId": initiated,
		}))
		s.wake(ex)
	}
	return target
}
