package lambdabiz

import "time"

// WorkerInfo describes a worker that joins.
type WorkerInfo struct {
	Names   []string `json:"names"`   // the definitions that it serves
	Version string   `json:"version"` // of its code
	Host    string   `json:"host"`
	PID     int      `json:"pid"`

	// Codec names the type of a codec of its own; "" for the default. A client without it can write nothing that
	// the worker could read.
	Codec string `json:"codec,omitempty"`

	// Lease is how long the worker may be silent before another one takes over from it; 0 if it does not say.
	Lease time.Duration `json:"lease,omitempty"`
}

// WorkerRecord is a registered worker.
type WorkerRecord struct {
	WorkerInfo
	Number   int64     `json:"number"`
	Beat     int64     `json:"beat"` // moves with every Renew
	JoinedAt time.Time `json:"joinedAt"`
	Gone     bool      `json:"gone"` // the backend knows that its process has ended
}

// ClaimRequest asks for work.
type ClaimRequest struct {
	Worker int64
	Names  []string      // the definitions that the worker serves
	Limit  int           // runs at most: the worker has room for no more; 0 asks for messages, and for Claims.More
	Now    time.Time     // decides what is due
	After  int64         // Claims.Through of the last answer that this worker has had; 0 at first
	Wait   time.Duration // how long a long poll may take

	// Hand is an orchestration id, to be driven by hand; of the fields above only Now and Wait count.
	Hand string
	// Follows, with Hand where commits end claims: claim the run as a worker would, when it is due again
	// after the caller's commit that ended this claim. If another caller has claimed it since, ErrFenced. While it
	// is paused it comes at once, unclaimed, as it would without Follows.
	Follows *RunRef
}

// Claims is the answer to a ClaimRequest.
type Claims struct {
	Runs    []Claimed
	Arrived []Arrival // for runs that the worker already holds
	// Through is the next request's After. What it means is the backend's: a number of messages where one counter numbers
	// those of all runs, that of the answer where messages are numbered in their run; it never goes down. What an answer has
	// Arrived, the backend hands out again until a request names its Through, or a later one, for an answer may be lost;
	// with an earlier After it hands out all again that the worker may not have had since. Doing it twice harms nobody.
	Through  int64
	NextWake time.Time // when a run will be due; zero if none is known

	// Quiet is how long the worker need not ask again unless it is told: by [Waker], by [Watched].Work or by NextWake. 0 for
	// Config.PollInterval, which is the least. A backend gives it as long as it hears of what others change, and makes
	// Wake receive when it does not any more. Without a Waker it means nothing.
	Quiet time.Duration

	More bool // more is due than Limit allowed; with a Limit of 0 too, so that the worker makes room
}

// Claimed is a run with the right to write it.
//
// A run is due when it is open, neither held nor paused nor driven by hand, and its WakeAt has passed
// or, unless it is blocked, a message has arrived since it was released. A new run is due at once.
//
// A worker is given no run that its own version has blocked while a registered worker of another version has the run's
// name: that one shall get it. Claims.More and NextWake do not speak of it then. Supervised homes do not know.
type Claimed struct {
	Record
	Ref     RunRef
	Crashes int // holders in a row that died holding it without a new record

	// Follows is the fence of the last commit that was applied, where commits end claims. The engine keeps
	// its copy of the run if that commit was its own last one; else it starts afresh from Record, which
	// is always whole.
	Follows int64

	Until time.Time // when the claim ends if no commit does before; zero for never
}

// Record is a run as it is stored.
type Record struct {
	RunInfo
	Operations []Operation // in the order of their numbers
	Messages   []Message   // unconsumed, in order
}

// RunRef is a run and the right to write it.
type RunRef struct {
	ID     string
	RunID  string
	Fence  int64 // grows with every claim
	Handle any   // the backend's own: a row number, a task token
}

// Arrival is messages for a run that is held.
type Arrival struct {
	Ref      RunRef
	Messages []Message
}

// MessageKind says what a message is.
type MessageKind uint8

// The kinds of messages.
const (
	MessageEvent  MessageKind = iota + 1 // a named event
	MessageChild                         // a child has ended
	MessageCancel                        // the run shall end
	MessagePause                         // the run shall be released
	MessageDrop                          // the event whose number is Operation shall be removed
)

// Message is something that arrived for a run. Cancel messages are never consumed.
type Message struct {
	Number    int64 // grows with arrival within a run, and in those that continue it
	Kind      MessageKind
	Name      string // an event's name
	Key       string // the sender's, for deduplication
	Payload   Payload
	ArrivedAt time.Time // the sender's clock

	Operation int64    // the child's operation; the number of the event to be dropped
	Status    Status   // of the child
	Error     *Failure // of the child; the reason of a cancellation or a pause, its Message of a pause; nil for none
}
