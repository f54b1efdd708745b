// Package deploy holds the SAM template with which LambdaBiz runs on AWS; its tests check the template with cfn-lint and
// against rules of their own: who may do what, what outlives a stack, how long a function may take. It has no code.
package deploy
