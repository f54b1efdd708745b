package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lambdabiz/lambdabiz"
)

// Form is what somebody wants to have approved.
type Form struct {
	What     string
	Day      time.Duration // how long a day lasts; 24 hours unless somebody is in a hurry
	Calendar []Entry       // in the order of the days
	Expires  int           // the day after which nobody waits any more
}

// Entry is a mail that is sent on a day if there is no answer by then. Day 0 is the day on which the form is handed in.
type Entry struct {
	Day         int
	To, Subject string
}

// Answer is the payload of the event Answer, and the result.
type Answer struct {
	By       string
	Approved bool
}

// errExpired says that nobody answered. Main registers it, so that callers recognise it after a restart too.
var errExpired = errors.New("nobody has answered in time")

// define makes the orchestration: a race between the answer and the calendar. While it waits it costs nothing but a few
// rows, and no process needs to run. An answer that came in time wins, even if it is seen later.
func define(sendMail *lambdabiz.Task[Entry, string]) *lambdabiz.Definition[Form, Answer] {
	return lambdabiz.Define("Approval", func(o lambdabiz.Context, in Form) (Answer, error) {
		// The days count from here. A step records the time: a clock would tell another one when this runs again.
		begun, err := lambdabiz.Step(o, "begun", func(context.Context) (time.Time, error) { return time.Now(), nil })
		if err != nil {
			return Answer{}, err
		}
		answer := lambdabiz.Go(o, "answer", func(o lambdabiz.Context) (Answer, error) {
			return lambdabiz.WaitForEvent[Answer](o, "Answer")
		})
		calendar := lambdabiz.Go(o, "calendar", func(o lambdabiz.Context) (struct{}, error) {
			return struct{}{}, in.follow(o, begun, sendMail)
		})
		winner, err := lambdabiz.Race(o, "first", answer, calendar)
		if err != nil {
			return Answer{}, err
		}
		if winner == 0 {
			return answer.Wait(o)
		}
		if _, err := calendar.Wait(o); err != nil {
			return Answer{}, err
		}
		return Answer{}, errExpired
	})
}

// follow sends the mails of the calendar, each on its day, and returns when the form expires.
func (f Form) follow(o lambdabiz.Context, begun time.Time, sendMail *lambdabiz.Task[Entry, string]) error {
	day := func(n int) time.Time { return begun.Add(time.Duration(n) * f.Day) }
	for _, entry := range f.Calendar {
		if err := lambdabiz.SleepUntil(o, fmt.Sprintf("day-%d", entry.Day), day(entry.Day)); err != nil {
			return err
		}
		_, err := lambdabiz.Call(o, fmt.Sprintf("mail-on-day-%d", entry.Day), sendMail, entry,
			lambdabiz.Retry(lambdabiz.Backoff{Attempts: 10}))
		if err != nil {
			return err
		}
	}
	return lambdabiz.SleepUntil(o, "expires", day(f.Expires))
}
