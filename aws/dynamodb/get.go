package dynamodb

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/lambdabiz/lambdabiz"
)

// Get reads the run, then its operations, consistently; see [lambdabiz.Store]. An operation may be newer
// than the run, never older.
func (s *Store) Get(ctx context.Context, id string) (*lambdabiz.Snapshot, error) {
	if id == "" {
		return nil, lambdabiz.ErrNotFound // DynamoDB refuses an empty key
	}
	snapshot, err := s.get(ctx, id)
	if err != nil {
		return nil, s.fault("get "+id, err)
	}
	if snapshot == nil {
		return nil, lambdabiz.ErrNotFound
	}
	return snapshot, nil
}

// get returns nil without an error when the id has no run.
func (s *Store) get(ctx context.Context, id string) (*lambdabiz.Snapshot, error) {
	run, err := s.getItem(ctx, id, sortRun)
	if err != nil || run == nil {
		return nil, err
	}
	snapshot, err := decodeRun(run)
	if err != nil {
		return nil, err
	}
	items, err := s.query(ctx, id, ofRun(prefixOp, snapshot.RunID))
	if err != nil {
		return nil, err
	}
	for _, i := range items {
		o, err := decodeOperation(i)
		if err != nil {
			return nil, err
		}
		snapshot.Operations = append(snapshot.Operations, o)
	}
	slices.SortFunc(snapshot.Operations, func(x, y lambdabiz.Operation) int { return cmp.Compare(x.Number, y.Number) })
	if inbox := run.getText("inbox"); inbox != "" {
		snapshot.Messages, err = s.inbox(ctx, snapshot, inbox)
	}
	return snapshot, err
}

// inbox reads the messages with the given numbers.
func (s *Store) inbox(ctx context.Context, snapshot *lambdabiz.Snapshot, inbox string) ([]lambdabiz.Message, error) {
	var numbers []int64
	if err := json.Unmarshal([]byte(inbox), &numbers); err != nil {
		return nil, fmt.Errorf("decode inbox: %w", err)
	}
	items, err := s.query(ctx, snapshot.ID, ofRun(prefixMessage, snapshot.RunID))
	if err != nil {
		return nil, err
	}
	found := map[int64]lambdabiz.Message{}
	for _, i := range items {
		var m message
		if err := json.Unmarshal([]byte(i.getText("body")), &m); err != nil {
			return nil, fmt.Errorf("decode message: %w", err)
		}
		m.Message.Payload = i.getBytes("p")
		found[m.Number] = m.Message
	}
	var messages []lambdabiz.Message
	for _, n := range numbers {
		if m, ok := found[n]; ok {
			messages = append(messages, m)
		}
	}
	return messages, nil
}

func decodeRun(run item) (*lambdabiz.Snapshot, error) {
	snapshot := &lambdabiz.Snapshot{BackendRunID: run.getText("home")}
	if err := json.Unmarshal([]byte(run.getText(attrInfo)), &snapshot.RunInfo); err != nil {
		return nil, fmt.Errorf("decode run: %w", err)
	}
	var err error
	if snapshot.Version, err = parseVersion(run.getText(attrVersion)); err != nil {
		return nil, err
	}
	if snapshot.SavedAt, err = run.getTime("saved"); err != nil {
		return nil, fmt.Errorf("decode run: %w", err)
	}
	snapshot.Input, snapshot.Result, snapshot.Progress = run.getBytes("in"), run.getBytes("out"), run.getBytes("progress")
	if inline := run.getText("messages"); inline != "" {
		var messages []message
		if err := json.Unmarshal([]byte(inline), &messages); err != nil {
			return nil, fmt.Errorf("decode messages: %w", err)
		}
		for _, m := range messages {
			m.Message.Payload = m.Payload
			snapshot.Messages = append(snapshot.Messages, m.Message)
		}
	}
	return snapshot, nil
}

func decodeOperation(i item) (lambdabiz.Operation, error) {
	var o lambdabiz.Operation
	if err := json.Unmarshal([]byte(i.getText("body")), &o); err != nil {
		return o, fmt.Errorf("decode operation: %w", err)
	}
	var err error
	o.Number, err = i.getNumber(attrNumber)
	o.Input, o.Result, o.Details = i.getBytes("in"), i.getBytes("out"), i.getBytes("details")
	return o, err
}

// Delete removes the run, so that nobody sees it any more, then its operations; see [lambdabiz.Store].
// After an error the same Delete again removes what is left.
func (s *Store) Delete(ctx context.Context, id, runID string) error {
	if id == "" || runID == "" {
		return nil
	}
	return s.fault("delete "+id, s.delete(ctx, id, runID))
}

func (s *Store) delete(ctx context.Context, id, runID string) error {
	run, err := s.getItem(ctx, id, sortRun)
	if err != nil {
		return err
	}
	values := item{}
	values.text(":run", runID)
	err = s.remove(ctx, id, sortRun, "attribute_not_exists(pk) OR #run = :run", runName, values)
	if conditionFailed(err) {
		return nil // another run
	}
	if err != nil {
		return err
	}
	for _, prefix := range []string{prefixOp, prefixMessage} {
		items, err := s.query(ctx, id, prefix)
		if err != nil {
			return err
		}
		// Those of earlier runs go too, those of a newer one stay.
		items = slices.DeleteFunc(items, func(i item) bool {
			return i.getText(attrRun) != runID && i.getText(attrVersion) >= run.getText(attrVersion)
		})
		err = parallel(ctx, len(items), func(ctx context.Context, n int) error {
			err := s.remove(ctx, id, items[n].getText(attrSort), "v = :v", nil, item{":v": items[n][attrVersion]})
			if conditionFailed(err) {
				return nil // gone, or newer by now
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// remove deletes an item under a condition.
func (s *Store) remove(ctx context.Context, id, sort, condition string, names map[string]string, values item) error {
	key := item{}
	key.text(attrID, id)
	key.text(attrSort, sort)
	_, err := s.client.DeleteItem(ctx, &sdk.DeleteItemInput{
		TableName: &s.table, Key: key, ConditionExpression: &condition,
		ExpressionAttributeNames: names, ExpressionAttributeValues: values,
	})
	return err
}
