package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"

	lambdabiz "github.com/lambdabiz/lambdabiz"
)

// maxInput bounds what is read from standard input; the engine's own limit is lower and names the field.
const maxInput = 64 << 20

// word is what is likely meant as a text.
var word = regexp.MustCompile(`^\pL`)

// payload reads a JSON argument: given in place, as "-" on standard input, or left out for null.
func (a *app) payload(ctx context.Context, field string, given []string) (lambdabiz.Payload, error) {
	text := []byte("null")
	switch {
	case len(given) > 0 && given[0] == "-":
		var err error
		if text, err = a.readInput(ctx); err != nil {
			return nil, fmt.Errorf("read %s from standard input: %w", field, err)
		}
		if len(text) > maxInput {
			return nil, usagef("%s on standard input is over %d bytes", field, maxInput)
		}
	case len(given) > 0:
		text = []byte(given[0])
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) // editors and shells of Windows put a mark before it
	var compact json.RawMessage
	if err := json.Unmarshal(text, &compact); err != nil {
		hint := ""
		if quoted := `"` + string(text) + `"`; len(text) < 40 && word.Match(text) && json.Valid([]byte(quoted)) {
			hint = fmt.Sprintf("; a text needs quotes, '%s'", quoted)
		}
		return nil, usagef("%s is %q, it must be JSON: %w%s", field, cut(string(text), 40), err, hint)
	}
	return lambdabiz.Payload(compact), nil
}

// readInput reads standard input. A read cannot be ended: when ctx ends first it is left behind, and
// the program's end ends it.
func (a *app) readInput(ctx context.Context) ([]byte, error) {
	var text []byte
	done := make(chan error, 1)
	go func() {
		var err error
		text, err = io.ReadAll(io.LimitReader(a.in, maxInput+1))
		done <- err
	}()
	select {
	case err := <-done:
		return text, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
