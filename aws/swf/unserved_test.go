package swf_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// byHand drives an orchestration until f returns, or for a minute.
func byHand(t *testing.T, b *swf.Backend, id string, f func(o *lambdabiz.Orchestration) error) error {
	t.Helper()
	e, err := lambdabiz.New(b, lambdabiz.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	o, err := e.Create(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Start(nil, lambdabiz.OnUsedID(lambdabiz.RestartEnded)); err != nil {
		t.Fatal(err)
	}
	return f(o)
}

var double = lambdabiz.NewService("Double", func(_ context.Context, n int) (int, error) { return 2 * n, nil })

func TestUnservedNamesWhatNobodyTakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := openBackend(t, configFor(newServer(t, fakeswf.Config{})))
		e, err := lambdabiz.New(b, lambdabiz.Config{})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now().UTC()
		_, err = e.StartByName(t.Context(), "Nobody", "n/1", nil, lambdabiz.OnUsedID(lambdabiz.RestartEnded))
		if err != nil {
			t.Fatal(err)
		}
		err = byHand(t, b, "h", func(o *lambdabiz.Orchestration) error {
			_, err := lambdabiz.Call(o, "branch/call", double, 1)
			return err
		})
		if !errors.Is(err, lambdabiz.ErrWaiting) {
			t.Fatal(err)
		}
		found, err := b.Unserved(t.Context(), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		want := []swf.Unserved{
			{ID: "n/1", Name: "Nobody", TaskList: "lambdabiz", Since: began},
			{ID: "h", TaskList: "lambdabiz-h.rest", Operation: "branch~1call", Kind: lambdabiz.KindService, Since: began},
		}
		for i := range found {
			if found[i].RunID == "" {
				t.Errorf("%s has no run id", found[i].ID)
			}
			found[i].RunID, found[i].Since = "", found[i].Since.Truncate(time.Minute)
			if found[i].ID == "h" {
				found[i].Name = ""
			}
		}
		slices.SortFunc(found, func(x, y swf.Unserved) int { return strings.Compare(y.ID, x.ID) })
		if !slices.Equal(found, want) {
			t.Errorf("unserved are %+v, want %+v", found, want)
		}
		if found, err := b.Unserved(t.Context(), time.Hour); err != nil || len(found) != 0 {
			t.Errorf("unserved for an hour are %+v, %v", found, err)
		}
		_, stop := work(t, b, lambdabiz.Config{TaskQueues: []string{"lambdabiz-h"}}, double,
			lambdabiz.Define("Nobody", func(lambdabiz.Context, any) (any, error) { return nil, nil }))
		time.Sleep(time.Minute)
		if found, err := b.Unserved(t.Context(), 0); err != nil || len(found) != 0 {
			t.Errorf("unserved beside a worker are %+v, %v", found, err)
		}
		stop()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAWorkerTakesSoManyTasksOfItsQueues(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := openBackend(t, configFor(newServer(t, fakeswf.Config{})))
		running, most := make(chan int, 10), 0
		slow := lambdabiz.NewService("Slow", func(_ context.Context, n int) (int, error) {
			running <- n
			most = max(most, len(running))
			time.Sleep(time.Second)
			<-running
			return n, nil
		})
		e, err := lambdabiz.New(b, lambdabiz.Config{TaskQueues: []string{"other", "lambdabiz-h"}, MaxTasks: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Register(slow); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- e.RunTasks(ctx) }()
		err = byHand(t, b, "h", func(o *lambdabiz.Orchestration) error {
			out, err := lambdabiz.Map(o, "all", []int{1, 2, 3}, func(n int) string { return string(rune('a' + n)) },
				func(o lambdabiz.Context, n int) (int, error) { return lambdabiz.Call(o, "slow", slow, n) })
			return errors.Join(err, o.Complete(out))
		})
		if err != nil {
			t.Error(err)
		}
		if most != 1 {
			t.Errorf("%d tasks ran at once", most)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAValueDoesNotReachATaskThatSWFPerforms(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := openBackend(t, configFor(newServer(t, fakeswf.Config{})))
		type key struct{}
		err := byHand(t, b, "h", func(o *lambdabiz.Orchestration) error {
			_, err := lambdabiz.Call(o, "call", double, 1, lambdabiz.WithValue(key{}, "secret"))
			return err
		})
		var unsupported *lambdabiz.UnsupportedError
		if !errors.As(err, &unsupported) || unsupported.Feature != lambdabiz.FeatureValue || unsupported.Backend != "swf" {
			t.Errorf("the error is %v", err)
		}
		rec, err := b.Load(t.Context(), "h", "")
		if err != nil || len(rec.Operations) != 0 {
			t.Errorf("recorded is %+v, %v", rec, err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// What a poll brings after its asker has gone must not wait for the time-out of its heartbeats.
func TestClosingGivesTasksBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{})
		caller, other := openBackend(t, configFor(server)), openBackend(t, configFor(server))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := other.NextTask(ctx, lambdabiz.TaskRequest{Kind: lambdabiz.KindService, Queue: "lambdabiz-h"})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		closed := make(chan error, 1)
		go func() { closed <- other.Close() }()
		begun := time.Now()
		err = byHand(t, caller, "h", func(o *lambdabiz.Orchestration) error {
			e, err := lambdabiz.New(caller, lambdabiz.Config{TaskQueues: []string{"lambdabiz-h"}})
			if err != nil {
				return err
			}
			if err := e.Register(double); err != nil {
				return err
			}
			go func() {
				if err := <-closed; err != nil {
					t.Error(err)
				}
				if err := e.RunTasks(o); err != nil {
					t.Error(err)
				}
			}()
			n, err := lambdabiz.Call(o, "call", double, 4)
			if n != 8 {
				t.Errorf("the result is %d", n)
			}
			return err
		})
		if took := time.Since(begun); err != nil || took > 30*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		if err := caller.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestADomainThatIsOnlyLookedAtIsNotRegistered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{})
		c := configFor(server)
		c.ExistingDomain = true
		if _, err := swf.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "there is no domain LambdaBiz") {
			t.Errorf("the error is %v", err)
		}
		if n := server.Calls()["RegisterDomain"]; n != 0 {
			t.Errorf("%d domains were registered", n)
		}
		check := func(name, words string) {
			t.Helper()
			for _, k := range swf.CheckConfig(t.Context(), c) {
				switch {
				case k.Name == name && (k.Err == nil || !strings.Contains(k.Err.Error(), words)):
					t.Errorf("%s: %v", name, k.Err)
				case k.Name != name && k.Err != nil:
					t.Errorf("%s: %v", k.Name, k.Err)
				}
			}
		}
		check("domain", "does not exist")
		c.ExistingDomain = false
		if err := openBackend(t, c).Close(); err != nil {
			t.Fatal(err)
		}
		check("", "")
		c.LambdaRole = "lambdabiz-invoker"
		check("lambda role", "not the ARN")
		c.LambdaRole = ""
		c.AWS.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("no such profile")
		})
		check("credentials", "no such profile")
		c.AWS.Region = ""
		check("region", "Region is empty")
	})
}
