package fakeswf

import (
	"context"
	"slices"
	"strconv"
	"time"
)

// taskList holds the tasks that wait for a poller, or the pollers that wait for a task.
type taskList struct {
	tasks   []*task
	waiting []*poller
}

// task is scheduled and not started. "Higher numbers indicate higher priority"; those of one priority keep their order (assumed).
type task struct {
	list     *taskList
	priority int64
	start    func(in object) object // starts it for this poll and returns the answer
}

type poller struct {
	in     object
	answer chan object // has room for one
}

func listOf(lists map[string]*taskList, name string) *taskList {
	l := lists[name]
	if l == nil {
		l = &taskList{}
		lists[name] = l
	}
	return l
}

// offer gives the task to the poller that waits longest, or keeps it.
func (l *taskList) offer(priority string, start func(in object) object) *task {
	if len(l.waiting) > 0 {
		p := l.waiting[0]
		l.waiting = l.waiting[1:]
		p.answer <- start(p.in)
		return nil
	}
	n, err := strconv.ParseInt(priority, 10, 32)
	if err != nil { // "The default is 0"
		n = 0
	}
	t := &task{list: l, priority: n, start: start}
	at := len(l.tasks)
	for at > 0 && l.tasks[at-1].priority < n {
		at--
	}
	l.tasks = slices.Insert(l.tasks, at, t)
	return t
}

// withdraw takes a task back that no poller has.
func (t *task) withdraw() {
	if t != nil {
		t.list.tasks = slices.DeleteFunc(t.list.tasks, func(other *task) bool { return other == t })
	}
}

// poll answers with a task, or waits for one: "the service holds the HTTP connection open and responds as soon a task becomes
// available". If the client gives up at the moment in which it gets a task, the task stays started and is lost.
func (s *Server) poll(ctx context.Context, in object, lists func(*domain) map[string]*taskList, empty object) (object, error) {
	s.lock()
	l, p, answer, err := s.join(in, lists)
	if p == nil {
		s.unlock()
		return answer, err
	}
	over := make(chan struct{})
	a := s.after(s.cfg.PollWait, func() { close(over) })
	s.unlock()

	var elapsed <-chan time.Time
	if s.cfg.Clock != nil {
		timer := time.NewTimer(s.cfg.PollWait)
		defer timer.Stop()
		elapsed = timer.C
	}
	select {
	case answer = <-p.answer:
	case <-over:
	case <-elapsed:
	case <-ctx.Done():
	case <-s.done.Done():
	}
	s.lock()
	defer s.unlock()
	s.stop(a)
	l.waiting = slices.DeleteFunc(l.waiting, func(other *poller) bool { return other == p })
	if answer == nil {
		select {
		case answer = <-p.answer:
		default:
			answer = empty
		}
	}
	return answer, nil
}

// join takes a waiting task or becomes a poller.
func (s *Server) join(in object, lists func(*domain) map[string]*taskList) (*taskList, *poller, object, error) {
	if s.closed {
		return nil, nil, nil, errClosed
	}
	d, err := s.domain(in.text("domain"))
	if err != nil {
		return nil, nil, nil, err
	}
	l := listOf(lists(d), in.sub("taskList").text("name"))
	if len(l.tasks) > 0 {
		t := l.tasks[0]
		l.tasks = l.tasks[1:]
		return l, nil, t.start(in), nil
	}
	if len(l.waiting) >= s.limits.Pollers { // a quota of the developer guide
		return nil, nil, nil, faultf("LimitExceededFault", "Too many pollers on the task list")
	}
	p := &poller{in: in, answer: make(chan object, 1)}
	l.waiting = append(l.waiting, p)
	return l, p, nil, nil
}

func (s *Server) countPendingDecisionTasks(in object) (object, error) {
	return s.countPending(in, decisionLists)
}

func (s *Server) countPendingActivityTasks(in object) (object, error) {
	return s.countPending(in, activityLists)
}

func decisionLists(d *domain) map[string]*taskList { return d.decisions }
func activityLists(d *domain) map[string]*taskList { return d.activities }

// countPending counts the tasks that wait. A list that nobody named has none.
func (s *Server) countPending(in object, lists func(*domain) map[string]*taskList) (object, error) {
	d, err := s.domain(in.text("domain"))
	if err != nil {
		return nil, err
	}
	out := object{"count": 0, "truncated": false}
	if l := lists(d)[in.sub("taskList").text("name")]; l != nil {
		out["count"] = len(l.tasks)
	}
	return out, nil
}
