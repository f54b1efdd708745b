package dynamodb_test

import "testing"

func TestStoreOnDynamoDBLocal(t *testing.T) {
	t.Parallel()
	conformance(t, localEndpoint(t), nil)
}

func TestStoreOnMoto(t *testing.T) {
	t.Parallel()
	conformance(t, motoEndpoint(t), nil)
}
