package swf_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz/internal/fakeswf"
)

// latency is how long a call takes here: what the original's busy waiting costs depends on it.
const latency = 200 * time.Millisecond

// meter counts the calls of a process that do something: not polls that came back empty, nor registrations, which
// happen once per process.
type meter struct {
	next http.RoundTripper
	only []string // the actions that count; nil for all

	mu    sync.Mutex
	calls map[string]int
}

func newMeter(server *fakeswf.Server, only ...string) *meter {
	return &meter{next: server.Transport(), only: only, calls: map[string]int{}}
}

func (m *meter) RoundTrip(r *http.Request) (*http.Response, error) {
	name, _ := action(r)
	<-time.After(latency)
	answer, err := m.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	if strings.HasPrefix(name, "Register") || strings.HasPrefix(name, "Poll") && !bytes.Contains(body, []byte(`"taskToken"`)) {
		return answer, nil
	}
	for _, wanted := range m.only {
		if name == wanted {
			m.add(name)
		}
	}
	if m.only == nil {
		m.add(name)
	}
	return answer, nil
}

func (m *meter) add(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls[name]++
}

func (m *meter) total() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, c := range m.calls {
		n += c
	}
	return n
}

// cost is what a run took of SWF.
type cost struct{ calls, events int }

func (c cost) less(d cost) cost { return cost{c.calls - d.calls, c.events - d.events} }

// eventsOf counts the events of the latest run of an id.
func eventsOf(t *testing.T, server *fakeswf.Server, id string) int {
	t.Helper()
	n := len(server.Events("LambdaBiz", id, ""))
	if n == 0 {
		t.Fatalf("%s has no history", id)
	}
	return n
}

// slowly is the functions of the sequence, each a second long.
func slowly(b *bodies) fakeswf.Config {
	return fakeswf.Config{Lambda: func(ctx context.Context, name, input string) (string, error) {
		<-time.After(time.Second)
		return b.lambdas(ctx, name, input)
	}}
}
