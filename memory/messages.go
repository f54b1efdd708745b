package memory

import (
	"cmp"
	"slices"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/internal/rules"
)

// messages is the inbox of a run, in the order of the numbers, which are above 0. What is removed keeps its place
// until half of all places are empty, so that an inbox of n is emptied in n steps, in whatever order.
type messages struct {
	list []lambdabiz.Message // those without a kind are removed; the last one is not
	gone int
}

func (m *messages) add(message lambdabiz.Message) { m.list = append(m.list, message) }

// last is the highest number; 0 if there is none.
func (m *messages) last() int64 {
	if len(m.list) == 0 {
		return 0
	}
	return m.list[len(m.list)-1].Number
}

// remove takes a message out, unless it is a cancellation.
func (m *messages) remove(number int64) {
	i, found := slices.BinarySearchFunc(m.list, number, func(x lambdabiz.Message, n int64) int {
		return cmp.Compare(x.Number, n)
	})
	if !found || m.list[i].Kind == 0 || rules.Stays(m.list[i].Kind) {
		return
	}
	m.list[i] = lambdabiz.Message{Number: number}
	m.gone++
	for n := len(m.list); n > 0 && m.list[n-1].Kind == 0; n-- {
		m.list = m.list[:n-1]
		m.gone--
	}
	if m.gone > 16 && m.gone > len(m.list)/2 {
		m.list, m.gone = slices.DeleteFunc(m.list, func(x lambdabiz.Message) bool { return x.Kind == 0 }), 0
	}
}

// withdraw takes out those of a kind.
func (m *messages) withdraw(kind lambdabiz.MessageKind) {
	for _, x := range m.above(0) {
		if x.Kind == kind {
			m.remove(x.Number)
		}
	}
}

// above returns copies of the messages with higher numbers.
func (m *messages) above(number int64) []lambdabiz.Message {
	i := len(m.list)
	for i > 0 && m.list[i-1].Number > number {
		i--
	}
	if i == len(m.list) {
		return nil
	}
	found := make([]lambdabiz.Message, 0, len(m.list)-i)
	for _, x := range m.list[i:] {
		if x.Kind != 0 {
			found = append(found, x)
		}
	}
	return cloneMessages(found)
}

// move takes out those that are wanted, and adds them to another inbox.
func (m *messages) move(to *messages, wanted func(lambdabiz.Message) bool) {
	for _, x := range m.list {
		if x.Kind != 0 && wanted(x) {
			to.add(x)
		}
	}
	m.list, m.gone = slices.DeleteFunc(m.list, func(x lambdabiz.Message) bool { return x.Kind == 0 || wanted(x) }), 0
}
