package lambdatask

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/lambdabiz/lambdabiz/internal/awscall"
)

// class is what follows from an answer of Lambda that is no outcome of a function.
type class int

const (
	classPolicy  class = iota // the call's Retry policy decides
	classAgain                // nothing has run: try again within the attempt
	classService              // an internal error, after which something may have run: try again within the attempt
	classFinal                // the caller's mistake: no further attempt
)

// classes are the errors that the documentation of Invoke lists, and those that all services of AWS have
// ("Common errors"). Others are judged by their HTTP status.
var classes = map[string]class{
	// Throttled, or the function cannot be started yet.
	"TooManyRequestsException": classAgain, "ThrottlingException": classAgain, "Throttling": classAgain,
	"RequestLimitExceeded": classAgain, "EC2ThrottledException": classAgain,
	"ENILimitReachedException": classAgain, "SubnetIPAddressLimitReachedException": classAgain,
	"ResourceConflictException": classAgain, "ResourceNotReadyException": classAgain, "ENINotReadyException": classAgain,
	"SnapStartNotReadyException": classAgain, "CodeArtifactUserPendingException": classAgain,
	// "The AWS Lambda service encountered an internal error": retry, says the documentation.
	"ServiceException": classService, "InternalFailure": classService, "InternalServerError": classService,
	"ServiceUnavailable": classService, "ServiceUnavailableException": classService,
	// Credentials that are renewed, clocks that are set: another attempt may do.
	"ExpiredTokenException": classPolicy, "ExpiredToken": classPolicy, "RequestExpired": classPolicy,
	// 4xx, but about the file system, which may come back.
	"EFSMountConnectivityException": classPolicy, "EFSMountTimeoutException": classPolicy, "EFSIOException": classPolicy,
	"S3FilesMountConnectivityException": classPolicy, "S3FilesMountTimeoutException": classPolicy,
	"SnapStartTimeoutException": classPolicy, "SnapStartException": classPolicy,
	// 5xx, but about how the function is set up.
	"InvalidRuntimeException": classFinal, "InvalidZipFileException": classFinal, "InvalidSecurityGroupIDException": classFinal,
	"InvalidSubnetIDException": classFinal, "EC2AccessDeniedException": classFinal, "KMSAccessDeniedException": classFinal,
	"KMSDisabledException": classFinal, "KMSInvalidStateException": classFinal, "KMSNotFoundException": classFinal,
}

// faultOf makes an *InvokeError of an error of the SDK.
func faultOf(function string, err error) *InvokeError {
	if content, ok := errors.AsType[*types.InvalidRequestContentException](err); ok { // it quotes the payload
		content.Message = aws.String(awscall.Clean(content.ErrorMessage()))
	}
	e := &InvokeError{Function: function, Message: cut(plainText(err), maxMessageBytes), err: err}
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		e.Status, e.RequestID = response.HTTPStatusCode(), response.ServiceRequestID()
	}
	api, answered := errors.AsType[smithy.APIError](err)
	if !answered {
		switch _, sent := errors.AsType[*smithyhttp.RequestSendError](err); {
		case sent && unreachable(err):
			e.again = true
		default: // an answer that cannot be read means that the function has run, as a rule
			e.MayHaveRun = sent || e.Status != 0
		}
		return e
	}
	e.Code, e.Message = api.ErrorCode(), cut(api.ErrorMessage(), maxMessageBytes)
	kind, known := classes[e.Code]
	switch {
	case known:
	case isClockSkew(e.Code, e.Message):
		kind = classAgain
	case e.Status == http.StatusTooManyRequests:
		kind = classAgain
	case e.Status >= 400 && e.Status < 500 && e.Status != http.StatusRequestTimeout:
		kind = classFinal
	default: // a proxy's answer, or a new one
		e.MayHaveRun = true
	}
	e.again = kind == classAgain || kind == classService
	e.MayHaveRun = e.MayHaveRun || kind == classService
	e.Final = kind == classFinal
	e.wait = retryAfter(err)
	return e
}

// isClockSkew reports whether the signature was refused for its time. The SDK learns the service's time
// from such an answer, so that the next try is right.
func isClockSkew(code, message string) bool {
	switch code {
	case "RequestTimeTooSkewed", "RequestInTheFuture":
		return true
	case "InvalidSignatureException", "SignatureDoesNotMatch":
		return strings.Contains(message, "Signature expired") || strings.Contains(message, "Signature not yet current")
	}
	return false
}

// unreachable reports whether no connection came about, so that nothing was sent.
func unreachable(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial" && !errors.Is(err, context.DeadlineExceeded)
}

// plainText is the reason in an error of the SDK, without its names of operations and requests.
func plainText(err error) string {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err.Error()
	}
	if e, ok := errors.AsType[*smithy.OperationError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}

// retryAfter is the wait that a throttle asks for.
func retryAfter(err error) time.Duration {
	text := ""
	if e, ok := errors.AsType[*types.TooManyRequestsException](err); ok && e.RetryAfterSeconds != nil {
		text = *e.RetryAfterSeconds
	} else if e, ok := errors.AsType[*awshttp.ResponseError](err); ok && e.Response != nil {
		text = e.Response.Header.Get("Retry-After")
	}
	seconds, fault := strconv.Atoi(strings.TrimSpace(text))
	if fault != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxRetryAfter)
}

// maxRetryAfter bounds what a header can ask for.
const maxRetryAfter = time.Hour
