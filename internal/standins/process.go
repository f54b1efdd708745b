package standins

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"
)

const (
	startLimit = 5 * time.Minute // on a busy computer
	logLimit   = 32 << 10        // bytes of the log that are kept
)

// process is a running stand-in.
type process struct {
	endpoint string
	log      *tail
	// stdin is what keeps it alive: it ends when this pipe closes. It stands here so that the collector does not close it.
	stdin io.Closer
	ended chan struct{} // closed when it has ended
}

// start runs the command and returns when it has printed its port: from then on it accepts connections.
func start(command []string) (*process, error) {
	cmd := exec.CommandContext(context.Background(), command[0], command[1:]...) //nolint:gosec // commands are in standins.go
	cmd.Env = environment(cmd.Environ())
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	log := &tail{port: make(chan int, 1)}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, stdin.Close())
	}
	p := &process{log: log, stdin: stdin, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		log.end(cmd.Wait())
	}()
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	select {
	case port := <-log.port:
		p.endpoint = fmt.Sprintf("http://127.0.0.1:%d", port)
		return p, nil
	case <-p.ended:
		return nil, fmt.Errorf("it ended before it served:\n%s", log)
	case <-limit.C:
		return nil, errors.Join(fmt.Errorf("it does not serve after %v:\n%s", startLimit, log), p.stop())
	}
}

// stop ends it by closing its standard input, as the end of the test binary does, and waits.
func (p *process) stop() error {
	err := p.stdin.Close()
	<-p.ended
	return err
}

// tail keeps the last of what a stand-in prints, and finds the line with its port.
type tail struct {
	port chan int // has room for one

	mu    sync.Mutex
	line  []byte // the last line, as far as it has come; nil once the port is known
	known bool
	kept  []byte
}

// Write takes what the stand-in printed; it never fails.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	if over := len(t.kept) - logLimit; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	if !t.known {
		t.line = append(t.line, b...)
	}
	for !t.known {
		line, rest, whole := bytes.Cut(t.line, []byte("\n"))
		if !whole {
			break
		}
		t.line = rest
		if port, err := portOf(string(line)); err == nil {
			t.known, t.line = true, nil
			t.port <- port
		}
	}
	return len(b), nil
}

// String returns what is kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.kept))
}

// end notes how it ended.
func (t *tail) end(err error) {
	words := "ended"
	if err != nil {
		words = err.Error()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, "\n"+words...)
}
