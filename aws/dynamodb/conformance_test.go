package dynamodb_test

import "testing"

func TestStoreOnDynamoDBLocal(t *testing.T) {
	t.Parallel()
	conformance(t, localEndpoint(t), nil)
}

func TestStoreOnMoto(t *testing.T) {
	t.Parallel()
	// Moto can do everything; these only take half a minute there, on one thread.
	slow := "DynamoDB Local has it; moto looks through the whole table for every query"
	conformance(t, motoEndpoint(t), map[string]string{
		"list/a rare run among many": slow, "list/a page has 100 runs, and 1,000 at most": slow,
		"list/over months and years": slow, "list/pages have every run once": slow,
		"random/agrees with a simple model": "DynamoDB Local has it; its steps come one after the other, and moto is slow",
	})
}
