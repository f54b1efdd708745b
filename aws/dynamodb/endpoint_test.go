package dynamodb_test

import (
	"testing"

	"github.com/lambdabiz/lambdabiz/internal/standins"
)

// localEndpoint is the address of dynalite.
func localEndpoint(tb testing.TB) string {
	tb.Helper()
	return standins.DynamoDB(tb)
}

// motoEndpoint is the address of moto.
func motoEndpoint(tb testing.TB) string {
	tb.Helper()
	return standins.Moto(tb)
}
