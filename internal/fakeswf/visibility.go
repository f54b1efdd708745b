package fakeswf

import (
	"cmp"
	"slices"
	"time"
)

// executionFilters are mutually exclusive. "You can specify at most one of these in a request".
var executionFilters = []string{"executionFilter", "typeFilter", "tagFilter", "closeStatusFilter"}

// filter finds the executions of a List or Count request, newest first: "By default the results are returned in descending order of
// the start or the close time of the executions." AWS's lists are eventually consistent; these are Config.ListLag behind.
func (s *Server) filter(in object, open bool) ([]*execution, error) {
	d, err := s.domain(in.text("domain"))
	if err != nil {
		return nil, err
	}
	given := 0
	for _, member := range executionFilters {
		if in.has(member) {
			given++
		}
	}
	if given > 1 {
		return nil, invalidf("Cannot specify more than one exclusive filters in the same query")
	}
	// "startTimeFilter and closeTimeFilter are mutually exclusive. You must specify one of these in a request but not both."
	if in.has("startTimeFilter") == in.has("closeTimeFilter") {
		return nil, invalidf("Must specify exactly one of startTimeFilter and closeTimeFilter")
	}
	when, member := func(ex *execution) time.Time { return ex.started }, "startTimeFilter"
	if in.has("closeTimeFilter") {
		when, member = func(ex *execution) time.Time { return ex.closed }, "closeTimeFilter"
	}
	oldest, _ := in.sub(member).time("oldestDate")
	latest, bounded := in.sub(member).time("latestDate")
	var found []*execution
	seen := s.clock.Now().Add(-s.cfg.ListLag)
	for _, ex := range d.runs {
		listed := ex.isListed(seen) && ex.isListedOpen(seen) == open
		if listed && ex.matches(in) && !when(ex).Before(oldest) && (!bounded || !when(ex).After(latest)) {
			found = append(found, ex)
		}
	}
	slices.Reverse(found)
	slices.SortStableFunc(found, func(a, b *execution) int { return cmp.Compare(when(b).UnixNano(), when(a).UnixNano()) })
	return found, nil
}

// isListed reports whether the lists that show what was at a time have the execution.
func (ex *execution) isListed(at time.Time) bool { return !ex.started.After(at) }

// isListedOpen reports whether an execution was open at a time.
func (ex *execution) isListedOpen(at time.Time) bool { return ex.isOpen() || ex.closed.After(at) }

func (ex *execution) matches(in object) bool {
	kind := in.sub("typeFilter")
	switch {
	case in.has("executionFilter"):
		return ex.workflowID == in.sub("executionFilter").text("workflowId")
	case in.has("typeFilter"):
		return ex.typ.key.name == kind.text("name") && (kind.text("version") == "" || kind.text("version") == ex.typ.key.version)
	case in.has("tagFilter"):
		return slices.Contains(ex.tags, any(in.sub("tagFilter").text("tag")))
	case in.has("closeStatusFilter"):
		return ex.closeStatus == in.sub("closeStatusFilter").text("status")
	default:
		return true
	}
}

func (s *Server) listExecutions(in object, open bool) (object, error) {
	found, err := s.filter(in, open)
	if err != nil {
		return nil, err
	}
	infos := make([]object, 0, len(found))
	for _, ex := range found {
		info := ex.info()
		if open { // it may have closed since the list was made
			info["executionStatus"] = "OPEN"
			delete(info, "closeStatus")
			delete(info, "closeTimestamp")
		}
		infos = append(infos, info)
	}
	return s.pageOf("executionInfos", infos, in)
}

func (s *Server) countExecutions(in object, open bool) (object, error) {
	found, err := s.filter(in, open)
	if err != nil {
		return nil, err
	}
	return object{"count": len(found), "truncated": false}, nil
}

func (s *Server) listOpenWorkflowExecutions(in object) (object, error) {
	return s.listExecutions(in, true)
}
func (s *Server) listClosedWorkflowExecutions(in object) (object, error) {
	return s.listExecutions(in, false)
}
func (s *Server) countOpenWorkflowExecutions(in object) (object, error) {
	return s.countExecutions(in, true)
}
func (s *Server) countClosedWorkflowExecutions(in object) (object, error) {
	return s.countExecutions(in, false)
}
