package fakelambda

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"
)

const latest = "$LATEST"

// reference is the pattern of a function's name in the documentation of Invoke: a name, a partial or a
// full ARN, each with or without a version or alias.
var reference = regexp.MustCompile(`^(?:arn:aws[a-zA-Z-]*:lambda:)?(?:[a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-\d:)?(?:\d{12}:)?` +
	`(?:function:)?([a-zA-Z0-9-_.]+)(?::(\$LATEST|[a-zA-Z0-9-_]+))?$`)

// refusal is an answer of Lambda that is no outcome of a function.
type refusal Fault

func refuse(status int, code, format string, args ...any) *refusal {
	return &refusal{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// invoke is the operation Invoke.
func (s *Server) invoke(w http.ResponseWriter, r *http.Request) {
	requestID := uuid()
	w.Header().Set("X-Amzn-Requestid", requestID)
	f, qualifier, refused := s.find(r)
	if refused != nil {
		refused.write(w)
		return
	}
	inv := Invocation{RequestID: requestID, Qualifier: qualifier, Attempt: 1}
	kind := cmp.Or(r.Header.Get("X-Amz-Invocation-Type"), "RequestResponse")
	if refused := read(r, kind, &inv); refused != nil {
		refused.write(w)
		return
	}
	fault := f.nextFault()
	if fault.Drop == DropRequest {
		panic(http.ErrAbortHandler) // cuts the connection
	}
	if fault.Status != 0 {
		(*refusal)(&fault).write(w)
		return
	}
	w.Header().Set("X-Amz-Executed-Version", latest)
	switch kind {
	case "DryRun":
		w.WriteHeader(http.StatusNoContent)
	case "Event":
		inv.Async, inv.ClientContext = true, nil // passed on for synchronous invocations only, says the documentation
		if !s.begin(func() { s.deliver(f, inv) }) {
			panic(http.ErrAbortHandler)
		}
		if fault.Drop == DropAnswer {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusAccepted)
	default:
		s.respond(w, r, f, inv, fault)
	}
}

// respond waits for the outcome. The invocation goes on when the caller has left, as on Lambda (assumed).
func (s *Server) respond(w http.ResponseWriter, r *http.Request, f *function, inv Invocation, fault Fault) {
	type outcome struct {
		answer

		err error
	}
	done := make(chan outcome, 1)
	if !s.begin(func() {
		out, err := f.run(inv)
		done <- outcome{out, err}
	}) {
		panic(http.ErrAbortHandler)
	}
	var out outcome
	select {
	case out = <-done:
	case <-r.Context().Done():
		return
	}
	if fault.Drop == DropAnswer {
		panic(http.ErrAbortHandler)
	}
	if errors.Is(out.err, errThrottled) {
		throttle := Throttle(s.config.RetryAfter)
		(*refusal)(&throttle).write(w)
		return
	}
	if out.err != nil {
		refuse(http.StatusBadGateway, "InvalidRuntimeException", "%v", out.err).write(w)
		return
	}
	if out.fault != "" {
		w.Header().Set("X-Amz-Function-Error", out.fault)
	}
	if r.Header.Get("X-Amz-Log-Type") == "Tail" {
		w.Header().Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString(out.logTail))
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(out.payload)))
	_, _ = w.Write(out.payload) // the caller may have left
}

// find resolves the function of a request.
func (s *Server) find(r *http.Request) (*function, string, *refusal) {
	ref := r.PathValue("name")
	parts := reference.FindStringSubmatch(ref)
	if parts == nil {
		return nil, "", refuse(http.StatusBadRequest, "InvalidParameterValueException", "Invalid function name: %s", ref)
	}
	qualifier, asked := parts[2], r.URL.Query().Get("Qualifier")
	if qualifier != "" && asked != "" && qualifier != asked {
		return nil, "", refuse(http.StatusBadRequest, "InvalidParameterValueException",
			"The derived qualifier from the function name does not match the specified qualifier.")
	}
	qualifier = cmp.Or(qualifier, asked, latest)
	f := s.function(parts[1])
	if f == nil || qualifier != latest && !slices.Contains(f.Qualifiers, qualifier) {
		return nil, "", refuse(http.StatusNotFound, "ResourceNotFoundException", "Function not found: %s", s.arn(parts[1], qualifier))
	}
	return f, qualifier, nil
}

// read takes payload and client context of a request, and checks them.
func read(r *http.Request, kind string, inv *Invocation) *refusal {
	limit := MaxRequestBytes
	switch kind {
	case "Event":
		limit = MaxEventBytes
	case "RequestResponse", "DryRun":
	default:
		return refuse(http.StatusBadRequest, "InvalidParameterValueException", "Invalid invocation type: %s", kind)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(limit)+1))
	if err != nil {
		return refuse(http.StatusBadRequest, "InvalidRequestContentException", "Could not read the request body")
	}
	if len(body) > limit {
		return refuse(http.StatusRequestEntityTooLarge, "RequestTooLargeException",
			"Request must be smaller than %d bytes for the InvokeFunction operation", limit)
	}
	if len(body) == 0 {
		body = []byte("{}") // assumed
	}
	if !json.Valid(body) {
		return refuse(http.StatusBadRequest, "InvalidRequestContentException", "Could not parse request body into json")
	}
	inv.Payload = body
	encoded := r.Header.Get("X-Amz-Client-Context")
	if encoded == "" {
		return nil
	}
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(encoded) > MaxClientContextBytes || !json.Valid(decoded) {
		return refuse(http.StatusBadRequest, "InvalidRequestContentException",
			"Client context must be a valid Base64-encoded JSON object of at most %d bytes", MaxClientContextBytes)
	}
	inv.ClientContext = decoded
	return nil
}

func (e *refusal) write(w http.ResponseWriter) {
	w.Header().Set("X-Amzn-Errortype", e.Code)
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
	}
	body := map[string]string{"Type": "User", "message": e.Message}
	if e.Status >= http.StatusInternalServerError {
		body["Type"] = "Service"
	}
	if e.Reason != "" {
		body["Reason"] = e.Reason
	}
	writeJSON(w, e.Status, body)
}

func writeJSON(w http.ResponseWriter, status int, body map[string]string) {
	encoded, err := json.Marshal(body)
	if err != nil { // strings
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(encoded) // the caller may have left
}

// deliver runs an asynchronous event: a failed one again after RetryDelays, with the same request id, a
// throttled one until it runs. Lambda drops an event after six hours at most; this server ends before.
func (s *Server) deliver(f *function, inv Invocation) {
	throttled := s.config.ThrottleDelay
	for {
		out, err := f.run(inv)
		switch {
		case err != nil:
			if !s.sleep(throttled) {
				return
			}
			throttled = min(2*throttled, maxQueueDelay)
			continue
		case out.fault == "":
			return
		case inv.Attempt > len(s.config.RetryDelays):
			if s.config.OnDropped != nil {
				s.config.OnDropped(f.Name, inv, out.payload)
			}
			return
		}
		if !s.sleep(s.config.RetryDelays[inv.Attempt-1]) {
			return
		}
		inv.Attempt++
	}
}

// sleep waits, and reports false when the server was closed.
func (s *Server) sleep(d time.Duration) bool {
	clock := time.NewTimer(d)
	defer clock.Stop()
	select {
	case <-clock.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// uuid is a random one (RFC 9562, version 4).
func uuid() string {
	b := random(16)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// traceRoot is the id of an X-Ray trace: version, seconds, chance.
func traceRoot() string {
	return fmt.Sprintf("1-%08x-%s", time.Now().Unix(), hex.EncodeToString(random(12)))
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails, says crypto/rand
	return b
}
