package swf_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/swf/types"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/aws/swf"
	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
	"github.com/lambdabiz/lambdabiz/test/campaign"
)

// The tests of this file are sabotage twins: each switches a protection off, on the wire of one process, and expects
// the checks of the fault tests to see what comes of it.

// tamper changes the answers of a process's calls.
func tamper(server *fakeswf.Server, change func(name string, answer map[string]any)) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		name, _ := action(r)
		answer, err := server.Transport().RoundTrip(r)
		if err != nil || answer.StatusCode != http.StatusOK {
			return answer, err
		}
		var body map[string]any
		if err := json.NewDecoder(answer.Body).Decode(&body); err != nil { // an empty answer
			answer.Body = http.NoBody
			return answer, nil //nolint:nilerr // there is nothing to change
		}
		change(name, body)
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
		return answer, nil
	})
}

// attributesOf is the attributes of the events of a type in an answer.
func attributesOf(answer map[string]any, kind string) []map[string]any {
	var all []map[string]any
	events, _ := answer["events"].([]any)
	for _, e := range events {
		event, _ := e.(map[string]any)
		if event["eventType"] != kind {
			continue
		}
		for name, value := range event {
			if a, ok := value.(map[string]any); ok && strings.HasSuffix(name, "Attributes") {
				all = append(all, a)
			}
		}
	}
	return all
}

// TestSabotageOfTheJournal: a worker that takes over and does not see what is recorded.
func TestSabotageOfTheJournal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBodies()
		server := newServer(t, slowly(b))
		wire := newCutter(server, 0, false)
		p := newProgram(b)
		first := client(t, through(server, wire))
		wire.at, wire.count = 9, 0
		first.workOn(p.definition, p.task)
		user := client(t, configFor(server))
		if _, err := lambdabiz.Start(t.Context(), user.Engine, p.definition, "P", numbers{15, 5},
			lambdabiz.OnUsedID(lambdabiz.RejectOpen)); err != nil {
			t.Fatal(err)
		}
		<-wire.cut
		client(t, through(server, tamper(server, func(_ string, answer map[string]any) {
			for _, a := range attributesOf(answer, "DecisionTaskCompleted") {
				delete(a, "executionContext")
			}
		}))).workOn(p.definition, p.task)
		<-time.After(90 * time.Second)
		events := historyOf(t, server, "P")
		twice := b.all()["lambda Number"] > 1 || countOf(events, types.EventTypeLambdaFunctionScheduled) > 3
		if !twice {
			t.Errorf("nothing ran twice: %v", b.all())
		}
		campaign.Red(t, "F41", "the journal", strings.Join(swf.CheckHistory(events), "; "))
	})
}

// TestSabotageOfTheCap: the cap on what is open is below the quota, or the quota would be met. Even
// then nothing is lost: what was refused is asked for again.
func TestSabotageOfTheCap(t *testing.T) {
	t.Parallel()
	ids := make([]int, 150)
	for i := range ids {
		ids[i] = i
	}
	wide := lambdabiz.Define("Wide", func(o lambdabiz.Context, _ int) (int, error) {
		got, err := lambdabiz.Map(o, "map", ids, strconv.Itoa, func(o lambdabiz.Context, i int) (int, error) {
			return lambdabiz.CallTask[int](o, "f", "Remote", i)
		})
		return len(got), err
	})
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t, fakeswf.Config{Limits: fakeswf.Limits{OpenLambdas: 100}, Lambda: func(
			_ context.Context, _, input string,
		) (string, error) {
			<-time.After(time.Second)
			return input, nil
		}})
		p := client(t, configFor(server)).workOn(wide)
		run, err := lambdabiz.Start(t.Context(), p.Engine, wide, "W", 0, lambdabiz.OnUsedID(lambdabiz.RejectOpen))
		if err != nil {
			t.Fatal(err)
		}
		if out := result(t, server, p.Engine, run, "W"); out != len(ids) {
			t.Error("the items are", out)
		}
		if n := countOf(wantSound(t, server, "W"), types.EventTypeScheduleLambdaFunctionFailed); n < 50 {
			t.Errorf("%d were refused", n)
		} else {
			campaign.Red(t, "F41", "the cap on open Lambda functions", fmt.Sprintf("%d were refused", n))
		}
	})
}
