package plan_test

import (
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/plan"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

func TestWhatTheEngineNeedNotSee(t *testing.T) {
	t.Parallel()
	waiting := func(o lambdabiz.Operation) func(s *story) {
		return func(s *story) { s.recorded(recordOf(o, func(r *wire.Record) { r.Attempt = &wire.Attempt{} })) }
	}
	for name, c := range map[string]struct {
		history func(s *story)
		want    []string
		again   bool
	}{
		"nothing":           {history: func(*story) {}},
		"what waits begins": {history: waiting(taskOp(1, "a", "F")), want: []string{"function a~1 F(1) within 900 s"}},
		"not while it is paused": {history: func(s *story) {
			waiting(taskOp(1, "a", "F"))(s)
			s.signal("", wire.Signal{Kind: wire.SignalPause})
		}},
		"what SWF never takes is for the engine": {
			history: waiting(with(taskOp(1, "a", "F"), func(o *lambdabiz.Operation) { o.Input = lambdabiz.Payload("\xff") })),
			want:    []string{"timer ~wake~4 in 0 s"}, again: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := begin(t)
			c.history(s)
			task := s.task()
			a := answer(t, task, func() *plan.Draft { return plan.Pass(config, task) }, plan.Found{})
			wantDecisions(t, a, c.want...)
			if !a.Journal.Skip || a.Journal.Again != c.again {
				t.Errorf("%+v", a.Journal)
			}
		})
	}
}

// TestAPausedRunWantsNothing from outside: its children are asked to end when it goes on.
func TestAPausedRunWantsNothing(t *testing.T) {
	t.Parallel()
	s := begin(t).recorded(recordOf(childOp(1, "c"))).child(1, "home of C").recorded(recordOf(with(childOp(1, "c"), cancelled)))
	if wants := plan.Pass(config, s.task()).Wants; len(wants.Children) != 1 {
		t.Errorf("%+v", wants)
	}
	s.signal("", wire.Signal{Kind: wire.SignalPause})
	if wants := plan.Pass(config, s.task()).Wants; len(wants.Children) > 0 {
		t.Errorf("%+v", wants)
	}
}

func TestATaskThatIsGivenBackComesAgain(t *testing.T) {
	t.Parallel()
	a := plan.GiveBack(7, epoch, 30*time.Second)
	wantDecisions(t, a, "timer ~wake~7 in 30 s")
	if !a.Journal.Skip {
		t.Errorf("%+v", a.Journal)
	}
}
