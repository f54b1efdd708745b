package rest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"
)

// Response is what a service answered. As the type parameter of [Get] and the others it gives the
// response as it is.
type Response struct {
	Status int
	// Header has the headers that are recorded: Content-Encoding, Content-Language, Content-Location,
	// Content-Type, Date, ETag, Last-Modified, Location (without credentials), Retry-After, the request
	// ids that services give, and those named to [RecordHeader].
	Header http.Header
	// Body is recorded as JSON when its media type is JSON: the same value, though white space and
	// escapes may differ from what was received.
	Body []byte
}

// Decode reads the body as JSON into v. A byte order mark before it is passed over.
func (r Response) Decode(v any) error { return json.Unmarshal(withoutMark(r.Body), v) }

// withoutMark drops the byte order mark that some services put before their JSON, as RFC 8259, section
// 8.1, allows.
func withoutMark(body []byte) []byte { return bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")) }

type responseRecord struct {
	Status int         `json:"status"`
	Header http.Header `json:"header,omitempty"`
	bodyRecord
}

// MarshalJSON writes the response with its body as JSON, text or base64, so that a person can read it.
func (r Response) MarshalJSON() ([]byte, error) {
	return json.Marshal(responseRecord{r.Status, r.Header, recordBody(r.Body, r.Header.Get("Content-Type"))})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (r *Response) UnmarshalJSON(text []byte) error {
	var d responseRecord
	if err := json.Unmarshal(text, &d); err != nil {
		return err
	}
	*r = Response{d.Status, d.Header, d.bytes()}
	return nil
}

// bodyRecord is a body in a record: one of the three, or none when it is empty.
type bodyRecord struct {
	JSON   json.RawMessage `json:"body,omitempty"`
	Text   string          `json:"text,omitempty"`
	Base64 []byte          `json:"base64,omitempty"`
}

func recordBody(body []byte, contentType string) bodyRecord {
	switch {
	case len(body) == 0:
		return bodyRecord{}
	case isJSON(contentType) && utf8.Valid(body) && json.Valid(withoutMark(body)):
		return bodyRecord{JSON: withoutMark(body)}
	case !utf8.Valid(body), textSize(body) > base64.StdEncoding.EncodedLen(max(len(body), readable)):
		return bodyRecord{Base64: body}
	default:
		return bodyRecord{Text: string(body)}
	}
}

// readable is the size up to which text is recorded as text whatever its escapes take.
const readable = 4 << 10

// textSize is how many bytes a text has in JSON, without escapes for HTML.
func textSize(body []byte) int {
	size := len(body)
	for _, b := range body {
		switch {
		case b == '"', b == '\\', b == '\n', b == '\r', b == '\t', b == '\b', b == '\f':
			size++
		case b < ' ':
			size += 5
		}
	}
	return size
}

func (b bodyRecord) bytes() []byte {
	switch {
	case len(b.JSON) > 0:
		return b.JSON
	case b.Text != "":
		return []byte(b.Text)
	default:
		return b.Base64
	}
}

// isJSON reports whether a media type is JSON (RFC 8259, and the suffix of RFC 6839).
func isJSON(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || strings.HasSuffix(media, "+json"))
}

// decode makes a T of the response.
func decode[T any](req Request, resp Response) (T, error) {
	var v T
	switch target := any(&v).(type) {
	case *Response:
		*target = resp
		return v, nil
	case **Response:
		*target = &resp
		return v, nil
	}
	if len(resp.Body) == 0 {
		return v, nil
	}
	if err := resp.Decode(&v); err != nil {
		var none T
		e := newError(req, ReasonDecode)
		e.Status, e.Header, e.Message = resp.Status, resp.Header, err.Error()
		e.setBody(resp.Body)
		return none, e
	}
	return v, nil
}

// recordedHeaders are the response headers that are recorded. Set-Cookie and other credentials never
// are.
var recordedHeaders = []string{
	"Content-Encoding", "Content-Language", "Content-Location", "Content-Type", "Date", "Etag",
	"Last-Modified", "Location", "Retry-After", "Request-Id", "X-Request-Id", "X-Correlation-Id",
	"X-Amzn-Requestid", "X-Ms-Request-Id",
}

// recordHeader picks what is recorded of the response's headers.
func recordHeader(received http.Header, further, values []string) http.Header {
	kept := http.Header{}
	for _, names := range [][]string{recordedHeaders, further} {
		for _, name := range names {
			name = http.CanonicalHeaderKey(name)
			if isCredential(name, nil) {
				continue
			}
			var texts []string
			for _, text := range received.Values(name) {
				if name == "Location" || name == "Content-Location" {
					text = redactLocation(text)
				} else {
					text = redactText(text)
				}
				texts = append(texts, scrub(text, values))
			}
			if texts != nil {
				kept[name] = texts
			}
		}
	}
	return kept
}
