package fakeswf

import "strings"

// wire is an event as it goes over the wire; its id is its place.
func (e event) wire(id int64) object {
	return object{
		"eventId": id, "eventType": e.kind, "eventTimestamp": stamp(e.at), lowerFirst(e.kind) + "EventAttributes": e.attributes,
	}
}

// eventPage takes the next page of events[from:] behind position, which it moves. "By default the results are returned in ascending
// order of the eventTimestamp of the events".
func (s *Server) eventPage(events []event, from int, position *int, in object) (page []any, more bool) {
	total := len(events) - from
	first := min(*position, total)
	last := min(first+s.pageSize(in), total)
	page = make([]any, 0, last-first)
	for i := first; i < last; i++ {
		at := from + i
		if in.flag("reverseOrder") {
			at = len(events) - 1 - i
		}
		page = append(page, events[at].wire(int64(at+1)))
	}
	*position = last
	return page, last < total
}

func (s *Server) getWorkflowExecutionHistory(in object) (object, error) {
	ex, err := s.anyRun(in)
	if err != nil {
		return nil, err
	}
	token, err := parsePage(in)
	if err != nil {
		return nil, err
	}
	if token.Position > 0 && (token.Of != ex.runID || strings.TrimSpace(token.Token) != "") {
		// "Note that you do not call GetWorkflowExecutionHistory with this nextPageToken", that of a decision task.
		return nil, invalidf("Invalid token")
	}
	token.Of = ex.runID
	events, more := s.eventPage(ex.events, 0, &token.Position, in)
	out := object{"events": events}
	if more {
		out["nextPageToken"] = token.String()
	}
	return out, nil
}
