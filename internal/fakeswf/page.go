package fakeswf

import (
	"encoding/base64"
	"encoding/json"
	"slices"
)

// pageToken is what stands in nextPageToken. It is opaque to clients; "Keep all other arguments unchanged".
type pageToken struct {
	Of       string `json:"o"`           // what is paged: a list's name, or a run id
	Position int    `json:"p"`           // how many came before
	From     int    `json:"f,omitempty"` // of a decision task: the index of its first event
	Started  int64  `json:"s,omitempty"` // of a decision task: its startedEventId, the last event that it has
	Previous int64  `json:"v,omitempty"` // of a decision task: its previousStartedEventId
	Token    string `json:"t,omitempty"` // of a decision task: its task token
}

func (t pageToken) String() string {
	text, err := json.Marshal(t)
	if err != nil { // strings and numbers always marshal
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(text)
}

// parsePage reads the token of a request; without one it is the zero token.
func parsePage(in object) (pageToken, error) {
	var t pageToken
	if in.text("nextPageToken") == "" {
		return t, nil
	}
	text, err := base64.StdEncoding.DecodeString(in.text("nextPageToken"))
	if err == nil {
		err = json.Unmarshal(text, &t)
	}
	if err != nil || t.Position <= 0 {
		return t, invalidf("Invalid token")
	}
	return t, nil
}

// pageSize is the request's, at most and by default the limit.
func (s *Server) pageSize(in object) int {
	size := int(in.number("maximumPageSize"))
	if size <= 0 || size > s.limits.PageSize {
		return s.limits.PageSize
	}
	return size
}

// pageOf answers with one page of a list that is in its default order.
func (s *Server) pageOf(member string, all []object, in object) (object, error) {
	token, err := parsePage(in)
	if err != nil {
		return nil, err
	}
	if token.Position > 0 && token.Of != member {
		return nil, invalidf("Invalid token")
	}
	if in.flag("reverseOrder") {
		slices.Reverse(all)
	}
	from := min(token.Position, len(all))
	to := min(from+s.pageSize(in), len(all))
	page := make([]any, 0, to-from)
	for _, o := range all[from:to] {
		page = append(page, o)
	}
	out := object{member: page}
	if to < len(all) {
		out["nextPageToken"] = pageToken{Of: member, Position: to}.String()
	}
	return out, nil
}
