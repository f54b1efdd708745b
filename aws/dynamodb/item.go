package dynamodb

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/lambdabiz/lambdabiz"
)

// The sort keys.
const (
	sortRun       = "RUN"
	prefixOp      = "OP#"
	prefixMessage = "IN#"
	prefixEvent   = "EV#"
	sortCounter   = "EVN"
	prefixMonth   = "MONTH#"
	monthsID      = "#months"
)

const (
	shards      = 4
	inlineInbox = 64 << 10 // bytes of messages that are kept in the run's own item
	longestName = 900      // bytes of a path or key in a sort key, which may have 1,024

	timeLayout  = "2006-01-02T15:04:05.000000Z"
	monthLayout = "2006-01"
)

// item is what DynamoDB keeps, by attribute.
type item map[string]types.AttributeValue

func (i item) text(name, value string) { i[name] = &types.AttributeValueMemberS{Value: value} }

func (i item) number(name string, value int64) {
	i[name] = &types.AttributeValueMemberN{Value: strconv.FormatInt(value, 10)}
}

// bytes sets a payload; nil is no attribute.
func (i item) bytes(name string, value []byte) {
	if value != nil {
		i[name] = &types.AttributeValueMemberB{Value: value}
	}
}

func (i item) getText(name string) string {
	v, ok := i[name].(*types.AttributeValueMemberS)
	if !ok {
		return ""
	}
	return v.Value
}

func (i item) getNumber(name string) (int64, error) {
	v, ok := i[name].(*types.AttributeValueMemberN)
	if !ok {
		return 0, fmt.Errorf("decode item: attribute %s is no number", name)
	}
	return strconv.ParseInt(v.Value, 10, 64)
}

func (i item) getBytes(name string) []byte {
	v, ok := i[name].(*types.AttributeValueMemberB)
	switch {
	case !ok:
		return nil
	case v.Value == nil:
		return []byte{} // there, and empty
	}
	return v.Value
}

func (i item) getTime(name string) (time.Time, error) { return parseTime(i.getText(name)) }

// size is about what DynamoDB counts.
func (i item) size() int {
	n := 0
	for name, value := range i {
		n += len(name)
		switch v := value.(type) {
		case *types.AttributeValueMemberS:
			n += len(v.Value)
		case *types.AttributeValueMemberB:
			n += len(v.Value)
		case *types.AttributeValueMemberN:
			n += len(v.Value)
		}
	}
	return n
}

// check returns ErrTooLarge for an item that does not fit.
func (i item) check(what string) error {
	if n := i.size(); n > maxItem {
		return fmt.Errorf("%s: %w: %d bytes, the limit is %d", what, lambdabiz.ErrTooLarge, n, maxItem)
	}
	return nil
}

// whole is a time as it is stored: UTC, in microseconds.
func whole(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// formatTime makes text that sorts like the time.
func formatTime(t time.Time) (string, error) {
	t = whole(t)
	if t.Year() < 0 || t.Year() > 9999 {
		return "", fmt.Errorf("encode time: year %d is not one of 0 to 9999", t.Year())
	}
	return t.Format(timeLayout), nil
}

func parseTime(text string) (time.Time, error) { return time.Parse(timeLayout, text) }

// formatVersion makes text that sorts like the version.
func formatVersion(v lambdabiz.SnapshotVersion) (string, error) {
	start, err := formatTime(v.Start)
	if err != nil {
		return "", err
	}
	if v.Event < 0 {
		return "", fmt.Errorf("encode version: event %d is negative", v.Event)
	}
	return fmt.Sprintf("%s %019d", start, v.Event), nil
}

func parseVersion(text string) (lambdabiz.SnapshotVersion, error) {
	start, event, _ := strings.Cut(text, " ")
	t, err := parseTime(start)
	if err != nil {
		return lambdabiz.SnapshotVersion{}, fmt.Errorf("decode version: %w", err)
	}
	n, err := strconv.ParseInt(event, 10, 64)
	if err != nil {
		return lambdabiz.SnapshotVersion{}, fmt.Errorf("decode version: %w", err)
	}
	return lambdabiz.SnapshotVersion{Start: t, Event: n}, nil
}

// sortKey is a prefix with a name, which is cut and hashed if it is long. What comes of that is longer than
// any name that is not, so the two never meet.
func sortKey(prefix, name string) string {
	if len(name) <= longestName {
		return prefix + name
	}
	sum := sha256.Sum256([]byte(name))
	return prefix + strings.ToValidUTF8(name[:longestName-40], "") + "~" + hex.EncodeToString(sum[:])
}

// ofRun begins the sort keys of a run's own items. Those of earlier runs of its id stay until they expire, and are not read
// with it.
func ofRun(prefix, runID string) string {
	sum := sha256.Sum256([]byte(runID))
	return prefix + hex.EncodeToString(sum[:8]) + "#"
}

// partition is the index's partition of a run.
func partition(status lambdabiz.Status, month string, shard int) string {
	if status.Ended() {
		return fmt.Sprintf("%s#%s#%d", status, month, shard)
	}
	return fmt.Sprintf("%s#%d", status, shard)
}

func shardOf(id string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // never fails
	return int(h.Sum32() % shards)
}

// message is a message in JSON; its payload is kept as bytes, whatever it is.
type message struct {
	lambdabiz.Message
	Payload []byte
}

// encoder makes the items of a snapshot.
type encoder struct {
	*Store
	snapshot *lambdabiz.Snapshot
	version  string
	ttl      int64 // of what belongs to the run; 0 for none
	err      error
}

func (s *Store) encoder(snapshot *lambdabiz.Snapshot) *encoder {
	e := &encoder{Store: s, snapshot: snapshot}
	e.version, e.err = formatVersion(snapshot.Version)
	if s.retention >= 0 {
		written := snapshot.SavedAt
		if now := time.Now(); written.Before(now) {
			written = now
		}
		e.ttl = written.Add(longestRun + s.retention).Unix()
	}
	return e
}

// item begins one that belongs to the run.
func (e *encoder) item(sort string) item {
	i := item{}
	i.text(attrID, e.snapshot.ID)
	i.text(attrSort, sort)
	i.text(attrVersion, e.version)
	i.text(attrRun, e.snapshot.RunID)
	return i
}

func (e *encoder) expires(i item, ttl int64) {
	if e.retention >= 0 {
		i.number(attrTTL, ttl)
	}
}

func (e *encoder) json(i item, name string, value any) {
	text, err := json.Marshal(value)
	if err != nil && e.err == nil {
		e.err = fmt.Errorf("encode %s: %w", name, err)
	}
	i.text(name, string(text))
}

func (e *encoder) time(i item, name string, t time.Time) {
	text, err := formatTime(t)
	if err != nil && e.err == nil {
		e.err = err
	}
	i.text(name, text)
}

func (e *encoder) check(i item, what string) {
	if e.err == nil {
		e.err = i.check(what)
	}
}

func (e *encoder) operation(o lambdabiz.Operation) item {
	i := e.item(sortKey(ofRun(prefixOp, e.snapshot.RunID), o.ID))
	i.number(attrNumber, o.Number)
	i.bytes("in", o.Input)
	i.bytes("out", o.Result)
	i.bytes("details", o.Details)
	e.expires(i, e.ttl)
	what := "operation " + o.ID
	o.Input, o.Result, o.Details = nil, nil, nil
	o.ScheduledAt, o.StartedAt, o.EndedAt = whole(o.ScheduledAt), whole(o.StartedAt), whole(o.EndedAt)
	o.DueAt, o.ExpiresAt = whole(o.DueAt), whole(o.ExpiresAt)
	e.json(i, "body", o)
	e.check(i, what)
	return i
}

// run makes the item of the run, and those of its messages if they do not fit into it.
func (e *encoder) run() (run item, messages []item) {
	info := e.snapshot.RunInfo
	run = e.item(sortRun)
	run.text("status", info.Status.String())
	run.text("name", info.Name)
	run.text("home", e.snapshot.BackendRunID)
	e.time(run, "saved", e.snapshot.SavedAt)
	run.bytes("in", info.Input)
	run.bytes("out", info.Result)
	run.bytes("progress", info.Progress)
	start, err := formatTime(info.ScheduledAt)
	if err != nil {
		e.err = err
		return run, nil
	}
	run.text(attrIndexKey, partition(info.Status, start[:len(monthLayout)], shardOf(info.ID)))
	run.text(attrIndexSort, start+"#"+info.ID)
	if info.Status.Ended() {
		ended := info.EndedAt
		if ended.IsZero() {
			ended = e.snapshot.SavedAt
		}
		e.expires(run, ended.Add(e.retention).Unix())
	}
	info.Input, info.Result, info.Progress = nil, nil, nil
	info.ScheduledAt, info.StartedAt, info.EndedAt = whole(info.ScheduledAt), whole(info.StartedAt), whole(info.EndedAt)
	info.Deadline, info.WakeAt = whole(info.Deadline), whole(info.WakeAt)
	if b := info.Blocked; b != nil {
		c := *b
		c.Since, c.RetryAt = whole(b.Since), whole(b.RetryAt)
		info.Blocked = &c
	}
	e.json(run, attrInfo, info)
	messages = e.messages(run)
	e.check(run, "run "+info.RunID)
	return run, messages
}

// messages puts the messages into the run's item if they are few, and their numbers otherwise.
func (e *encoder) messages(run item) []item {
	if len(e.snapshot.Messages) == 0 {
		return nil
	}
	all := make([]message, len(e.snapshot.Messages))
	for n, m := range e.snapshot.Messages {
		m.ArrivedAt = whole(m.ArrivedAt)
		all[n] = message{m, m.Payload}
	}
	e.json(run, "messages", all)
	if len(run.getText("messages")) <= inlineInbox && run.size() <= maxItem {
		return nil
	}
	items := make([]item, len(all))
	numbers := make([]int64, len(all))
	for n, m := range all {
		i := e.item(fmt.Sprintf("%s%019d", ofRun(prefixMessage, e.snapshot.RunID), m.Number))
		i.bytes("p", m.Payload)
		m.Payload = nil
		e.json(i, "body", m)
		e.expires(i, e.ttl)
		e.check(i, "message "+m.Name)
		items[n], numbers[n] = i, m.Number
	}
	delete(run, "messages")
	e.json(run, "inbox", numbers)
	return items
}
