package deploy_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const function = "AWS::Serverless::Function"

// report collects what is wrong with a template.
type report struct{ wrong []string }

func (r *report) addf(format string, args ...any) {
	r.wrong = append(r.wrong, fmt.Sprintf(format, args...))
}

func (r *report) wantf(ok bool, format string, args ...any) {
	if !ok {
		r.addf(format, args...)
	}
}

// check lists what is wrong with a template for a mode.
func check(t *template) []string {
	r := &report{}
	mode := t.parameters["Mode"]
	checkFunctions(r, t)
	checkOrchestrator(r, t, mode)
	checkTrust(r, t, mode)
	checkPermissions(r, t, mode)
	checkTable(r, t)
	checkAlarms(r, t, mode)
	return r.wrong
}

func checkFunctions(r *report, t *template) {
	for _, name := range t.ofType(function) {
		r.wantf(property[string](t, name, "Runtime") == "provided.al2023", "%s does not run on provided.al2023", name)
		r.wantf(property[string](t, name, "Handler") == "bootstrap", "%s does not start bootstrap", name)
		r.wantf(slices.Equal(texts(property[any](t, name, "Architectures")), []string{"arm64"}), "%s is not for arm64", name)
		r.wantf(at[string](t.resources[name], "Metadata", "BuildMethod") == "makefile", "%s is not built by make", name)
		seconds, err := strconv.Atoi(fmt.Sprint(property[any](t, name, "Timeout")))
		r.wantf(err == nil && seconds >= 120 && seconds <= 900, "%s has a timeout of %d s, want 120 to 900", name, seconds)
		r.wantf(property[string](t, name, "LoggingConfig", "LogFormat") == "JSON", "%s does not log JSON", name)
		logs := strings.TrimPrefix(property[string](t, name, "LoggingConfig", "LogGroup"), "Ref ")
		r.wantf(t.resources[logs]["Type"] == "AWS::Logs::LogGroup", "%s logs into %q, which is no log group here", name, logs)
		days, err := strconv.Atoi(fmt.Sprint(property[any](t, logs, "RetentionInDays")))
		r.wantf(err == nil && days > 0, "the logs of %s are kept for ever", name)
		role := strings.TrimSuffix(strings.TrimPrefix(property[string](t, name, "Role"), "GetAtt "), ".Arn")
		r.wantf(t.resources[role]["Type"] == "AWS::IAM::Role", "%s has a role that is not in the template", name)
		r.wantf(property[any](t, name, "Policies") == nil, "%s has policies beside its role", name)
		allowed := property[string](t, name, "RecursiveLoop") == "Allow"
		r.wantf(!allowed || name == "Process" && t.parameters["Mode"] == "drive", "%s may loop", name)
	}
}

var tasks = []string{"Difference", "Number", "Product", "Quotient", "Sum"}

func checkOrchestrator(r *report, t *template, mode string) {
	functions := slices.DeleteFunc(t.ofType(function), func(name string) bool { return name == "Process" })
	r.wantf(slices.Equal(functions, tasks), "the tasks are %v", functions)
	for _, name := range functions {
		r.wantf(property[string](t, name, "FunctionName") == name, "the task %s has another name", name)
		r.wantf(property[string](t, name, "Environment", "Variables", "LAMBDABIZ_TASK") == name, "%s does another task", name)
	}
	_, runs := t.resources["Process"]
	_, pulses := t.resources["Pulse"]
	r.wantf(runs == (mode != "process"), "in mode %s the orchestrator is a function: %t", mode, runs)
	r.wantf(pulses == (mode == "pulse"), "in mode %s there is a pulse: %t", mode, pulses)
	if pulses {
		r.wantf(property[string](t, "Pulse", "ScheduleExpression") == "rate(1 minute)", "the pulse is not one a minute")
		targets := property[[]any](t, "Pulse", "Targets")
		r.wantf(len(targets) == 1 && at[string](targets[0], "Arn") == "GetAtt Process.Arn", "the pulse goes elsewhere")
		r.wantf(property[string](t, "PulsePermission", "SourceArn") == "GetAtt Pulse.Arn", "any rule may start the orchestrator")
	}
	if !runs {
		return
	}
	reserved := ""
	if mode == "pulse" {
		reserved = "2"
	}
	got := strings.Join(texts(property[any](t, "Process", "ReservedConcurrentExecutions")), "")
	r.wantf(got == reserved, "in mode %s the orchestrator has reserved concurrency %q, want %q", mode, got, reserved)
	loop := map[string]string{"drive": "Allow", "pulse": "Terminate"}[mode]
	r.wantf(property[string](t, "Process", "RecursiveLoop") == loop, "in mode %s RecursiveLoop is not %s", mode, loop)
	failure := property[object](t, "Process", "EventInvokeConfig", "DestinationConfig", "OnFailure")
	r.wantf(failure["Type"] == "SQS" && failure["Destination"] == "GetAtt FailureQueue.Arn", "failures do not go to the queue")
	variables := map[string]string{
		"LAMBDABIZ_MODE": mode, "LAMBDABIZ_DOMAIN": "LambdaBiz", "LAMBDABIZ_LAMBDA_ROLE": "GetAtt TaskInvokerRole.Arn",
		"LAMBDABIZ_TABLE": "Ref StateTable", "LAMBDABIZ_TASK_LIST": "lambdabiz",
	}
	for name, want := range variables {
		got := property[string](t, "Process", "Environment", "Variables", name)
		r.wantf(got == want, "%s is %q, want %q", name, got, want)
	}
}

// trusted says which service may take a role.
var trusted = map[string]string{
	"ProcessRole": "lambda.amazonaws.com", "TaskRole": "lambda.amazonaws.com", "TaskInvokerRole": "swf.amazonaws.com",
	"RestWorkerRole": "ecs-tasks.amazonaws.com", "OrchestratorRole": "ecs-tasks.amazonaws.com",
}

func checkTrust(r *report, t *template, mode string) {
	want := []string{"ProcessRole", "RestWorkerRole", "TaskInvokerRole", "TaskRole"}
	if mode == "process" {
		want[0] = "OrchestratorRole"
	}
	roles := t.ofType("AWS::IAM::Role")
	r.wantf(slices.Equal(roles, want), "in mode %s the roles are %v, want %v", mode, roles, want)
	for _, name := range roles {
		statements := property[[]any](t, name, "AssumeRolePolicyDocument", "Statement")
		for _, statement := range statements {
			principal := at[object](statement, "Principal")
			r.wantf(len(principal) == 1 && principal["Service"] == trusted[name], "%s can be taken by %v", name, principal)
			r.wantf(slices.Equal(texts(at[any](statement, "Action")), []string{"sts:AssumeRole"}), "%s: odd action of trust", name)
		}
		r.wantf(len(statements) == 1, "%s has %d statements of trust", name, len(statements))
	}
}

func checkTable(r *report, t *template) {
	table := t.resources["StateTable"]
	r.wantf(table["DeletionPolicy"] == "Retain", "the table goes with the stack")
	r.wantf(table["UpdateReplacePolicy"] == "Retain", "the table goes when it is replaced")
	r.wantf(property[bool](t, "StateTable", "PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled"), "no point-in-time recovery")
	r.wantf(property[bool](t, "StateTable", "TimeToLiveSpecification", "Enabled"), "no time to live")
	r.wantf(property[string](t, "StateTable", "TimeToLiveSpecification", "AttributeName") == "ttl", "the time to live is not in ttl")
	r.wantf(property[string](t, "StateTable", "BillingMode") == "PAY_PER_REQUEST", "the table is not on demand")
	r.wantf(property[string](t, "StateTable", "TableName") == "LambdaBizState", "the table has another name")
	r.wantf(keys(property[any](t, "StateTable", "KeySchema")) == "pk HASH, sk RANGE", "the table has other keys")
	indexes := property[[]any](t, "StateTable", "GlobalSecondaryIndexes")
	if len(indexes) != 1 || at[string](indexes[0], "IndexName") != "byStatus" ||
		keys(at[any](indexes[0], "KeySchema")) != "g1pk HASH, g1sk RANGE" {
		r.addf("the index is not byStatus on g1pk and g1sk: %v", indexes)
	}
}

func keys(schema any) string {
	var list []string
	elements, _ := schema.([]any)
	for _, element := range elements {
		list = append(list, at[string](element, "AttributeName")+" "+at[string](element, "KeyType"))
	}
	return strings.Join(list, ", ")
}

func checkAlarms(r *report, t *template, mode string) {
	want := []string{"DecisionsWaiting", "StateTableThrottled"}
	if mode != "process" {
		want = append(want, "FailuresWaiting", "OrchestratorErrors", "OrchestratorThrottled")
	}
	if mode == "pulse" {
		want = append(want, "PulseStopped")
	}
	slices.Sort(want)
	alarms := t.ofType("AWS::CloudWatch::Alarm")
	r.wantf(slices.Equal(alarms, want), "in mode %s the alarms are %v, want %v", mode, alarms, want)
	for _, name := range alarms {
		r.wantf(property[any](t, name, "AlarmActions") == nil, "%s notifies somebody without a topic", name)
		r.wantf(len(property[[]any](t, name, "Dimensions")) > 0, "%s watches everything", name)
	}
}
