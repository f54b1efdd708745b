package swf_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf"
	"github.com/lambdabiz/lambdabiz/internal/standins"
)

var (
	doubled = lambdabiz.NewTask("Double", func(_ context.Context, in float64) (float64, error) { return 2 * in, nil })
	flaky   = lambdabiz.NewTask("Flaky", func(ctx context.Context, in float64) (float64, error) {
		if info, _ := lambdabiz.TaskInfoFrom(ctx); info.Attempt == 1 {
			return 0, errors.New("not yet")
		}
		return in + 1, nil
	})
	errRefused = errors.New("refused")
)

// onMoto is what moto can do of an orchestration: no Lambda function, no child, no event for another run.
var onMoto = lambdabiz.Define("OnMoto", func(o lambdabiz.Context, in float64) (float64, error) {
	a, err := lambdabiz.Call(o, "double", doubled, in)
	if err != nil {
		return 0, err
	}
	b, err := lambdabiz.Step(o, "step", func(context.Context) (float64, error) { return a + 0.5, nil })
	if err != nil {
		return 0, err
	}
	c, err := lambdabiz.Call(o, "flaky", flaky, b, lambdabiz.Retry(lambdabiz.Backoff{Initial: time.Second, Attempts: 3}))
	if err != nil {
		return 0, err
	}
	if err := lambdabiz.Sleep(o, "timer", time.Second); err != nil {
		return 0, err
	}
	// The timer loses, and is cancelled: moto's event for that is misspelt.
	timer := lambdabiz.Go(o, "late", func(o lambdabiz.Context) (bool, error) {
		return true, lambdabiz.Sleep(o, "hour", time.Hour)
	})
	event := lambdabiz.Go(o, "asked", func(o lambdabiz.Context) (bool, error) {
		return lambdabiz.WaitForEvent[bool](o, "answer", lambdabiz.Named("Approve"), lambdabiz.Timeout(30*time.Minute))
	})
	winner, err := lambdabiz.Race(o, "race", timer, event)
	if err != nil || winner != 1 {
		return 0, errors.Join(errRefused, err)
	}
	if ok, err := event.Wait(o); err != nil || !ok {
		return 0, errors.Join(errRefused, err)
	}
	return c, lambdabiz.SetProgress(o, "approved")
})

func TestAnOrchestrationRunsOnMoto(t *testing.T) {
	t.Parallel()
	b := openBackend(t, swf.Config{
		AWS: aws.Config{
			Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
		},
		Endpoint: standins.Moto(t), Domain: "run-" + rand.Text(), Logger: slog.New(slog.DiscardHandler),
	})
	e, stop := work(t, b, lambdabiz.Config{}, onMoto, doubled, flaky)
	start := func(id string) *lambdabiz.Run[float64] {
		run, err := lambdabiz.Start(t.Context(), e, onMoto, id, 20, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
		if err != nil {
			t.Fatal(err)
		}
		return run
	}
	one, two := start("one"), start("two")
	if _, err := lambdabiz.Start(t.Context(), e, onMoto, "one", 20,
		lambdabiz.OnUsedID(lambdabiz.RejectOpen)); !errors.Is(err, lambdabiz.ErrExists) {
		t.Errorf("a second start of an open id: %v", err)
	}
	for _, id := range []string{"one", "two"} {
		if err := e.RaiseEvent(t.Context(), id, "Approve", true); err != nil {
			t.Fatal(err)
		}
	}
	for _, run := range []*lambdabiz.Run[float64]{one, two} {
		if out, err := run.Result(t.Context()); err != nil || out != 41.5 {
			t.Error(out, err)
		}
	}
	state, err := e.State(t.Context(), "two") // moto's lists ignore the id that they are asked for
	if err != nil || state.ID != "two" || state.Status != lambdabiz.StatusSucceeded {
		t.Error(state, err)
	}
	if err := e.RaiseEvent(t.Context(), "two", "Approve", true); !errors.Is(err, lambdabiz.ErrClosed) {
		t.Errorf("an event for an ended run: %v", err)
	}
	stop()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}
