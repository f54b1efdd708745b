package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// pace is how long the model and each tool take.
var pace time.Duration

// scripted is a model without a network: it plays a conversation that goes on by what the tools have said. A real one gets
// the same conversation, and its answers are recorded in the same way.
var scripted = lambdabiz.NewTask("Model", func(ctx context.Context, conversation []Message) (Message, error) {
	info, _ := lambdabiz.TaskInfoFrom(ctx)
	fmt.Printf("  model is asked; messages so far: %d\n", len(conversation))
	if err := wait(ctx); err != nil {
		return Message{}, err
	}
	if len(conversation) == 1 && info.Attempt == 1 {
		fmt.Println("  model is overloaded")
		return Message{}, errors.New("overloaded, try again later")
	}
	reply := next(conversation)
	for _, c := range reply.Calls {
		fmt.Printf("  model wants %s: %s(%s)\n", c.ID, c.Tool, c.Argument)
	}
	return reply, nil
})

// next is what the model says to a conversation.
func next(conversation []Message) Message {
	said := map[string]string{}
	for _, m := range conversation {
		if m.Role == "tool" {
			said[m.For] = m.Text
		}
	}
	call := func(calls ...ToolCall) Message { return Message{Role: "model", Calls: calls} }
	switch len(said) {
	case 0:
		return call(ToolCall{"call-1", "weather", "Oslo"}, ToolCall{"call-2", "weather", "Bergen"},
			ToolCall{"call-3", "horoscope", "Oslo"})
	case 3: // the tool of call-3 does not exist: it does without
		return call(ToolCall{"call-4", "subtract", said["call-2"] + " " + said["call-1"]})
	case 4:
		return call(ToolCall{"call-5", "note", "Bergen is warmer by " + said["call-4"] + " degrees"})
	default:
		return Message{Role: "model", Text: "Bergen, by " + said["call-4"] + " degrees. I have made a note of it."}
	}
}

// tools are what the model may call.
var tools = Toolbox{
	"weather": tool("Weather", func(city string) (string, error) {
		return map[string]string{"Oslo": "11", "Bergen": "14"}[city], nil
	}),
	"subtract": tool("Subtract", func(numbers string) (string, error) {
		a, b, _ := strings.Cut(numbers, " ")
		x, errX := strconv.Atoi(a)
		y, errY := strconv.Atoi(b)
		return strconv.Itoa(x - y), errors.Join(errX, errY)
	}),
	"note": tool("Note", func(string) (string, error) { return "noted", nil }),
}

// tool makes a task of a function, which prints that it is called.
func tool(name string, f func(argument string) (string, error)) *lambdabiz.Task[string, string] {
	return lambdabiz.NewTask(name, func(ctx context.Context, argument string) (string, error) {
		fmt.Printf("  tool %s(%s) is called\n", name, argument)
		if err := wait(ctx); err != nil {
			return "", err
		}
		return f(argument)
	})
}

func wait(ctx context.Context) error {
	select {
	case <-time.After(pace):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
