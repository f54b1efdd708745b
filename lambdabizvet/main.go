// Command lambdabizvet finds mistakes in orchestrations that neither the compiler nor the engine can see: code that
// comes to another decision when it runs again after an interruption.
//
//	go install github.com/lambdabiz/lambdabiz/lambdabizvet@latest
//	lambdabizvet ./...
//	go vet -vettool=$(which lambdabizvet) ./...
//
// "lambdabizvet help" lists what it finds, "lambdabizvet help clock" explains one of them. A finding that is meant is
// silenced by a comment with the reason, at the end of its line or on the line above:
//
//	started := time.Now() //lambdabizvet:ignore it is only shown
//
// It is a module of its own, so that programs that use the library do not inherit what it is built from.
package main

import (
	"golang.org/x/tools/go/analysis/multichecker"

	"github.com/lambdabiz/lambdabiz/lambdabizvet/rules"
)

func main() { multichecker.Main(rules.All()...) }
