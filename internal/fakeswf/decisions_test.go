package fakeswf_test

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/swf/types"
)

func complete(result string) types.Decision {
	return types.Decision{
		DecisionType: types.DecisionTypeCompleteWorkflowExecution,
		CompleteWorkflowExecutionDecisionAttributes: &types.CompleteWorkflowExecutionDecisionAttributes{Result: &result},
	}
}

func fail(reason string) types.Decision {
	return types.Decision{
		DecisionType: types.DecisionTypeFailWorkflowExecution,
		FailWorkflowExecutionDecisionAttributes: &types.FailWorkflowExecutionDecisionAttributes{
			Reason: &reason, Details: aws.String("why"),
		},
	}
}

func cancelRun() types.Decision {
	return types.Decision{
		DecisionType: types.DecisionTypeCancelWorkflowExecution,
		CancelWorkflowExecutionDecisionAttributes: &types.CancelWorkflowExecutionDecisionAttributes{Details: aws.String("bye")},
	}
}

func continueAsNew(input string) types.Decision {
	return types.Decision{
		DecisionType: types.DecisionTypeContinueAsNewWorkflowExecution,
		ContinueAsNewWorkflowExecutionDecisionAttributes: &types.ContinueAsNewWorkflowExecutionDecisionAttributes{Input: &input},
	}
}

func marker(name string) types.Decision {
	return types.Decision{
		DecisionType:                   types.DecisionTypeRecordMarker,
		RecordMarkerDecisionAttributes: &types.RecordMarkerDecisionAttributes{MarkerName: &name, Details: aws.String("d")},
	}
}

func timer(id, seconds string) types.Decision {
	return types.Decision{
		DecisionType: types.DecisionTypeStartTimer,
		StartTimerDecisionAttributes: &types.StartTimerDecisionAttributes{
			TimerId: &id, StartToFireTimeout: &seconds, Control: aws.String("c"),
		},
	}
}

func cancelTimer(id string) types.Decision {
	return types.Decision{
		DecisionType:                  types.DecisionTypeCancelTimer,
		CancelTimerDecisionAttributes: &types.CancelTimerDecisionAttributes{TimerId: &id},
	}
}

func activity(id string, options ...func(*types.ScheduleActivityTaskDecisionAttributes)) types.Decision {
	attributes := &types.ScheduleActivityTaskDecisionAttributes{
		ActivityId: &id, ActivityType: &types.ActivityType{Name: aws.String("A"), Version: aws.String("1")},
		Input: aws.String("in"), Control: aws.String("c"),
	}
	for _, option := range options {
		option(attributes)
	}
	return types.Decision{DecisionType: types.DecisionTypeScheduleActivityTask, ScheduleActivityTaskDecisionAttributes: attributes}
}

func cancelActivity(id string) types.Decision {
	return types.Decision{
		DecisionType: types.DecisionTypeRequestCancelActivityTask,
		RequestCancelActivityTaskDecisionAttributes: &types.RequestCancelActivityTaskDecisionAttributes{ActivityId: &id},
	}
}

func lambda(id, name string, options ...func(*types.ScheduleLambdaFunctionDecisionAttributes)) types.Decision {
	attributes := &types.ScheduleLambdaFunctionDecisionAttributes{
		Id: &id, Name: &name, Input: aws.String(`{"n":1}`), Control: aws.String("c"),
	}
	for _, option := range options {
		option(attributes)
	}
	return types.Decision{DecisionType: types.DecisionTypeScheduleLambdaFunction, ScheduleLambdaFunctionDecisionAttributes: attributes}
}

func childRun(id string, options ...func(*types.StartChildWorkflowExecutionDecisionAttributes)) types.Decision {
	attributes := &types.StartChildWorkflowExecutionDecisionAttributes{
		WorkflowId: &id, WorkflowType: &types.WorkflowType{Name: aws.String("W"), Version: aws.String("1")},
		Input: aws.String("child in"), Control: aws.String("c"), TaskList: list("children"),
	}
	for _, option := range options {
		option(attributes)
	}
	return types.Decision{
		DecisionType: types.DecisionTypeStartChildWorkflowExecution, StartChildWorkflowExecutionDecisionAttributes: attributes,
	}
}

func signalExternal(id string) types.Decision {
	return types.Decision{
		DecisionType: types.DecisionTypeSignalExternalWorkflowExecution,
		SignalExternalWorkflowExecutionDecisionAttributes: &types.SignalExternalWorkflowExecutionDecisionAttributes{
			WorkflowId: &id, SignalName: aws.String("hello"), Input: aws.String("there"), Control: aws.String("c"),
		},
	}
}

func cancelExternal(id string) types.Decision {
	return types.Decision{
		DecisionType: types.DecisionTypeRequestCancelExternalWorkflowExecution,
		RequestCancelExternalWorkflowExecutionDecisionAttributes: &types.RequestCancelExternalWorkflowExecutionDecisionAttributes{
			WorkflowId: &id, Control: aws.String("c"),
		},
	}
}
