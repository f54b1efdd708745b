package awscall_test

import (
	"testing"

	"github.com/lambdabiz/lambdabiz/internal/awscall"
)

func TestCleanCutsWhatIsQuoted(t *testing.T) {
	t.Parallel()
	const why = "' at 'decisions.1.member.input' failed to satisfy constraint: Member must have length less than or equal to 32768"
	const kept = "Value … at 'decisions.1.member.input' failed to satisfy constraint: Member must have length less than or equal to 32768"
	for message, want := range map[string]string{
		"":              "",
		"Invalid token": "Invalid token",
		"1 validation error detected: Value 'secret" + why:                               "1 validation error detected: " + kept,
		"2 validation errors detected: Value 'secret" + why + "; Value 'secret" + why:    "2 validation errors detected: " + kept,
		"1 validation error detected: Value 'it's ' at 'x' a secret" + why:               "1 validation error detected: " + kept,
		"1 validation error detected: Value 'secret" + why + " and secret more' and cut": "1 validation error detected: Value …",
		`Not JSON: Unrecognized token "secret": was expecting`:                           "Not JSON: Unrecognized token …",
	} {
		if got := awscall.Clean(message); got != want {
			t.Errorf("Clean(%q) is %q, want %q", message, got, want)
		}
	}
}
