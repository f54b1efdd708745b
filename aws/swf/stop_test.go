package swf_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// stopsAtClaim is a backend whose worker is told to stop at the moment in which a claim is answered.
type stopsAtClaim struct {
	*swf.Backend
	stop func()
}

func (b stopsAtClaim) Claim(ctx context.Context, r lambdabiz.ClaimRequest) (lambdabiz.Claims, error) {
	claims, err := b.Backend.Claim(ctx, r)
	if len(claims.Runs) > 0 {
		b.stop()
	}
	return claims, err
}

// TestNoClaimIsLostWhenItsWorkerStops: a decision task that nobody answers holds its run up until its time-out, at
// every deployment.
func TestNoClaimIsLostWhenItsWorkerStops(t *testing.T) {
	t.Parallel()
	d := lambdabiz.Define("D", func(o lambdabiz.Context, _ int) (int, error) {
		return lambdabiz.WaitForEvent[int](o, "e")
	})
	for name, onItsWay := range map[string]bool{"on its way from SWF": true, "on its way to the engine": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t, fakeswf.Config{})
				lost := 0
				for i := range 200 {
					id := fmt.Sprintf("R%d", i)
					stopWhileClaiming(t, server, d, id, onItsWay)
					if isWithNobody(server, id) {
						lost++
					}
				}
				if lost > 0 {
					t.Errorf("%d of 200 claims were lost", lost)
				}
			})
		})
	}
}

// stopWhileClaiming starts a run, and a worker that is stopped while the answer to its claim is on its way.
func stopWhileClaiming(
	t *testing.T, server *fakeswf.Server, d *lambdabiz.Definition[int, int], id string, onItsWay bool,
) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	c := through(server, roundTrip(func(r *http.Request) (*http.Response, error) {
		name, _ := action(r)
		answer, err := server.Transport().RoundTrip(r)
		if name == "PollForDecisionTask" && onItsWay && err == nil {
			stop()
		}
		return answer, err
	}))
	b := openBackend(t, c)
	e, err := lambdabiz.New(stopsAtClaim{b, stop}, lambdabiz.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Register(d); err != nil {
		t.Fatal(err)
	}
	if _, err := lambdabiz.Start(ctx, e, d, id, 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen)); err != nil {
		t.Fatal(err)
	}
	if err := e.Run(ctx); err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if _, err := sdk(server).TerminateWorkflowExecution(t.Context(), terminate(id)); err != nil {
		t.Error(err)
	}
}

// isWithNobody reports whether a run's last decision task was begun, and never answered.
func isWithNobody(server *fakeswf.Server, id string) bool {
	begun := false
	for _, e := range server.Events("LambdaBiz", id, "") {
		switch {
		case e.Type == string(types.EventTypeDecisionTaskStarted):
			begun = true
		case strings.HasPrefix(e.Type, "DecisionTask"):
			begun = false
		}
	}
	return begun
}
