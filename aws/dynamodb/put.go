package dynamodb

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/lambdabiz/lambdabiz"
)

// The conditions of writes. A condition that fails is success, but for that of a reservation.
const (
	ifNewer   = "attribute_not_exists(pk) OR v < :v"
	ifMissing = "attribute_not_exists(pk)"
	ifOfRun   = "#run = :run AND v < :v"
	// A message never changes within its run.
	ifOtherRun = "attribute_not_exists(pk) OR (#run <> :run AND v < :v)"
	// A kept event makes room for another one of its key when its time is over.
	ifOver = "attribute_not_exists(pk) OR #until <= :now"
)

// write is a conditional write.
type write struct {
	item      item
	condition string
	names     map[string]string
	values    item
}

var runName = map[string]string{"#run": attrRun}

// Put writes the operations at the same time, then the run; see [lambdabiz.Store]. After an error some
// of it may be written: the same Put again completes it.
func (s *Store) Put(ctx context.Context, snapshot *lambdabiz.Snapshot) error {
	e := s.encoder(snapshot)
	run, messages := e.run()
	writes := make([]write, 0, len(snapshot.Operations)+len(messages))
	for _, o := range snapshot.Operations {
		writes = append(writes, newer(e.operation(o)))
	}
	writes = append(writes, e.messageWrites(messages)...)
	if e.err != nil {
		return s.fault("put "+snapshot.ID, e.err)
	}
	if err := s.before(ctx, snapshot, writes); err != nil {
		return s.fault("put "+snapshot.ID, err)
	}
	return s.fault("put "+snapshot.ID, s.write(ctx, newer(run)))
}

// Reserve writes the run under the condition that its id has the run that it replaces; see
// [lambdabiz.Store].
func (s *Store) Reserve(ctx context.Context, snapshot *lambdabiz.Snapshot, replaces string) error {
	e := s.encoder(snapshot)
	run, messages := e.run()
	if e.err != nil {
		return s.fault("reserve "+snapshot.ID, e.err)
	}
	if err := s.before(ctx, snapshot, e.messageWrites(messages)); err != nil {
		return s.fault("reserve "+snapshot.ID, err)
	}
	w := write{item: run, condition: ifMissing}
	if replaces == snapshot.RunID {
		return s.fault("reserve "+snapshot.ID, s.stale(ctx, snapshot)) // a run does not replace itself
	}
	if replaces != "" {
		w.condition, w.names, w.values = ifOfRun, runName, item{":v": run[attrVersion]}
		w.values.text(":run", replaces)
	}
	err := s.put(ctx, w)
	if conditionFailed(err) {
		err = s.stale(ctx, snapshot)
	}
	return s.fault("reserve "+snapshot.ID, err)
}

// stale says why a reservation was refused: nil if it is there already, for its answer may have been lost.
func (s *Store) stale(ctx context.Context, snapshot *lambdabiz.Snapshot) error {
	run, err := s.getItem(ctx, snapshot.ID, sortRun)
	switch {
	case err != nil:
		return err
	case run == nil:
		return fmt.Errorf("%w: it has no run", lambdabiz.ErrStale)
	case run.getText(attrRun) == snapshot.RunID:
		return nil
	}
	return fmt.Errorf("%w: its run is %s of version %s", lambdabiz.ErrStale, run.getText(attrRun), run.getText(attrVersion))
}

// before writes what must be there when the run says so.
func (s *Store) before(ctx context.Context, snapshot *lambdabiz.Snapshot, writes []write) error {
	if err := parallel(ctx, len(writes), func(ctx context.Context, i int) error { return s.write(ctx, writes[i]) }); err != nil {
		return err
	}
	if snapshot.Status.Ended() {
		return s.noteMonth(ctx, snapshot.ScheduledAt.UTC().Format(monthLayout))
	}
	return nil
}

func newer(i item) write {
	return write{item: i, condition: ifNewer, values: item{":v": i[attrVersion]}}
}

func (e *encoder) messageWrites(messages []item) []write {
	writes := make([]write, len(messages))
	for n, m := range messages {
		writes[n] = write{m, ifOtherRun, runName, item{":v": m[attrVersion], ":run": m[attrRun]}}
	}
	return writes
}

// write is a put whose failed condition is success.
func (s *Store) write(ctx context.Context, w write) error {
	if err := s.put(ctx, w); !conditionFailed(err) {
		return err
	}
	return nil
}

func (s *Store) put(ctx context.Context, w write) error {
	_, err := s.client.PutItem(ctx, &sdk.PutItemInput{
		TableName: &s.table, Item: w.item, ConditionExpression: &w.condition,
		ExpressionAttributeNames: w.names, ExpressionAttributeValues: w.values,
	})
	return err
}

// noteMonth makes sure that lists look into a month. It is written once by each process.
func (s *Store) noteMonth(ctx context.Context, month string) error {
	if _, known := s.months.Load(month); known {
		return nil
	}
	i := item{}
	i.text(attrID, monthsID)
	i.text(attrSort, prefixMonth+month)
	if _, err := s.client.PutItem(ctx, &sdk.PutItemInput{TableName: &s.table, Item: i}); err != nil {
		return err
	}
	s.months.Store(month, true)
	return nil
}

// getItem reads one item consistently; nil if there is none.
func (s *Store) getItem(ctx context.Context, id, sort string) (item, error) {
	key := item{}
	key.text(attrID, id)
	key.text(attrSort, sort)
	out, err := s.client.GetItem(ctx, &sdk.GetItemInput{TableName: &s.table, Key: key, ConsistentRead: aws.Bool(true)})
	if err != nil || len(out.Item) == 0 {
		return nil, err
	}
	return out.Item, nil
}

// query reads all items of an id whose sort keys begin with a prefix, consistently.
func (s *Store) query(ctx context.Context, id, prefix string) ([]item, error) {
	values := item{}
	values.text(":id", id)
	values.text(":prefix", prefix)
	var items []item
	var next map[string]types.AttributeValue
	for {
		out, err := s.client.Query(ctx, &sdk.QueryInput{
			TableName: &s.table, ConsistentRead: aws.Bool(true), ExclusiveStartKey: next,
			KeyConditionExpression:    aws.String("pk = :id AND begins_with(sk, :prefix)"),
			ExpressionAttributeValues: values,
		})
		if err != nil {
			return nil, err
		}
		for _, i := range out.Items {
			items = append(items, i)
		}
		if next = out.LastEvaluatedKey; len(next) == 0 {
			return items, nil
		}
	}
}
