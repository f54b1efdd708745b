package awscall

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// CleanErrors is an option of a client (APIOptions): the errors of its calls do not quote what was sent. AWS's
// ValidationException does ("Value '...' at 'input' failed to satisfy constraint: ..."), and errors go into logs and
// records, where payloads must not be.
func CleanErrors(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("LambdaBizCleanErrors", func(
		ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler,
	) (middleware.DeserializeOutput, middleware.Metadata, error) {
		out, meta, err := next.HandleDeserialize(ctx, in)
		// It is no type of the SDK's model, but the one for all others, whose text is put together when it is asked.
		if api, ok := errors.AsType[*smithy.GenericAPIError](err); ok && quotes(api.Code) {
			api.Message = Clean(api.Message)
		}
		return out, meta, err //nolint:wrapcheck // it is the SDK's own
	}), middleware.Before)
}

func quotes(code string) bool {
	return strings.Contains(code, "Validation") || strings.Contains(code, "Serialization") || strings.HasPrefix(code, "Invalid")
}

// constraint is the end of a ValidationException: the last member that is wrong, and what it must be.
var constraint = regexp.MustCompile(`' at '([A-Za-z0-9.\[\]_-]{1,200}' failed to satisfy constraint: Member must [^'"{]{1,200})$`)

// Clean cuts out of a message of AWS what it quotes of the request: all from its first quotation mark on, but which
// member was wrong last, and why.
func Clean(message string) string {
	first := strings.IndexAny(message, `'"`)
	if first < 0 {
		return message
	}
	kept := message[:first] + "…"
	if last := constraint.FindStringSubmatch(message[first:]); last != nil {
		kept += " at '" + last[1]
	}
	return kept
}

// Status is the HTTP status of the answer that an error is about; 0 if there was none.
func Status(err error) int {
	if answer, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		return answer.HTTPStatusCode()
	}
	return 0
}

// IsThrottle reports that the service had no room for a request: it did nothing, and may be asked again.
func IsThrottle(err error) bool {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		switch api.ErrorCode() {
		case "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException",
			"TooManyRequestsException", "RequestLimitExceeded", "SlowDown", "PriorRequestNotComplete":
			return true
		}
	}
	return Status(err) == http.StatusTooManyRequests
}

// IsRefused reports that the service has refused a request for good, and done nothing: it answered with a status of
// 400 to 499, whatever the error's code, and asking again would not help.
func IsRefused(err error) bool {
	status := Status(err)
	return status >= http.StatusBadRequest && status < http.StatusInternalServerError &&
		status != http.StatusRequestTimeout && !IsThrottle(err)
}
