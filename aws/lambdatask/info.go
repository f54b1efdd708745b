package lambdatask

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/lambdabiz/lambdabiz"
)

// Keys of the client context, under "custom".
const (
	KeyIdempotency   = "lambdabiz-idempotency-key"
	KeyOrchestration = "lambdabiz-orchestration-id"
	KeyRun           = "lambdabiz-run-id"
	KeyOperation     = "lambdabiz-operation-id"
	KeyAttempt       = "lambdabiz-attempt"
)

// Info is what a Lambda function knows of the operation that it performs.
type Info struct {
	OrchestrationID string
	RunID           string
	OperationID     string // the operation's path
	IdempotencyKey  string // the same for every attempt
	Attempt         int    // from 1; a re-run after a crash has the same number
}

// InfoFrom returns the information of the operation in whose name a Go function on Lambda was invoked. It
// reports false when the function was invoked by somebody else. It works under lambda.Start of aws-lambda-go,
// with the context of the handler. What it returns is the caller's word: whoever may invoke the function
// can set it.
func InfoFrom(ctx context.Context) (Info, bool) {
	lc, ok := lambdacontext.FromContext(ctx)
	if !ok {
		return Info{}, false
	}
	custom := lc.ClientContext.Custom
	attempt, err := strconv.Atoi(custom[KeyAttempt])
	if err != nil || custom[KeyIdempotency] == "" {
		return Info{}, false
	}
	return Info{
		OrchestrationID: custom[KeyOrchestration], RunID: custom[KeyRun], OperationID: custom[KeyOperation],
		IdempotencyKey: custom[KeyIdempotency], Attempt: attempt,
	}, true
}

// clientContext encodes what InfoFrom reads. It returns lambdabiz.ErrTooLarge when the ids are too long
// together: nothing is shortened, since a function may rely on each.
func clientContext(info lambdabiz.TaskInfo) (string, error) {
	encoded, err := json.Marshal(map[string]map[string]string{"custom": {
		KeyIdempotency: info.IdempotencyKey, KeyOrchestration: info.OrchestrationID, KeyRun: info.RunID,
		KeyOperation: info.OperationID, KeyAttempt: strconv.Itoa(info.Attempt),
	}})
	if err != nil {
		return "", fmt.Errorf("encode client context: %w", err)
	}
	text := base64.StdEncoding.EncodeToString(ascii(encoded))
	if len(text) > MaxClientContextBytes {
		return "", fmt.Errorf("encode client context: %w: %d bytes for the ids of the operation, the limit of Lambda is %d",
			lambdabiz.ErrTooLarge, len(text), MaxClientContextBytes)
	}
	return text, nil
}

// ascii escapes what is not ASCII in JSON: runtimes get the client context in a header.
func ascii(encoded []byte) []byte {
	plain := make([]byte, 0, len(encoded))
	for _, c := range string(encoded) {
		switch {
		case c < utf8.RuneSelf:
			plain = utf8.AppendRune(plain, c)
		case c < 0x10000:
			plain = fmt.Appendf(plain, `\u%04x`, c)
		default:
			high, low := utf16.EncodeRune(c)
			plain = fmt.Appendf(plain, `\u%04x\u%04x`, high, low)
		}
	}
	return plain
}
