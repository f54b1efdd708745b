package standins_test

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/lambdabiz/lambdabiz/internal/standins"
)

func TestAProgramStartsADynamoDBOfItsOwn(t *testing.T) {
	t.Parallel()
	shared := standins.DynamoDB(t)
	url, stop, err := standins.StartDynamoDB()
	if err != nil {
		t.Fatal(err)
	}
	if url == shared {
		t.Error("it is the one of the tests")
	}
	if _, err := dynamodb.NewFromConfig(settings(url)).ListTables(t.Context(), &dynamodb.ListTablesInput{}); err != nil {
		t.Error(err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestAProgramIsToldWhatIsNotInstalled(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, _, err := standins.StartDynamoDB(); !errors.Is(err, standins.ErrNotInstalled) {
		t.Error(err)
	}
}
