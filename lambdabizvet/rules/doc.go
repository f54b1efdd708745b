// Package rules has the analyzers of lambdabizvet, for drivers of one's own: each is an ordinary
// [golang.org/x/tools/go/analysis.Analyzer].
//
// Orchestration code is every function that takes a lambdabiz.Context (or a *lambdabiz.Orchestration), with the function
// literals inside it. A function literal that takes a plain context.Context is the body of a step or a task: it is an effect,
// runs once, and may do what it likes, but for what it leaves behind in the variables around it.
//
// The analyzers judge one package at a time, and what they can see in its source. They do not follow a value through a
// method of an interface or into another package.
package rules
