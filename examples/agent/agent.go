package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Question is what the agent starts with.
type Question struct {
	Text     string
	MaxTurns int // how often the model is asked at most
}

// Message is an entry of the conversation, which is all that the model knows.
type Message struct {
	Role  string     `json:"role"` // user, model or tool
	Text  string     `json:"text,omitempty"`
	Calls []ToolCall `json:"calls,omitempty"` // what the model wants to have called
	For   string     `json:"for,omitempty"`   // the call that a tool answers
}

// ToolCall is the model's wish to call a tool. The model gives it an id.
type ToolCall struct {
	ID       string `json:"id"`
	Tool     string `json:"tool"`
	Argument string `json:"argument"`
}

// Toolbox is what the model may call, by name.
type Toolbox map[string]*lambdabiz.Task[string, string]

// Answer is the result.
type Answer struct {
	Text         string
	Turns, Calls int
}

// define makes the agent: it asks the model, calls the tools that it wants, tells it what they said, and asks it again,
// until it answers. Each call of the model and each call of a tool is a task: what has ended is paid for once, and the
// conversation is the same when this code runs again. The tools of a turn are called at the same time.
func define(model *lambdabiz.Task[[]Message, Message], tools Toolbox) *lambdabiz.Definition[Question, Answer] {
	return lambdabiz.Define("Agent", func(o lambdabiz.Context, in Question) (Answer, error) {
		conversation := []Message{{Role: "user", Text: in.Text}}
		calls := 0
		for turn := 1; turn <= in.MaxTurns; turn++ {
			reply, err := lambdabiz.Call(o, fmt.Sprintf("model-%d", turn), model, conversation, patiently)
			if err != nil {
				return Answer{}, err
			}
			if len(reply.Calls) == 0 {
				return Answer{Text: reply.Text, Turns: turn, Calls: calls}, nil
			}
			said, err := lambdabiz.Map(o, fmt.Sprintf("tools-%d", turn), reply.Calls, ToolCall.id,
				func(o lambdabiz.Context, c ToolCall) (Message, error) { return use(o, tools, c) })
			if err != nil {
				return Answer{}, err
			}
			calls += len(said)
			conversation = append(append(conversation, reply), said...)
		}
		return Answer{}, fmt.Errorf("no answer after %d turns", in.MaxTurns)
	})
}

// use calls a tool. What goes wrong in it is told to the model, which may try something else; a cancellation is not.
func use(o lambdabiz.Context, tools Toolbox, c ToolCall) (Message, error) {
	tool, ok := tools[c.Tool]
	if !ok {
		return Message{Role: "tool", For: c.ID, Text: "error: there is no tool " + c.Tool}, nil
	}
	text, err := lambdabiz.Call(o, "call", tool, c.Argument, patiently, lambdabiz.Timeout(time.Minute))
	if errors.Is(err, lambdabiz.ErrCancelled) {
		return Message{}, err
	}
	if err != nil {
		text = "error: " + err.Error()
	}
	return Message{Role: "tool", For: c.ID, Text: text}, nil
}

// id tells the calls of a turn apart.
func (c ToolCall) id() string { return c.ID }

// patiently repeats what fails for a while, as models under load do.
var patiently = lambdabiz.Retry(lambdabiz.Backoff{Attempts: 5, Initial: 200 * time.Millisecond})
