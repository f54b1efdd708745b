// Package factory makes an engine on Amazon SWF with one call, as AWSOrchestrationFactory of the original does: keys,
// region, whether there is a store, and the role by which SWF invokes Lambda functions. Whoever needs more opens a
// backend with package swf and a store with package dynamodb, and gives them to lambdabiz.New.
//
// The package imports the root package, aws/swf, aws/dynamodb and the AWS SDK.
package factory
