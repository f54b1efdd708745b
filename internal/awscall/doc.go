// Package awscall is what the clients of AWS in this module have in common: an HTTP client that the SDK's way with
// request bodies does not harm, whether a request that failed can have been received, and errors that do not
// quote what was sent.
//
// It imports the AWS SDK, and nothing of this module.
package awscall
