package dynamodb_test

import (
	"os"
	"testing"
)

// The addresses of stand-ins for DynamoDB.
const (
	localVariable = "DYNAMODB_LOCAL_ENDPOINT"
	motoVariable  = "MOTO_ENDPOINT"
)

// localEndpoint is the address of DynamoDB Local.
func localEndpoint(tb testing.TB) string {
	tb.Helper()
	return endpointOf(tb, localVariable)
}

// motoEndpoint is the address of moto.
func motoEndpoint(tb testing.TB) string {
	tb.Helper()
	return endpointOf(tb, motoVariable)
}

func endpointOf(tb testing.TB, variable string) string {
	tb.Helper()
	endpoint := os.Getenv(variable)
	if endpoint == "" {
		tb.Skipf("%s is not set", variable)
	}
	return endpoint
}
