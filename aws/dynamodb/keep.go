package dynamodb

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/lambdabiz/lambdabiz"
)

// errID: DynamoDB has no empty keys.
var errID = errors.New("the id or the key is empty")

// Keep takes a number for the event, then writes it; see [lambdabiz.Store].
func (s *Store) Keep(ctx context.Context, id string, e lambdabiz.KeptEvent) error {
	return s.fault("keep event "+e.Name+" for "+id, s.keep(ctx, id, e))
}

func (s *Store) keep(ctx context.Context, id string, e lambdabiz.KeptEvent) error {
	if id == "" || e.Key == "" {
		return errID
	}
	i := item{}
	i.text(attrID, id)
	i.text(attrSort, sortKey(prefixEvent, e.Key))
	i.text("name", e.Name)
	i.text("key", e.Key)
	i.bytes("p", e.Payload)
	arrived, err := formatTime(e.ArrivedAt)
	if err != nil {
		return err
	}
	until, err := formatTime(e.Until)
	if err != nil {
		return err
	}
	i.text("arrived", arrived)
	i.text(attrUntil, until)
	i.number(attrTTL, e.Until.Unix()+1)
	if err := i.check("event " + e.Name); err != nil {
		return err
	}
	number, err := s.nextEvent(ctx, id, e.Until)
	if err != nil {
		return err
	}
	i.number(attrNumber, number)
	values := item{}
	values.text(":now", arrived)
	return s.write(ctx, write{i, ifOver, map[string]string{"#until": attrUntil}, values})
}

// nextEvent returns a number above those of all events that were kept for the id before. It begins with
// the clock's microseconds, so that numbers grow even after DynamoDB has removed the counter, which it may
// when no event is left.
func (s *Store) nextEvent(ctx context.Context, id string, until time.Time) (int64, error) {
	now := time.Now()
	stays := now.Add(longestRun + max(s.retention, 0))
	if stays.Before(until) {
		stays = until
	}
	key, values := item{}, item{}
	key.text(attrID, id)
	key.text(attrSort, sortCounter)
	values.number(":now", now.UnixMicro())
	values.number(":one", 1)
	values.number(":ttl", stays.Unix()+1)
	out, err := s.client.UpdateItem(ctx, &sdk.UpdateItemInput{
		TableName: &s.table, Key: key, ReturnValues: types.ReturnValueUpdatedNew,
		UpdateExpression:          aws.String("SET n = if_not_exists(n, :now) + :one, #ttl = :ttl"),
		ExpressionAttributeNames:  map[string]string{"#ttl": attrTTL},
		ExpressionAttributeValues: values,
	})
	if err != nil {
		return 0, err
	}
	return item(out.Attributes).getNumber(attrNumber)
}

// Kept reads the kept events consistently; see [lambdabiz.Store].
func (s *Store) Kept(ctx context.Context, id string, now time.Time) ([]lambdabiz.KeptEvent, error) {
	if id == "" {
		return nil, nil
	}
	events, err := s.kept(ctx, id, now)
	return events, s.fault("read events kept for "+id, err)
}

func (s *Store) kept(ctx context.Context, id string, now time.Time) ([]lambdabiz.KeptEvent, error) {
	items, err := s.query(ctx, id, prefixEvent)
	if err != nil {
		return nil, err
	}
	numbers := map[string]int64{}
	var events []lambdabiz.KeptEvent
	for _, i := range items {
		e := lambdabiz.KeptEvent{Name: i.getText("name"), Key: i.getText("key"), Payload: i.getBytes("p")}
		var errs [3]error
		e.ArrivedAt, errs[0] = i.getTime("arrived")
		e.Until, errs[1] = i.getTime(attrUntil)
		numbers[e.Key], errs[2] = i.getNumber(attrNumber)
		if err := errors.Join(errs[:]...); err != nil {
			return nil, err
		}
		if e.Until.After(now) {
			events = append(events, e)
		}
	}
	slices.SortFunc(events, func(x, y lambdabiz.KeptEvent) int {
		return cmp.Or(cmp.Compare(numbers[x.Key], numbers[y.Key]), cmp.Compare(x.Key, y.Key))
	})
	return events, nil
}

// Drop removes kept events by their keys, several at a time; see [lambdabiz.Store].
func (s *Store) Drop(ctx context.Context, id string, keys []string) error {
	if id == "" {
		return nil
	}
	err := parallel(ctx, len(keys), func(ctx context.Context, n int) error {
		if keys[n] == "" {
			return nil
		}
		key := item{}
		key.text(attrID, id)
		key.text(attrSort, sortKey(prefixEvent, keys[n]))
		_, err := s.client.DeleteItem(ctx, &sdk.DeleteItemInput{TableName: &s.table, Key: key})
		return err
	})
	return s.fault("drop "+strconv.Itoa(len(keys))+" events of "+id, err)
}
