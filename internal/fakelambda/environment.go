package fakelambda

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// environment is one process of a bootstrap with the Runtime API that it talks to.
type environment struct {
	f      *function
	number int
	cmd    *exec.Cmd
	api    *http.Server
	cold   bool // has not served yet

	ready   chan struct{}   // the process asks for the next invocation
	work    chan Invocation // hands it over
	broken  chan []byte     // the error of the init phase
	exited  chan struct{}   // closed when the process has ended
	exitErr error           // valid then
	output  *tail

	mu       sync.Mutex
	current  string // the request id that may be answered
	answers  chan answer
	deadline time.Time
}

// startEnvironment starts a process. Its Runtime API has a port of its own, so that an answer can only
// come from the process that was asked.
func startEnvironment(f *function, number int) (*environment, error) {
	listener, err := (&net.ListenConfig{}).Listen(f.s.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the runtime of %s: %w", f.Name, err)
	}
	e := &environment{
		f: f, number: number, cold: true,
		ready: make(chan struct{}, 1), work: make(chan Invocation), broken: make(chan []byte, 1),
		exited: make(chan struct{}), output: &tail{copyTo: f.s.config.Logs},
	}
	e.cmd = exec.CommandContext(context.WithoutCancel(f.s.ctx), f.Bootstrap) //nolint:gosec // running what the caller gives is its purpose
	e.cmd.Dir = filepath.Dir(f.Bootstrap)
	e.cmd.Env = append(e.environ(listener.Addr().String()), f.Env...)
	e.cmd.Stdout, e.cmd.Stderr = e.output, e.output
	e.cmd.WaitDelay = time.Second // a grandchild may hold the output open
	if err := e.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", f.Bootstrap, err), listener.Close())
	}
	e.api = &http.Server{Handler: e.routes(), ReadHeaderTimeout: time.Minute}
	f.s.running.Go(func() {
		if err := e.api.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			e.kill()
		}
	})
	f.s.running.Go(e.wait)
	return e, nil
}

// environ is what Lambda sets ("Defined runtime environment variables" in its documentation), as far as
// it makes sense here. There are no credentials: a function that needs some gets them by Function.Env.
func (e *environment) environ(api string) []string {
	return []string{
		"AWS_LAMBDA_RUNTIME_API=" + api,
		"AWS_LAMBDA_FUNCTION_NAME=" + e.f.Name,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=" + strconv.Itoa(e.f.MemoryMB),
		"AWS_LAMBDA_FUNCTION_VERSION=" + latest,
		"AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/" + e.f.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME=local/" + strconv.Itoa(e.number),
		"AWS_REGION=" + e.f.s.config.Region,
		"AWS_DEFAULT_REGION=" + e.f.s.config.Region,
		"LAMBDA_TASK_ROOT=" + filepath.Dir(e.f.Bootstrap),
		"_HANDLER=bootstrap", "LANG=en_US.UTF-8", "TZ=:UTC", "PATH=/usr/local/bin:/usr/bin/:/bin",
	}
}

func (e *environment) wait() {
	e.exitErr = e.cmd.Wait()
	e.f.gone(e)
	close(e.exited)
	_ = e.api.Close() // its only client is dead
}

// kill ends the process by SIGKILL, even a frozen one.
func (e *environment) kill() { _ = e.cmd.Process.Kill() } // an error says that it has ended

// serve performs one invocation, and reports whether the environment can take another one.
func (e *environment) serve(inv Invocation) (answer, bool) {
	if e.cold {
		e.cold = false
		if out, ok := e.init(inv); !ok {
			return out, false
		}
	} else if e.f.Freeze {
		thaw(e.cmd.Process)
	}
	e.output.reset()
	e.mu.Lock()
	e.current, e.answers, e.deadline = inv.RequestID, make(chan answer, 1), time.Now().Add(e.f.Timeout)
	answers := e.answers
	e.mu.Unlock()
	clock := time.NewTimer(e.f.Timeout)
	defer clock.Stop()
	select {
	case e.work <- inv:
		e.f.started(inv)
	case <-e.exited:
		return e.died(inv, answers), false
	case <-clock.C: // it asked, and hung up
		return answer{fault: unhandled, payload: timeoutError(inv.RequestID, e.f.Timeout)}, false
	}
	select {
	case out := <-answers:
		return out, e.settle(clock)
	case <-e.exited:
		return e.died(inv, answers), false
	case <-clock.C:
		return answer{fault: unhandled, payload: timeoutError(inv.RequestID, e.f.Timeout), logTail: e.output.bytes()}, false
	}
}

// init waits until the process asks for its first invocation.
func (e *environment) init(inv Invocation) (answer, bool) {
	clock := time.NewTimer(initLimit)
	defer clock.Stop()
	select {
	case <-e.ready:
		return answer{}, true
	case body := <-e.broken:
		return answer{fault: unhandled, payload: body}, false
	case <-e.exited:
		select {
		case body := <-e.broken: // said before it went
			return answer{fault: unhandled, payload: body}, false
		default:
			return e.died(inv, nil), false
		}
	case <-clock.C:
		return answer{fault: unhandled, payload: timeoutError(inv.RequestID, initLimit)}, false
	}
}

// settle waits for the end of an invocation that is answered: it lasts until the process asks for the next
// one, as the documentation of the Runtime API says.
func (e *environment) settle(clock *time.Timer) bool {
	select {
	case <-e.ready:
		if e.f.Freeze {
			freeze(e.cmd.Process)
		}
		return true
	case <-e.exited:
	case <-clock.C:
	}
	return false
}

// died is the outcome of an invocation whose process has ended. It may have answered before.
func (e *environment) died(inv Invocation, answers <-chan answer) answer {
	select {
	case out := <-answers:
		return out
	default:
	}
	how := "Runtime exited without providing a reason"
	if e.exitErr != nil {
		how = "Runtime exited with error: " + e.exitErr.Error()
	}
	return answer{fault: unhandled, payload: exitError(inv.RequestID, how), logTail: e.output.bytes()}
}

func (e *environment) routes() http.Handler {
	mux := http.NewServeMux()
	const runtime = "/2018-06-01/runtime/"
	mux.HandleFunc("GET "+runtime+"invocation/next", e.next)
	mux.HandleFunc("POST "+runtime+"invocation/{id}/response", func(w http.ResponseWriter, r *http.Request) { e.post(w, r, "") })
	mux.HandleFunc("POST "+runtime+"invocation/{id}/error", func(w http.ResponseWriter, r *http.Request) { e.post(w, r, unhandled) })
	mux.HandleFunc("POST "+runtime+"init/error", e.initError)
	return mux
}

// next blocks until there is an invocation.
func (e *environment) next(w http.ResponseWriter, r *http.Request) {
	select {
	case e.ready <- struct{}{}:
	default: // it asked already
	}
	select {
	case inv := <-e.work:
		e.mu.Lock()
		deadline := e.deadline
		e.mu.Unlock()
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Lambda-Runtime-Aws-Request-Id", inv.RequestID)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", e.f.s.arn(e.f.Name, inv.Qualifier))
		h.Set("Lambda-Runtime-Trace-Id", "Root="+traceRoot()+";Sampled=0")
		if inv.ClientContext != nil {
			h.Set("Lambda-Runtime-Client-Context", string(inv.ClientContext))
		}
		_, _ = w.Write(inv.Payload) // the process may be dead: its exit is the outcome
	case <-r.Context().Done():
	case <-e.exited:
	}
}

// post takes the result or the error of the current invocation. The trailers are those by which a
// runtime reports an error in the middle of a response.
func (e *environment) post(w http.ResponseWriter, r *http.Request, fault string) {
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxResponseBytes+1))
	if err != nil {
		return // the process has died
	}
	out := answer{payload: body, fault: fault}
	status := http.StatusAccepted
	if len(body) > MaxResponseBytes {
		rest, _ := io.Copy(io.Discard, r.Body)
		out = answer{fault: unhandled, payload: tooLargeError(len(body) + int(rest))}
		status = http.StatusRequestEntityTooLarge
	} else if kind := r.Trailer.Get("Lambda-Runtime-Function-Error-Type"); kind != "" {
		details, err := base64.StdEncoding.DecodeString(r.Trailer.Get("Lambda-Runtime-Function-Error-Body"))
		if err != nil || len(details) == 0 {
			details = encodeError(FunctionError{Type: kind})
		}
		out = answer{fault: unhandled, payload: details}
	}
	out.logTail = e.output.bytes()
	e.mu.Lock()
	known := e.current != "" && e.current == r.PathValue("id")
	if known {
		e.current = ""
		e.answers <- out
	}
	e.mu.Unlock()
	if !known {
		writeJSON(w, http.StatusBadRequest, map[string]string{"errorType": "InvalidRequestID", "errorMessage": "Invalid request ID"})
		return
	}
	writeJSON(w, status, map[string]string{"status": "OK"})
}

func (e *environment) initError(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxResponseBytes))
	if err != nil {
		return
	}
	select {
	case e.broken <- body:
	default: // the first one counts
	}
	writeJSON(w, http.StatusAccepted, map[string]string{"status": "OK"})
}

// tail keeps the last of what a process prints.
type tail struct {
	copyTo io.Writer

	mu   sync.Mutex
	last []byte
}

// Write keeps the last bytes, and hands everything on.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, p...)
	if over := len(t.last) - maxLogBytes; over > 0 {
		t.last = t.last[over:]
	}
	if t.copyTo != nil {
		return t.copyTo.Write(p)
	}
	return len(p), nil
}

func (t *tail) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = nil
}

func (t *tail) bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]byte(nil), t.last...)
}
