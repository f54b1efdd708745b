package swf

import (
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/swf/types"
	"github.com/aws/smithy-go"

	"github.com/lambdabiz/lambdabiz/internal/awscall"
)

// isUnknown reports that SWF does not know an execution, a task token or a type: it does not exist, or it
// has ended.
func isUnknown(err error) bool {
	var unknown *types.UnknownResourceFault
	return errors.As(err, &unknown)
}

// isAnswered reports that SWF has refused the request for good, and done nothing: asking again would not help. The
// status says so, for not all that SWF can answer is in its model (wrong credentials, say).
func isAnswered(err error) bool { return awscall.IsRefused(err) && !isThrottle(err) }

func isThrottle(err error) bool { return awscall.IsThrottle(err) || hasCode(err, "LimitExceededFault") }

func isDenied(err error) bool {
	return hasCode(err, "AccessDeniedException", "OperationNotPermittedFault")
}

func hasCode(err error, codes ...string) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	for _, code := range codes {
		if api.ErrorCode() == code {
			return true
		}
	}
	return false
}
