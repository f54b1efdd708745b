package history

import (
	"slices"
	"strings"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Inbox is what has come to a run and is not consumed.
type Inbox struct {
	Messages []lambdabiz.Message // in the order in which they came
	keys
}

// messageNumber is the number of the message that came with an event: there is room for those that a start
// brings along.
func messageNumber(event int64) int64 { return event << 16 }

func newInbox() Inbox { return Inbox{keys: keys{known: map[string]bool{}}} }

func (i *Inbox) clone() Inbox { return Inbox{slices.Clone(i.Messages), i.keys.clone()} }

// event puts an event into the inbox, and reports false for one whose key was seen.
func (i *Inbox) event(number int64, name, key string, data lambdabiz.Payload, at time.Time) bool {
	if key != "" && !i.add(hashOf(key)) {
		return false
	}
	if strings.HasPrefix(key, OwnKey) {
		key = ""
	}
	i.receive(&lambdabiz.Message{
		Number: number, Kind: lambdabiz.MessageEvent, Name: name, Key: key, Payload: data, ArrivedAt: at,
	})
	return true
}

func (i *Inbox) receive(m *lambdabiz.Message) { i.Messages = append(i.Messages, *m) }

// consume removes messages by their numbers. A request to cancel stays.
func (i *Inbox) consume(numbers []int64) {
	i.Messages = slices.DeleteFunc(i.Messages, func(m lambdabiz.Message) bool {
		return m.Kind != lambdabiz.MessageCancel && slices.Contains(numbers, m.Number)
	})
}

// dropPauses removes what says that the run is paused.
func (i *Inbox) dropPauses() {
	i.Messages = slices.DeleteFunc(i.Messages, func(m lambdabiz.Message) bool { return m.Kind == lambdabiz.MessagePause })
}

// hasEvent reports whether an event of the name has come later than a history event, and by a time.
func (i *Inbox) hasEvent(name string, later int64, by time.Time) bool {
	return slices.ContainsFunc(i.Messages, func(m lambdabiz.Message) bool {
		return m.Kind == lambdabiz.MessageEvent && m.Name == name && m.Number > messageNumber(later) && !m.ArrivedAt.After(by)
	})
}
