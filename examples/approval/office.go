package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/lambdabiz/lambdabiz"
)

// calendar asks Grace, reminds her, and asks her boss after two weeks.
var calendar = []Entry{
	{Day: 0, To: "grace", Subject: "please decide"},
	{Day: 7, To: "grace", Subject: "a reminder: please decide"},
	{Day: 14, To: "ada", Subject: "grace has not answered, please decide"},
	{Day: 21, To: "ada", Subject: "a reminder: please decide"},
	{Day: 28, To: "ada", Subject: "the last reminder: please decide"},
}

const expires = 30

// office delivers the mails of this example, and plays the people who get them: they answer a reminder, at best.
type office struct {
	out     io.Writer
	engine  *lambdabiz.Engine
	answers string // who answers
	refuses bool
}

// sendMail prints the mail. Who answers does so as a web page would: by raising the event Answer. The key makes it one
// answer, however often the task runs.
func (f *office) sendMail(ctx context.Context, m Entry) (string, error) {
	fmt.Fprintf(f.out, "  day %2d, mail to %s: %s\n", m.Day, m.To, m.Subject)
	if m.To != f.answers || !strings.Contains(m.Subject, "reminder") {
		return "sent", nil
	}
	fmt.Fprintf(f.out, "  day %2d, %s answers\n", m.Day, m.To)
	info, _ := lambdabiz.TaskInfoFrom(ctx)
	answer := Answer{By: m.To, Approved: !f.refuses}
	return "sent", f.engine.RaiseEvent(ctx, info.OrchestrationID, "Answer", answer, lambdabiz.Key(info.IdempotencyKey))
}
