package lambdahandler_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/lambdahandler"
)

// approval calls a Lambda function, cools down and waits for a person.
var approval = lambdabiz.Define("Approval", func(o lambdabiz.Context, n int) (int, error) {
	n, err := lambdabiz.CallTask[int](o, "double", "Double", n)
	if err != nil {
		return 0, err
	}
	if err := lambdabiz.Sleep(o, "cool", 30*time.Second); err != nil {
		return 0, err
	}
	approved, err := lambdabiz.WaitForEvent[bool](o, "Approve")
	if err != nil {
		return 0, err
	}
	if !approved {
		return 0, errors.New("not approved")
	}
	return n, nil
})

func configFor(stayFor time.Duration, items ...lambdabiz.Registrable) lambdahandler.Config {
	return lambdahandler.Config{
		Register: items, Names: []string{"Approval", "Other"}, LambdaRoles: []string{other}, StayFor: stayFor,
	}
}

func TestDriveStaysForWhatIsDueSoonAndNoLonger(t *testing.T) {
	t.Parallel()
	inBubble(t, configFor(0, approval), func(b *bench) {
		request := lambdahandler.Request{OrchestrationID: "a/1", Input: lambdabiz.Payload("4")}
		state, took := b.drive(request)
		want(t, state, lambdabiz.StatusStarted, "", "Approve")
		if took < 32*time.Second || took > 34*time.Second {
			t.Errorf("it took %v; the task takes 2 s, the timer 30 s", took)
		}
		text, err := json.Marshal(state)
		if err != nil || !strings.Contains(string(text), `"waitingFor":[{"operation":"Approve","kind":"EVENT"`) {
			t.Errorf("%s, %v", text, err)
		}
		b.raise("a/1", "Approve", true)
		state, took = b.drive(request)
		want(t, state, lambdabiz.StatusSucceeded, "8")
		if took > 0 {
			t.Errorf("it took %v after the end", took)
		}
		state, took = b.drive(request)
		want(t, state, lambdabiz.StatusSucceeded, "8")
		if took != 0 || b.invocations("Double") != 1 {
			t.Errorf("after the end it took %v, the task was invoked %d times", took, b.invocations("Double"))
		}
	})
}

func TestDriveLooksOnceWhenNothingHasHappened(t *testing.T) {
	t.Parallel()
	inBubble(t, configFor(0, approval), func(b *bench) {
		request := lambdahandler.Request{OrchestrationID: "a", Input: lambdabiz.Payload("4")}
		b.drive(request)
		state, took := b.drive(request)
		want(t, state, lambdabiz.StatusStarted, "", "Approve")
		if took > 61*time.Second {
			t.Errorf("it took %v, longer than one poll", took)
		}
	})
}

func TestDriveIsCutByItsDeadlineAndGoesOn(t *testing.T) {
	t.Parallel()
	long := lambdabiz.Define("Approval", func(o lambdabiz.Context, n int) (int, error) {
		if err := lambdabiz.Sleep(o, "cool", 140*time.Second); err != nil {
			return 0, err
		}
		return lambdabiz.CallTask[int](o, "double", "Double", n)
	})
	inBubble(t, configFor(-1, long), func(b *bench) {
		request := lambdahandler.Request{OrchestrationID: "a", Input: lambdabiz.Payload("4")}
		for call := range 2 {
			state, took := b.drive(request)
			want(t, state, lambdabiz.StatusStarted, "", "cool")
			if took < 45*time.Second {
				t.Errorf("call %d ended after %v", call, took)
			}
		}
		state, _ := b.drive(request)
		want(t, state, lambdabiz.StatusSucceeded, "8")
	})
}

func TestDriveOfOtherOrchestrationsInOneProcess(t *testing.T) {
	t.Parallel()
	inBubble(t, configFor(0, approval), func(b *bench) {
		for _, id := range []string{"a", "b", strings.Repeat("long:", 30)} {
			state, _ := b.drive(lambdahandler.Request{OrchestrationID: id, Input: lambdabiz.Payload("1")})
			want(t, state, lambdabiz.StatusStarted, "", "Approve")
		}
		for _, id := range []string{"b", strings.Repeat("long:", 30), "a"} {
			b.raise(id, "Approve", true)
			state, _ := b.drive(lambdahandler.Request{OrchestrationID: id})
			want(t, state, lambdabiz.StatusSucceeded, "2")
		}
	})
}

func TestDrivePerformsGoTasksOfItsOrchestration(t *testing.T) {
	t.Parallel()
	triple := lambdabiz.NewTask("Triple", func(_ context.Context, n int) (int, error) { return 3 * n, nil })
	def := lambdabiz.Define("Approval", func(o lambdabiz.Context, n int) (int, error) {
		n, err := lambdabiz.Call(o, "first", triple, n)
		if err != nil {
			return 0, err
		}
		return lambdabiz.Call(o, "second", triple, n)
	})
	inBubble(t, configFor(0, def, triple), func(b *bench) {
		state, took := b.drive(lambdahandler.Request{OrchestrationID: "a", Input: lambdabiz.Payload("1")})
		want(t, state, lambdabiz.StatusSucceeded, "9")
		if took > time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestDriveServesChildrenAndTheNextRun(t *testing.T) {
	t.Parallel()
	child := lambdabiz.Define("Child", func(o lambdabiz.Context, n int) (int, error) {
		return lambdabiz.CallTask[int](o, "double", "Double", n)
	})
	def := lambdabiz.Define("Approval", func(o lambdabiz.Context, n int) (int, error) {
		n, err := lambdabiz.CallChild(o, "child", child, n)
		if err == nil && n < 10 {
			return 0, lambdabiz.ContinueAsNew(o, n)
		}
		return n, err
	})
	inBubble(t, configFor(0, def, child), func(b *bench) {
		state, took := b.drive(lambdahandler.Request{OrchestrationID: "a", Input: lambdabiz.Payload("3")})
		want(t, state, lambdabiz.StatusSucceeded, "12")
		if took > 6*time.Second {
			t.Errorf("it took %v, two children take 2 s each", took)
		}
	})
}

func TestDriveLeavesWhenAChildWaits(t *testing.T) {
	t.Parallel()
	child := lambdabiz.Define("Child", func(o lambdabiz.Context, _ int) (int, error) {
		return lambdabiz.WaitForEvent[int](o, "Go")
	})
	def := lambdabiz.Define("Approval", func(o lambdabiz.Context, n int) (int, error) {
		return lambdabiz.CallChild(o, "child", child, n)
	})
	inBubble(t, configFor(0, def, child), func(b *bench) {
		state, took := b.drive(lambdahandler.Request{OrchestrationID: "a", Input: lambdabiz.Payload("3")})
		want(t, state, lambdabiz.StatusStarted, "", "child")
		if took > time.Second {
			t.Errorf("it took %v", took)
		}
		b.raise("a~-child", "Go", 7)
		state, _ = b.drive(lambdahandler.Request{OrchestrationID: "a"})
		want(t, state, lambdabiz.StatusSucceeded, "7")
	})
}

func TestDriveTellsHowItEnded(t *testing.T) {
	t.Parallel()
	inBubble(t, configFor(0, approval), func(b *bench) {
		request := lambdahandler.Request{OrchestrationID: "a", Input: lambdabiz.Payload("4")}
		b.drive(request)
		b.raise("a", "Approve", false)
		state, _ := b.drive(request)
		want(t, state, lambdabiz.StatusFailed, "")
		if state.Error == nil || state.Error.Message != "not approved" {
			t.Errorf("error %+v", state.Error)
		}
		request.OrchestrationID = "b"
		b.drive(request)
		if err := b.client.Cancel(b.t.Context(), "b", "no more"); err != nil {
			t.Fatal(err)
		}
		state, _ = b.drive(request)
		want(t, state, lambdabiz.StatusCancelled, "")
		request.OrchestrationID = "c"
		b.drive(request)
		if err := b.client.Terminate(b.t.Context(), "c", "enough"); err != nil {
			t.Fatal(err)
		}
		state, _ = b.drive(request)
		want(t, state, lambdabiz.StatusTerminated, "")
	})
}

func TestDriveReturnsWhenTheOrchestrationIsBlocked(t *testing.T) {
	t.Parallel()
	def := lambdabiz.Define("Approval", func(lambdabiz.Context, int) (int, error) { panic("out of cheese") })
	inBubble(t, configFor(0, def), func(b *bench) {
		state, took := b.drive(lambdahandler.Request{OrchestrationID: "a", Input: lambdabiz.Payload("4")})
		want(t, state, lambdabiz.StatusStarted, "")
		if state.Blocked == nil || !strings.Contains(state.Blocked.Reason, "out of cheese") || took > time.Second {
			t.Errorf("blocked %+v after %v", state.Blocked, took)
		}
	})
}

func TestDriveRefusesBadRequests(t *testing.T) {
	t.Parallel()
	inBubble(t, configFor(0, approval), func(b *bench) {
		if _, err := lambdabiz.Start(b.t.Context(), b.client, approval, "shared", 1); err != nil {
			t.Fatal(err)
		}
		b.drive(lambdahandler.Request{OrchestrationID: "used", Input: lambdabiz.Payload("4")})
		for field, r := range map[string]lambdahandler.Request{
			"orchestrationId: it is missing":                      {},
			"name: \"Secret\" is none of":                         {OrchestrationID: "a", Name: "Secret"},
			"lambdaRole: \"arn:bad\" is not allowed":              {OrchestrationID: "a", LambdaRole: "arn:bad"},
			"lambdaRole: \"" + role + "\"":                        {OrchestrationID: "a", LambdaRole: role},
			"orchestrationId: load state: check orchestration id": {OrchestrationID: strings.Repeat("x", 300)},
			"name: orchestration used is a \"Approval\"":          {OrchestrationID: "used", Name: "Other"},
			"orchestrationId: orchestration shared is on the ":    {OrchestrationID: "shared"},
		} {
			_, _, err := b.driveFor(2*time.Minute, r)
			if e := as[*lambdahandler.RequestError](t, err); !strings.Contains(e.Error(), field) {
				t.Errorf("%v, want %q", err, field)
			}
		}
	})
}

func TestDriveStartsWithAnAllowedRole(t *testing.T) {
	t.Parallel()
	inBubble(t, configFor(0, approval), func(b *bench) {
		b.drive(lambdahandler.Request{OrchestrationID: "a", Input: lambdabiz.Payload("4"), LambdaRole: other})
		b.drive(lambdahandler.Request{OrchestrationID: "b", Input: lambdabiz.Payload("4")})
		if len(b.roles) != 2 || b.roles[0] != other || b.roles[1] != role {
			t.Errorf("roles %q", b.roles)
		}
	})
}

func TestDriveRefusesATimeoutThatIsTooShort(t *testing.T) {
	t.Parallel()
	inBubble(t, configFor(0, approval), func(b *bench) {
		_, _, err := b.driveFor(30*time.Second, lambdahandler.Request{OrchestrationID: "a", Input: lambdabiz.Payload("4")})
		if e := as[*lambdahandler.RunError](t, err); !strings.Contains(e.Error(), "give the function a timeout of 2m0s or more") {
			t.Error(err)
		}
		if _, err := b.client.State(b.t.Context(), "a"); !errors.Is(err, lambdabiz.ErrNotFound) {
			t.Errorf("it was started: %v", err)
		}
	})
}
