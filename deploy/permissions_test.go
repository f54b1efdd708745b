package deploy_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const domainARN = "Sub arn:${AWS::Partition}:swf:*:${AWS::AccountId}:/domain/LambdaBiz"

// activity are the actions of a worker of activities.
var activity = []string{
	"swf:PollForActivityTask", "swf:RecordActivityTaskHeartbeat", "swf:RespondActivityTaskCanceled",
	"swf:RespondActivityTaskCompleted", "swf:RespondActivityTaskFailed",
}

// resources are what an action, or a service's actions, may be allowed on; RegisterDomain takes no resource.
// Source: Service Authorization Reference, pages of SWF, Lambda, DynamoDB, IAM, SQS and CloudWatch Logs.
func resources(mode, holder, action string) []string {
	service, _, _ := strings.Cut(action, ":")
	switch {
	case action == "swf:RegisterDomain":
		return []string{"*"}
	case service == "swf":
		return []string{domainARN}
	case action == "iam:PassRole":
		return []string{"GetAtt TaskInvokerRole.Arn"}
	case service == "dynamodb":
		return []string{"GetAtt StateTable.Arn", "Sub ${StateTable.Arn}/index/byStatus"}
	case action == "lambda:InvokeFunction" && holder == "TaskInvokerRole":
		var list []string
		for _, task := range tasks {
			list = append(list, "GetAtt "+task+".Arn")
		}
		return list
	case action == "lambda:InvokeFunction" && holder == "ProcessRole" && mode == "drive":
		return []string{"Sub arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${AWS::StackName}-process"}
	case action == "sqs:SendMessage":
		return []string{"GetAtt FailureQueue.Arn"}
	case service == "logs" && holder == "ProcessRole":
		return []string{"GetAtt ProcessLogs.Arn"}
	case service == "logs" && holder == "TaskRole":
		return []string{"GetAtt TaskLogs.Arn"}
	}
	return nil
}

// statements are the statements of a role's own policies, or of a managed policy.
func statements(t *template, holder string) []any {
	list := slices.Clone(property[[]any](t, holder, "PolicyDocument", "Statement"))
	for _, policy := range property[[]any](t, holder, "Policies") {
		list = append(list, at[[]any](policy, "PolicyDocument", "Statement")...)
	}
	return list
}

// checkPermissions: each action is allowed by name, and on the resources above only.
func checkPermissions(r *report, t *template, mode string) {
	allowed := map[string][]string{} // by holder
	for _, holder := range slices.Concat(t.ofType("AWS::IAM::Role"), t.ofType("AWS::IAM::ManagedPolicy")) {
		for _, statement := range statements(t, holder) {
			r.wantf(at[string](statement, "Effect") == "Allow", "%s: an effect that is not Allow", holder)
			for _, excluded := range []string{"NotAction", "NotResource"} {
				r.wantf(at[any](statement, excluded) == nil, "%s says %s", holder, excluded)
			}
			for _, action := range texts(at[any](statement, "Action")) {
				allowed[holder] = append(allowed[holder], action)
				checkAction(r, mode, holder, action, statement)
			}
		}
		for _, attached := range texts(property[any](t, holder, "ManagedPolicyArns")) {
			name := strings.TrimPrefix(attached, "Ref ")
			r.wantf(t.resources[name]["Type"] == "AWS::IAM::ManagedPolicy", "%s has the policy %s of another", holder, attached)
			want := map[string]string{
				"ProcessRole": "OrchestratorPolicy", "OrchestratorRole": "OrchestratorPolicy", "RestWorkerRole": "RestWorkerPolicy",
			}[holder]
			r.wantf(name == want, "%s has the policy %s", holder, name)
		}
		slices.Sort(allowed[holder])
	}
	r.wantf(slices.Equal(allowed["RestWorkerPolicy"], activity), "a REST worker may %v", allowed["RestWorkerPolicy"])
	r.wantf(len(allowed["RestWorkerRole"]) == 0, "a REST worker may also %v", allowed["RestWorkerRole"])
	r.wantf(slices.Equal(allowed["TaskInvokerRole"], []string{"lambda:InvokeFunction"}), "SWF may %v", allowed["TaskInvokerRole"])
	registers := slices.Contains(allowed["OrchestratorPolicy"], "swf:RegisterDomain")
	r.wantf(registers == (t.parameters["RegisterDomain"] == "true"), "may register domains: %t", registers)
	for _, holder := range slices.Sorted(maps.Keys(allowed)) {
		if holder != "OrchestratorPolicy" && holder != "RestWorkerPolicy" {
			r.wantf(!strings.Contains(strings.Join(allowed[holder], " "), "swf:"), "%s has actions of SWF", holder)
		}
	}
	for _, action := range needed {
		r.wantf(slices.Contains(allowed["OrchestratorPolicy"], action), "the orchestrator may not %s", action)
	}
}

// needed is what an orchestrator cannot do without: the calls of the backend, and SWF checks each decision as an action.
var needed = slices.Concat(activity, []string{
	"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "iam:PassRole", "swf:CancelTimer", "swf:CancelWorkflowExecution",
	"swf:CompleteWorkflowExecution", "swf:ContinueAsNewWorkflowExecution", "swf:DescribeWorkflowExecution",
	"swf:FailWorkflowExecution", "swf:GetWorkflowExecutionHistory", "swf:ListClosedWorkflowExecutions",
	"swf:ListOpenWorkflowExecutions", "swf:PollForDecisionTask", "swf:RecordMarker", "swf:RegisterActivityType",
	"swf:RegisterWorkflowType", "swf:RequestCancelActivityTask", "swf:RequestCancelExternalWorkflowExecution",
	"swf:RequestCancelWorkflowExecution", "swf:RespondDecisionTaskCompleted", "swf:ScheduleActivityTask",
	"swf:SignalExternalWorkflowExecution", "swf:SignalWorkflowExecution", "swf:StartChildWorkflowExecution", "swf:StartTimer",
	"swf:StartWorkflowExecution", "swf:TerminateWorkflowExecution",
})

func checkAction(r *report, mode, holder, action string, statement any) {
	r.wantf(!strings.Contains(action, "*"), "%s allows %s", holder, action)
	r.wantf(!strings.HasPrefix(action, "swf:") || slices.Contains(swfActions, action), "%s allows %s, which SWF has not", holder, action)
	got, want := texts(at[any](statement, "Resource")), resources(mode, holder, action)
	slices.Sort(got)
	r.wantf(slices.Equal(got, want), "%s allows %s on %v, want %v", holder, action, got, want)
	if action == "iam:PassRole" {
		r.wantf(at[string](statement, "Condition", "StringEquals", "iam:PassedToService") == "swf.amazonaws.com",
			"%s may pass a role to any service", holder)
	}
}

// swfActions are all actions that the template could allow, from the Service Authorization Reference: cfn-lint takes any.
var swfActions = slices.Concat(needed, []string{
	"swf:DescribeDomain", "swf:RegisterDomain",
})

var (
	callInCode     = regexp.MustCompile(`\b(?:client|poller)\.([A-Z]\w+)\(ctx`)
	decisionInCode = regexp.MustCompile(`types\.DecisionType([A-Z]\w+)`)
)

// TestTheTemplateAllowsWhatTheCodeCalls and no more: SWF's actions are named as its calls and decisions are. Only
// ScheduleLambdaFunction has none, it is allowed by the role that it names.
func TestTheTemplateAllowsWhatTheCodeCalls(t *testing.T) {
	t.Parallel()
	var files []string
	for _, pattern := range []string{"../aws/swf/*.go", "../aws/swf/internal/*/*.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatal(pattern, found, err)
		}
		files = append(files, found...)
	}
	called := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		calls, decisions := callInCode.FindAllStringSubmatch(string(text), -1), decisionInCode.FindAllStringSubmatch(string(text), -1)
		for _, found := range slices.Concat(calls, decisions) {
			if found[1] != "ScheduleLambdaFunction" {
				called["swf:"+found[1]] = true
			}
		}
	}
	code := slices.Sorted(maps.Keys(called))
	rules := slices.Clone(swfActions)
	rules = slices.DeleteFunc(rules, func(action string) bool { return !strings.HasPrefix(action, "swf:") })
	slices.Sort(rules)
	if !slices.Equal(code, rules) {
		t.Errorf("the code calls %v,\nthe rules of the template have %v", code, rules)
	}
	template, err := os.ReadFile("template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, action := range regexp.MustCompile(`swf:[A-Z]\w+`).FindAllString(string(template), -1) {
		if !called[action] {
			t.Errorf("the template allows or names %s, which the code does not call", action)
		}
	}
}
