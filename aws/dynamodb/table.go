package dynamodb

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const indexName = "byStatus"

// The attributes, as doc.go describes them.
const (
	attrID        = "pk"
	attrSort      = "sk"
	attrIndexKey  = "g1pk"
	attrIndexSort = "g1sk"
	attrVersion   = "v"
	attrRun       = "run"
	attrTTL       = "ttl"
	attrInfo      = "info"
	attrUntil     = "until"
	attrNumber    = "n"
)

// create makes the table, unless somebody else does so at the same time.
func (s *Store) create(ctx context.Context) error {
	key := func(name string) types.AttributeDefinition {
		return types.AttributeDefinition{AttributeName: &name, AttributeType: types.ScalarAttributeTypeS}
	}
	keys := func(hash, sort string) []types.KeySchemaElement {
		return []types.KeySchemaElement{
			{AttributeName: &hash, KeyType: types.KeyTypeHash}, {AttributeName: &sort, KeyType: types.KeyTypeRange},
		}
	}
	_, err := s.client.CreateTable(ctx, &sdk.CreateTableInput{
		TableName:            &s.table,
		BillingMode:          types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{key(attrID), key(attrSort), key(attrIndexKey), key(attrIndexSort)},
		KeySchema:            keys(attrID, attrSort),
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName: aws.String(indexName), KeySchema: keys(attrIndexKey, attrIndexSort),
			Projection: &types.Projection{
				ProjectionType: types.ProjectionTypeInclude, NonKeyAttributes: []string{attrVersion, attrInfo},
			},
		}},
	})
	var inUse *types.ResourceInUseException
	if err != nil && !errors.As(err, &inUse) {
		return err
	}
	if err := s.await(ctx); err != nil {
		return err
	}
	return s.expire(ctx)
}

// await waits until the table can be used.
func (s *Store) await(ctx context.Context) error {
	waiter := sdk.NewTableExistsWaiter(s.client, func(o *sdk.TableExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = time.Second, 5*time.Second
	})
	return waiter.Wait(ctx, &sdk.DescribeTableInput{TableName: &s.table}, 5*time.Minute)
}

// expire lets DynamoDB remove items by their ttl.
func (s *Store) expire(ctx context.Context) error {
	expires := func() bool {
		d, err := s.client.DescribeTimeToLive(ctx, &sdk.DescribeTimeToLiveInput{TableName: &s.table})
		return err == nil && d.TimeToLiveDescription != nil &&
			(d.TimeToLiveDescription.TimeToLiveStatus == types.TimeToLiveStatusEnabled ||
				d.TimeToLiveDescription.TimeToLiveStatus == types.TimeToLiveStatusEnabling)
	}
	if expires() {
		return nil
	}
	_, err := s.client.UpdateTimeToLive(ctx, &sdk.UpdateTimeToLiveInput{
		TableName:               &s.table,
		TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String(attrTTL), Enabled: aws.Bool(true)},
	})
	if err != nil && expires() {
		return nil // another process was faster
	}
	return err
}

// hasIndex reports whether a table has the index that lists read.
func hasIndex(table *types.TableDescription) bool {
	for _, i := range table.GlobalSecondaryIndexes {
		if aws.ToString(i.IndexName) != indexName || len(i.KeySchema) != 2 {
			continue
		}
		return aws.ToString(i.KeySchema[0].AttributeName) == attrIndexKey &&
			aws.ToString(i.KeySchema[1].AttributeName) == attrIndexSort
	}
	return false
}
