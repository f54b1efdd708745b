package swf

import (
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz/aws/swf/internal/history"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/plan"
	"github.com/lambdabiz/lambdabiz/aws/swf/internal/wire"
)

// task is a decision task with the run's fold.
type task struct {
	token string
	fence int64
	fold  *history.Fold
	exec  *types.WorkflowExecution
	list  string
	until time.Time // when SWF takes the task back
	tries int       // that have failed
}

// answerTime is kept of a decision's time for the way of its task here and of the answer back.
const answerTime = time.Second

// handle is the right to answer a decision task: lambdabiz.RunRef.Handle.
type handle struct {
	*task
	owner string // of a run driven by hand: the caller's last claim

	mu       sync.Mutex
	answered bool
	steps    int64 // journals that were sent as signals

	// A journal was sent as a signal: SWF will not let this decision close the run, and gives another one
	// after it, if the signal arrived, which only signalled says for sure.
	signals, signalled bool
	sent               int64 // signals: events that the fold does not have
}

// planned is the decision task for a plan.
func (h *handle) planned() plan.Task {
	return plan.Task{Fold: h.fold, Fence: h.fence, Sent: h.signals, Arrived: h.signalled}
}

// mayKeep reports whether the claim may be kept with a commit that goes as a signal.
func (h *handle) mayKeep() bool {
	return time.Now().Before(h.until) && h.fold.Last+h.sent < wire.StopEvents
}
