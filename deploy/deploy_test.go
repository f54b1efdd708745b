package deploy_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/lambdabiz/lambdabiz/internal/standins"
)

func read(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestCfnLintFindsNothing(t *testing.T) {
	t.Parallel()
	lint := standins.CfnLint(t)
	templates, err := filepath.Glob("*.yaml")
	if err != nil || len(templates) == 0 {
		t.Fatalf("templates: %v, %v", templates, err)
	}
	for _, name := range templates {
		if out, err := exec.CommandContext(t.Context(), lint, "--", name).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// everyMode evaluates a template for each mode, with and without the right to register a domain.
func everyMode(t *testing.T, text string) (wrong []string) {
	t.Helper()
	for _, mode := range []string{"pulse", "drive", "process"} {
		for _, register := range []string{"true", "false"} {
			evaluated, err := evaluate(text, map[string]string{"Mode": mode, "RegisterDomain": register})
			if err != nil {
				t.Fatal(err)
			}
			for _, mistake := range check(evaluated) {
				wrong = append(wrong, mode+": "+mistake)
			}
		}
	}
	return wrong
}

func TestTheTemplateKeepsTheRules(t *testing.T) {
	t.Parallel()
	for _, mistake := range everyMode(t, read(t)) {
		t.Error(mistake)
	}
	byDefault, err := evaluate(read(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if mode := byDefault.parameters["Mode"]; mode != "pulse" {
		t.Errorf("the default mode is %s, want pulse", mode)
	}
}

// TestTheRulesFindMistakes changes the template in one place, and expects the rules to say so.
func TestTheRulesFindMistakes(t *testing.T) {
	t.Parallel()
	good := read(t)
	for name, change := range map[string]struct{ old, mistake, want string }{
		"a timeout too short": {
			"    Timeout: 120\n",
			"    Timeout: 30\n",
			"timeout of 30 s",
		},
		"a pulse too short": {
			"!Ref DriveTimeout, 120]",
			"!Ref DriveTimeout, 60]",
			"pulse: Process has a timeout of 60 s",
		},
		"a loop everywhere": {
			"[IsDrive, Allow, Terminate]",
			"[IsDrive, Allow, Allow]",
			"pulse: Process may loop",
		},
		"no loop in drive": {
			"!If [IsDrive, Allow, Terminate]",
			"Terminate",
			"drive: in mode drive RecursiveLoop",
		},
		"a task that loops": {
			"FunctionName: Sum\n",
			"FunctionName: Sum\n      RecursiveLoop: Allow\n",
			"Sum may loop",
		},
		"no limit of pulses": {
			"!If [IsPulse, !Ref PulseConcurrency, !Ref AWS::NoValue]",
			"!Ref AWS::NoValue",
			"reserved concurrency",
		},
		"logs for ever": {
			"RetentionInDays: !Ref LogRetentionDays",
			"LogGroupClass: STANDARD",
			"kept for ever",
		},
		"the table goes": {
			"    DeletionPolicy: Retain\n",
			"    DeletionPolicy: Delete\n",
			"goes with the stack",
		},
		"no recovery": {
			"PointInTimeRecoveryEnabled: true",
			"PointInTimeRecoveryEnabled: false",
			"point-in-time",
		},
		"another time to live": {
			"AttributeName: ttl",
			"AttributeName: expires",
			"not in ttl",
		},
		"any role is passed": {
			"Resource: !GetAtt TaskInvokerRole.Arn",
			`Resource: "*"`,
			"allows iam:PassRole on [*]",
		},
		"a role for any service": {
			"                iam:PassedToService: swf",
			"                iam:Other: swf",
			"to any service",
		},
		"any function is invoked": {
			"                  - !GetAtt Quotient.Arn\n",
			"                  - \"*\"\n",
			"allows lambda:InvokeFunction on",
		},
		"any domain": {
			"/domain/${Domain}",
			"/domain/*",
			"/domain/*",
		},
		"any action of SWF": {
			"- swf:StartTimer",
			"- swf:*",
			"allows swf:*",
		},
		"an action that is not": {
			"- swf:StartTimer",
			"- swf:ScheduleLambdaFunction",
			"which SWF has not",
		},
		"a worker that decides": {
			"            Action:\n              - swf:PollForActivityTask",
			"            Action:\n              - swf:StartTimer",
			"a REST worker may",
		},
		"anybody is SWF": {
			"Principal: { Service: swf.amazonaws.com }",
			"Principal: { AWS: \"*\" }",
			"can be taken by",
		},
		"a policy of AWS": {
			"[!Ref RestWorkerPolicy]",
			"[arn:aws:iam::aws:policy/SimpleWorkflowFullAccess]",
			"of another",
		},
		"domains without being told": {
			"              Action: swf:RegisterDomain\n",
			"              Action: swf:DescribeDomain\n",
			"may register domains: false",
		},
		"failures are lost": {
			"            Destination: !GetAtt FailureQueue.Arn",
			"            Destination: !GetAtt Other.Arn",
			"do not go to the queue",
		},
		"a pulse in every mode": {
			"    Type: AWS::Events::Rule\n    Condition: IsPulse",
			"    Type: AWS::Events::Rule",
			"drive: in mode drive there is a pulse",
		},
		"any rule may start it": {
			"      SourceArn: !GetAtt Pulse.Arn\n",
			"",
			"any rule may start",
		},
		"an alarm less": {
			"  DecisionsWaiting:\n    Type: AWS::CloudWatch::Alarm",
			"  DecisionsWaiting:\n    Type: AWS::SNS::Topic",
			"the alarms are",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := strings.ReplaceAll(good, change.old, change.mistake)
			if bad == good {
				t.Fatalf("%q is not in the template", change.old)
			}
			if wrong := strings.Join(everyMode(t, bad), "\n"); !strings.Contains(wrong, change.want) {
				t.Errorf("the rules do not say %q, but:\n%s", change.want, wrong)
			}
		})
	}
}

var source = regexp.MustCompile(`\./(examples/aws/\w+)`)

// TestMakeBuildsEachFunction: sam build runs the target build-NAME at the CodeUri, which is the root.
func TestMakeBuildsEachFunction(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("no make here")
	}
	evaluated, err := evaluate(read(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = os.Stat("../examples/aws")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	haveSources := err == nil
	for _, name := range evaluated.ofType(function) {
		command := exec.CommandContext(t.Context(), "make", "-n", "build-"+name, "ARTIFACTS_DIR=out")
		command.Dir = filepath.Join("..", filepath.Clean(strings.TrimPrefix(property[string](evaluated, name, "CodeUri"), "..")))
		out, err := command.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
			continue
		}
		for _, want := range []string{
			"CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm64", "-tags lambda.norpc", "-trimpath", `-o "out/bootstrap"`,
		} {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s is built without %s:\n%s", name, want, out)
			}
		}
		found := source.FindStringSubmatch(string(out))
		if found == nil {
			t.Errorf("%s is built from nowhere:\n%s", name, out)
		} else if _, err := os.Stat(filepath.Join("..", found[1])); haveSources && err != nil {
			t.Errorf("the source of %s: %v", name, err)
		}
	}
}
