package swf_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsswf "github.com/aws/aws-sdk-go-v2/service/swf"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"
)

// original makes the calls that LambdaBiz for .NET makes (WorkMaze/LambdaBiz at 233b055, LambdaBiz/AWS): the same
// requests in the same order, so that their cost can be counted. What it does with DynamoDB is left out.
type original struct {
	t      *testing.T
	client *awsswf.Client
	id     string
}

const (
	originalType   = "LambdaBizWorkflow"
	originalList   = "LambdaBizTaskList"
	originalPoke   = "LambdaBizRunEvent"
	originalMarker = "LambdaBizActivityRecordMarker"
)

var errOriginalEnded = errors.New("SWF has ended the run")

// originalActivity is LambdaBiz.Model.Activity.
type originalActivity struct {
	kind, name, scheduled, id, status, result string
}

// originalWorkflow is LambdaBiz.Model.Workflow with its ReferenceToken.
type originalWorkflow struct {
	token      string
	activities []*originalActivity
}

// create is AWSOrchestrationFactory.CreateOrchestrationAsync.
func (o *original) create() {
	o.must(o.client.RegisterDomain(o.t.Context(), &awsswf.RegisterDomainInput{
		Name: aws.String("LambdaBiz"), WorkflowExecutionRetentionPeriodInDays: aws.String("90"),
	}))
	o.must(o.client.RegisterWorkflowType(o.t.Context(), &awsswf.RegisterWorkflowTypeInput{
		Domain: aws.String("LambdaBiz"), Name: aws.String(originalType), Version: aws.String("1.0.0"),
	}))
}

func (o *original) must(_ any, err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

// start is StartWorkflowAsync, whose decisions have no time-out.
func (o *original) start() {
	o.must(o.client.StartWorkflowExecution(o.t.Context(), &awsswf.StartWorkflowExecutionInput{
		WorkflowId: &o.id, Domain: aws.String("LambdaBiz"), Input: aws.String(`"Workflow Started"`), LambdaRole: aws.String(role),
		WorkflowType: &types.WorkflowType{Name: aws.String(originalType), Version: aws.String("1.0.0")},
		TaskList:     &types.TaskList{Name: aws.String(originalList + o.id)}, ChildPolicy: types.ChildPolicyTerminate,
		ExecutionStartToCloseTimeout: aws.String("31536000"), TaskStartToCloseTimeout: aws.String("NONE"),
	}))
}

// context is GetCurrentContext: it polls, reads page after page, and builds the activities from the first event on.
// An empty poll gives null, on which its callers crash; the test never gets that far, for it pokes itself.
func (o *original) context() (*originalWorkflow, error) {
	w := &originalWorkflow{}
	for token := (*string)(nil); ; {
		out, err := o.client.PollForDecisionTask(o.t.Context(), &awsswf.PollForDecisionTaskInput{
			Domain: aws.String("LambdaBiz"), Identity: aws.String("guid"), NextPageToken: token,
			TaskList: &types.TaskList{Name: aws.String(originalList + o.id)},
		})
		if err != nil {
			return nil, err
		}
		if aws.ToString(out.TaskToken) == "" {
			return nil, errOriginalEnded
		}
		w.token = *out.TaskToken
		for i := range out.Events {
			w.apply(&out.Events[i])
		}
		if token = out.NextPageToken; token == nil {
			return w, nil
		}
	}
}

// apply is the body of GetCurrentContext's loop over the events. The first signal of a name answers all its waits.
func (w *originalWorkflow) apply(e *types.HistoryEvent) {
	number := fmt.Sprint(e.EventId)
	add := func(kind, name, scheduled, id, status, result string) {
		w.activities = append(w.activities, &originalActivity{kind, name, scheduled, id, status, result})
	}
	set := func(kind string, scheduled int64, status string, result *string) {
		for _, a := range w.activities {
			if a.kind == kind && a.scheduled == fmt.Sprint(scheduled) {
				a.status, a.result = status, aws.ToString(result)
				return
			}
		}
	}
	switch e.EventType {
	case types.EventTypeWorkflowExecutionSignaled:
		a := e.WorkflowExecutionSignaledEventAttributes
		if w.status("Event", *a.SignalName, *a.SignalName) == "" {
			add("Event", *a.SignalName, *a.SignalName, *a.SignalName, "SUCCEEDED", aws.ToString(a.Input))
		}
	case types.EventTypeLambdaFunctionScheduled:
		a := e.LambdaFunctionScheduledEventAttributes
		add("Task", *a.Name, number, aws.ToString(a.Control), "SCHEDULED", "")
	case types.EventTypeLambdaFunctionStarted:
		set("Task", e.LambdaFunctionStartedEventAttributes.ScheduledEventId, "STARTED", nil)
	case types.EventTypeLambdaFunctionCompleted:
		a := e.LambdaFunctionCompletedEventAttributes
		set("Task", a.ScheduledEventId, "SUCCEEDED", a.Result)
	case types.EventTypeTimerStarted:
		a := e.TimerStartedEventAttributes
		add("Timer", *a.TimerId, number, *a.TimerId, "STARTED", "")
	case types.EventTypeTimerFired:
		set("Timer", e.TimerFiredEventAttributes.StartedEventId, "SUCCEEDED", nil)
	}
}

func (w *originalWorkflow) status(kind, name, id string) string {
	for _, a := range w.activities {
		if a.kind == kind && a.name == name && a.id == id {
			return a.status
		}
	}
	return ""
}

func (o *original) respond(token string, d types.Decision) error {
	_, err := o.client.RespondDecisionTaskCompleted(o.t.Context(), &awsswf.RespondDecisionTaskCompletedInput{
		TaskToken: &token, Decisions: []types.Decision{d},
	})
	return err
}

// poke is SetMarker and RaiseEventAsync(LAMBDA_BIZ_EVENT) to itself, which every turn of every wait does.
func (o *original) poke(w *originalWorkflow, kind, name, id, status string) error {
	err := o.respond(w.token, types.Decision{
		DecisionType: types.DecisionTypeRecordMarker, RecordMarkerDecisionAttributes: &types.RecordMarkerDecisionAttributes{
			MarkerName: aws.String(originalMarker + "_" + name + "_" + id), Details: aws.String(kind + "_" + status),
		},
	})
	if err != nil {
		return err
	}
	return o.raise(originalPoke, `"`+originalPoke+`"`)
}

// raise is RaiseEventAsync.
func (o *original) raise(name, data string) error {
	_, err := o.client.SignalWorkflowExecution(o.t.Context(), &awsswf.SignalWorkflowExecutionInput{
		Input: &data, WorkflowId: &o.id, Domain: aws.String("LambdaBiz"), SignalName: &name,
	})
	return err
}

// await is the do-while of CallLambdaAsync, StartTimerAsync and WaitForSignal.
func (o *original) await(kind, name, id string) error {
	for {
		w, err := o.context()
		if err != nil {
			return err
		}
		status := w.status(kind, name, id)
		if err := o.poke(w, kind, name, id, status); err != nil {
			return err
		}
		if status == "SUCCEEDED" {
			return nil
		}
	}
}

// begin is the first half of CallLambdaAsync and StartTimerAsync on a first run: GetStatus is NONE.
func (o *original) begin(d types.Decision) error {
	w, err := o.context()
	if err != nil {
		return err
	}
	return o.respond(w.token, d)
}

func (o *original) callTask(name, id string, input any) error {
	text, err := json.Marshal(input)
	if err != nil {
		return err
	}
	err = o.begin(types.Decision{
		DecisionType: types.DecisionTypeScheduleLambdaFunction,
		ScheduleLambdaFunctionDecisionAttributes: &types.ScheduleLambdaFunctionDecisionAttributes{
			Input: aws.String(string(text)), Name: &name, Id: &id, Control: &id,
		},
	})
	if err != nil {
		return err
	}
	return o.await("Task", name, id)
}

func (o *original) startTimer(name string, d time.Duration) error {
	err := o.begin(types.Decision{
		DecisionType: types.DecisionTypeStartTimer, StartTimerDecisionAttributes: &types.StartTimerDecisionAttributes{
			TimerId: &name, StartToFireTimeout: aws.String(fmt.Sprint(d.Seconds())),
		},
	})
	if err != nil {
		return err
	}
	return o.await("Timer", name, name)
}

// process is Functions.ProcessAsync of LambdaBiz.Serverless: five tasks, a timer, a person.
func (o *original) process() error {
	o.create()
	o.start()
	for i, name := range []string{"Number", "Sum", "Difference", "Product", "Quotient"} {
		if err := o.callTask(name, fmt.Sprint("Operation", i+1), numbers{15, 5}); err != nil {
			return err
		}
	}
	if err := o.startTimer("30SecTimer", 30*time.Second); err != nil {
		return err
	}
	if err := o.await("Event", "Approve", "Approve"); err != nil {
		return err
	}
	return o.begin(types.Decision{ // CompleteWorkflowAsync
		DecisionType: types.DecisionTypeCompleteWorkflowExecution,
		CompleteWorkflowExecutionDecisionAttributes: &types.CompleteWorkflowExecutionDecisionAttributes{Result: aws.String("3")},
	})
}
