package process_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lambdabiz/lambdabiz"
	"github.com/lambdabiz/lambdabiz/postgres"
	"github.com/lambdabiz/lambdabiz/sqlite"
)

// patience is how long a test waits for a line before it gives up: far longer than anything takes on a machine that is
// busy with other things, and far shorter than the leases that tests take for endless.
const patience = time.Minute

// endless is a lease that never runs out in a test.
const endless = time.Hour

// home is what a backend of a test can do.
type home interface {
	lambdabiz.Backend
	lambdabiz.Waker
	lambdabiz.Informer

	Close() error
}

// openHome opens the database that a URL names, or else the file.
func openHome(ctx context.Context, file, url string, busy time.Duration) (home, error) {
	if url != "" {
		return postgres.Open(ctx, url, postgres.Config{})
	}
	return sqlite.OpenConfig(ctx, sqlite.Config{Path: file, BusyTimeout: busy})
}

// bench is one database with the processes of a test on it: a file, or where there is a URL that one. The test itself is a
// client.
type bench struct {
	t       *testing.T
	file    string
	url     string
	effects string
	program string // of the children; empty for the one that runs
	backend home   // the client's
	client  *lambdabiz.Engine
}

func setup(t *testing.T) *bench {
	t.Helper()
	b := setupUnopened(t)
	b.open()
	return b
}

// setupUnopened leaves the file to the children.
func setupUnopened(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	return &bench{t: t, file: filepath.Join(dir, "test.db"), effects: filepath.Join(dir, "effects")}
}

func (b *bench) open() {
	b.t.Helper()
	backend, err := openHome(b.t.Context(), b.file, b.url, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	b.backend = backend
	b.client, err = lambdabiz.New(backend, lambdabiz.Config{PollInterval: 20 * time.Millisecond})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := b.client.Close(); err != nil {
			b.t.Error(err)
		}
	})
}

func (b *bench) state(id string) *lambdabiz.State {
	b.t.Helper()
	s, err := b.look(id)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *bench) look(id string) (s *lambdabiz.State, err error) {
	err = b.persist(func() (err error) {
		s, err = b.client.State(b.t.Context(), id)
		return err
	})
	return s, err
}

// persist repeats what a server that is away has not done.
func (b *bench) persist(do func() error) error { return persist(b.t.Context(), b.url != "", do) }

// start starts a script from outside: some worker takes it.
func (b *bench) start(id string, moves ...move) {
	b.t.Helper()
	if _, err := lambdabiz.Start(b.t.Context(), b.client, script, id, moves); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) raise(id, event, payload string) {
	b.t.Helper()
	if err := b.client.RaiseEvent(b.t.Context(), id, event, payload, lambdabiz.Key("the only "+event)); err != nil {
		b.t.Fatal(err)
	}
}

// result waits for an outcome that must be a success.
func (b *bench) result(id string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	var out string
	err := b.persist(func() (err error) {
		out, err = lambdabiz.Get(b.client, script, id).Result(ctx)
		return err
	})
	if err != nil {
		b.t.Fatalf("result of %s: %v; state %s", id, err, b.dump(id))
	}
	return out
}

func (b *bench) dump(id string) string {
	text, err := json.Marshal(b.state(id))
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

// operation finds a recorded operation by its path.
func (b *bench) operation(id, path string) lambdabiz.Operation {
	b.t.Helper()
	for _, o := range b.state(id).Operations {
		if o.ID == path {
			return o
		}
	}
	b.t.Fatalf("orchestration %s has no operation %q: %s", id, path, b.dump(id))
	return lambdabiz.Operation{}
}

// process is a child, as its parent sees it.
type process struct {
	b     *bench
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser

	mu      sync.Mutex
	lines   []string
	stderr  strings.Builder
	changed chan struct{} // closed, and made anew, with every line
	exited  chan struct{}
}

// spawn starts a child on the bench's database.
func (b *bench) spawn(a args) *process {
	b.t.Helper()
	a.File, a.URL, a.Effects = b.file, b.url, b.effects
	if a.Role == "" {
		a.Role = "work"
	}
	text, err := json.Marshal(a)
	if err != nil {
		b.t.Fatal(err)
	}
	cmd := exec.Command(cmp.Or(b.program, os.Args[0])) //nolint:noctx // a test says itself how its processes end
	cmd.Env = append(os.Environ(), childVariable+"="+string(text),
		"GORACE=atexit_sleep_ms=0") // or the race detector keeps every child for a second
	p := &process{b: b, name: a.Name, cmd: cmd, changed: make(chan struct{}), exited: make(chan struct{})}
	out, err := cmd.StdoutPipe()
	if err == nil {
		p.stdin, err = cmd.StdinPipe()
	}
	cmd.Stderr = stderrOf{p}
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.t.Fatal(err)
	}
	go p.read(out)
	b.t.Cleanup(p.finish)
	return p
}

// worker starts a child and waits until it works: from then on what it starts it also runs.
func (b *bench) worker(a args) *process {
	b.t.Helper()
	p := b.spawn(a)
	p.await("ready")
	return p
}

func (p *process) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, lines.Text())
		close(p.changed)
		p.changed = make(chan struct{})
		p.mu.Unlock()
	}
	_ = p.cmd.Wait() // how it ended is in the state
	close(p.exited)
}

// stderrOf collects what a child logs.
type stderrOf struct{ p *process }

func (w stderrOf) Write(text []byte) (int, error) {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	return w.p.stderr.Write(text)
}

func (p *process) finish() {
	p.kill()
	p.mu.Lock()
	defer p.mu.Unlock()
	log := p.stderr.String()
	if strings.Contains(log, "DATA RACE") {
		p.b.t.Errorf("data race in process %s:\n%s", p.name, log)
	} else if p.b.t.Failed() {
		p.b.t.Logf("process %s\n%s\n%s", p.name, strings.Join(p.lines, "\n"), log)
	}
}

// await waits for a line that begins with the words, and returns what follows them. A line that came
// before counts.
func (p *process) await(words string) string {
	p.b.t.Helper()
	return p.awaitNth(words, 1)
}

func (p *process) awaitNth(words string, nth int) string {
	p.b.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	gone := false
	for {
		found, changed := p.find(words)
		switch {
		case len(found) >= nth:
			return found[nth-1]
		case gone:
			p.b.t.Fatalf("process %s has ended (%v) without the line %q", p.name, p.cmd.ProcessState, words)
		}
		select {
		case <-changed:
		case <-p.exited:
			gone = true
		case <-limit.C:
			p.b.t.Fatalf("process %s does not say %q", p.name, words)
		}
	}
}

// find returns what follows the words in every line that begins with them.
func (p *process) find(words string) ([]string, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []string
	for _, line := range p.lines {
		if rest, ok := strings.CutPrefix(line, words); ok && (rest == "" || rest[0] == ' ') {
			found = append(found, strings.TrimSpace(rest))
		}
	}
	return found, p.changed
}

// awaitAny waits until one of the processes has said the words, and returns that one.
func (b *bench) awaitAny(words string, processes ...*process) *process {
	b.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	news := make(chan struct{}, len(processes))
	stop := make(chan struct{})
	defer close(stop)
	for {
		for _, p := range processes {
			found, changed := p.find(words)
			if len(found) > 0 {
				return p
			}
			go func() {
				select {
				case <-changed:
					news <- struct{}{}
				case <-stop:
				}
			}()
		}
		select {
		case <-news:
		case <-limit.C:
			b.t.Fatalf("no process says %q", words)
		}
	}
}

func (p *process) said(words string) int {
	found, _ := p.find(words)
	return len(found)
}

// tell sends a command. A process that has just ended does not hear it.
func (p *process) tell(words ...string) {
	p.b.t.Helper()
	_, err := io.WriteString(p.stdin, strings.Join(words, " ")+"\n")
	if err != nil && !errors.Is(err, os.ErrClosed) && !strings.Contains(err.Error(), "broken pipe") {
		p.b.t.Fatal(err)
	}
}

// start lets the process start a script, and waits until that is acknowledged.
func (p *process) start(id string, moves ...move) {
	p.b.t.Helper()
	p.launch(id, moves...)
	p.await("started " + id)
}

// launch lets the process start a script.
func (p *process) launch(id string, moves ...move) {
	p.b.t.Helper()
	text, err := json.Marshal(moves)
	if err != nil {
		p.b.t.Fatal(err)
	}
	p.tell("start", id, strings.ReplaceAll(string(text), " ", `\u0020`))
}

// kill ends the process as kill -9 does, and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.exited
}

// lastWords is the last line that the process has logged.
func (p *process) lastWords() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(p.stderr.String()), "\n")
	return lines[len(lines)-1]
}

// awaitExit waits until the process has ended by itself, and returns its exit code.
func (p *process) awaitExit() int {
	p.b.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-p.exited:
	case <-limit.C:
		p.b.t.Fatalf("process %s does not end", p.name)
	}
	return p.cmd.ProcessState.ExitCode()
}
