package fakeswf

import (
	"context"
)

// activity is a task that is scheduled, and started if startedID is set. "A task is considered open from the time that it is
// scheduled until it is closed".
type activity struct {
	ex              *execution
	id              string
	scheduled       object // the attributes of ActivityTaskScheduled
	scheduledID     int64
	startedID       int64
	cancelRequested int64 // the id of the last ActivityTaskCancelRequested
	details         any   // of the last heartbeat
	task            *task
	alarms          map[string]*alarm // by the kind of timeout
}

// activityTimeouts are members of the decision, with the defaults of the type and the causes if neither is there.
var activityTimeouts = []struct{ member, otherwise, cause string }{
	{"scheduleToCloseTimeout", "defaultTaskScheduleToCloseTimeout", "DEFAULT_SCHEDULE_TO_CLOSE_TIMEOUT_UNDEFINED"},
	{"scheduleToStartTimeout", "defaultTaskScheduleToStartTimeout", "DEFAULT_SCHEDULE_TO_START_TIMEOUT_UNDEFINED"},
	{"startToCloseTimeout", "defaultTaskStartToCloseTimeout", "DEFAULT_START_TO_CLOSE_TIMEOUT_UNDEFINED"},
	{"heartbeatTimeout", "defaultTaskHeartbeatTimeout", "DEFAULT_HEARTBEAT_TIMEOUT_UNDEFINED"},
}

// scheduleActivityTask checks type, id, limit and defaults, in this order (assumed).
func (s *Server) scheduleActivityTask(ex *execution, answer decisionAnswer, in object) string {
	id := in.text("activityId")
	t := ex.domain.activityTypes[keyOf(in.sub("activityType"))]
	switch {
	case t == nil:
		return "ACTIVITY_TYPE_DOES_NOT_EXIST"
	case !t.deprecated.IsZero():
		return "ACTIVITY_TYPE_DEPRECATED"
	case ex.activities[id] != nil:
		return "ACTIVITY_ID_ALREADY_IN_USE"
	case len(ex.activities) >= s.limits.OpenActivities:
		return "OPEN_ACTIVITIES_LIMIT_EXCEEDED"
	}
	attributes := answer.of(in, "activityType", "activityId", "input", "control")
	list := in.sub("taskList").text("name")
	if list == "" {
		list = t.defaults.sub("defaultTaskList").text("name")
	}
	if list == "" {
		return "DEFAULT_TASK_LIST_UNDEFINED"
	}
	attributes["taskList"] = object{"name": list}
	for _, timeout := range activityTimeouts {
		attributes.put(timeout.member, t.defaults.text(timeout.otherwise)).put(timeout.member, in.text(timeout.member))
		if !attributes.has(timeout.member) {
			return timeout.cause
		}
	}
	attributes.put("taskPriority", t.defaults.text("defaultTaskPriority")).put("taskPriority", in.text("taskPriority"))
	s.openActivity(&activity{ex: ex, id: id, scheduled: attributes, alarms: map[string]*alarm{}}, list)
	return ""
}

func (s *Server) openActivity(a *activity, list string) {
	a.ex.activities[a.id] = a
	a.ex.latestActivity = s.now()
	if a.scheduledID = s.add(a.ex, "ActivityTaskScheduled", a.scheduled); !a.ex.isOpen() {
		return
	}
	s.arm(a, "SCHEDULE_TO_START", "scheduleToStartTimeout")
	s.arm(a, "SCHEDULE_TO_CLOSE", "scheduleToCloseTimeout")
	a.task = listOf(a.ex.domain.activities, list).offer(a.scheduled.text("taskPriority"), func(in object) object {
		return s.startActivity(a, in)
	})
}

// arm (re)starts one of the four timeouts.
func (s *Server) arm(a *activity, kind, member string) {
	s.stop(a.alarms[kind])
	a.alarms[kind] = s.afterText(a.scheduled.text(member), func() {
		// details "Contains the content of the details parameter for the last call made by the activity to
		// RecordActivityTaskHeartbeat." Without a start, startedEventId is 0 (assumed).
		attributes := object{"timeoutType": kind}
		if a.details != nil {
			attributes["details"] = a.details
		}
		s.endActivity(a, "ActivityTaskTimedOut", attributes)
	})
}

// dropActivity forgets an open activity.
func (s *Server) dropActivity(a *activity) {
	a.task.withdraw()
	for _, alarm := range a.alarms {
		s.stop(alarm)
	}
	delete(a.ex.activities, a.id)
}

func (s *Server) endActivity(a *activity, kind string, attributes object) {
	s.dropActivity(a)
	s.add(a.ex, kind, attributes.and(object{"scheduledEventId": a.scheduledID, "startedEventId": a.startedID}))
	s.wake(a.ex)
}

func emptyActivityTask() object {
	return object{"startedEventId": int64(0)}
}

func (s *Server) startActivity(a *activity, in object) object {
	a.task = nil
	a.startedID = s.add(a.ex, "ActivityTaskStarted", object{"scheduledEventId": a.scheduledID}.take(in, "identity"))
	if !a.ex.isOpen() {
		return emptyActivityTask()
	}
	s.stop(a.alarms["SCHEDULE_TO_START"])
	s.arm(a, "START_TO_CLOSE", "startToCloseTimeout")
	s.arm(a, "HEARTBEAT", "heartbeatTimeout")
	return object{
		"taskToken": taskToken("activity", a.ex.runID, a.startedID), "startedEventId": a.startedID, "workflowExecution": a.ex.wire(),
	}.take(a.scheduled, "activityId", "activityType", "input")
}

func (s *Server) pollForActivityTask(ctx context.Context, in object) (object, error) {
	return s.poll(ctx, in, activityLists, emptyActivityTask())
}

// activityOf finds the open activity of a task token. "If the worker subsequently attempts to record a heartbeat or return a result,
// it is ignored": with UnknownResourceFault (as moto).
func (s *Server) activityOf(in object) (*activity, error) {
	ex, startedID, err := s.parseToken("activity", in.text("taskToken"))
	if err != nil {
		return nil, err
	}
	for _, a := range ex.activities {
		if a.startedID == startedID {
			return a, nil
		}
	}
	return nil, unknownf("Unknown activity, startedEventId = %d", startedID)
}

func (s *Server) recordActivityTaskHeartbeat(in object) (object, error) {
	a, err := s.activityOf(in)
	if err != nil {
		return nil, err
	}
	a.details = in["details"]
	s.arm(a, "HEARTBEAT", "heartbeatTimeout") // "This action resets the taskHeartbeatTimeout clock."
	return object{"cancelRequested": a.cancelRequested > 0}, nil
}

func (s *Server) respondActivityTaskCompleted(in object) (object, error) {
	a, err := s.activityOf(in)
	if err != nil {
		return nil, err
	}
	s.endActivity(a, "ActivityTaskCompleted", object{}.take(in, "result"))
	return nil, nil
}

func (s *Server) respondActivityTaskFailed(in object) (object, error) {
	a, err := s.activityOf(in)
	if err != nil {
		return nil, err
	}
	s.endActivity(a, "ActivityTaskFailed", object{}.take(in, "reason", "details"))
	return nil, nil
}

// respondActivityTaskCanceled is accepted without a request to cancel, too (assumed: "Only use this operation if the canceled flag of
// a RecordActivityTaskHeartbeat request returns true").
func (s *Server) respondActivityTaskCanceled(in object) (object, error) {
	a, err := s.activityOf(in)
	if err != nil {
		return nil, err
	}
	s.endActivity(a, "ActivityTaskCanceled", object{}.take(in, "details").and(a.canceled()))
	return nil, nil
}

func (a *activity) canceled() object {
	if a.cancelRequested == 0 {
		return nil
	}
	return object{"latestCancelRequestedEventId": a.cancelRequested}
}

// requestCancelActivityTask follows "If the activity task was scheduled but has not been assigned to a worker, then it is canceled.
// If the activity task was already assigned to a worker, then the worker is informed that cancellation has been requested in the
// response to RecordActivityTaskHeartbeat".
func (s *Server) requestCancelActivityTask(ex *execution, answer decisionAnswer, in object) string {
	a := ex.activities[in.text("activityId")]
	if a == nil {
		return "ACTIVITY_ID_UNKNOWN"
	}
	a.cancelRequested = s.add(ex, "ActivityTaskCancelRequested", answer.of(in, "activityId"))
	if a.startedID == 0 {
		s.endActivity(a, "ActivityTaskCanceled", a.canceled().and(object{}))
	}
	return ""
}
