// Package lambdahandler runs orchestrations inside AWS Lambda, on Amazon SWF. Its two handlers are given to
// lambda.Start of github.com/aws/aws-lambda-go, in a function on provided.al2023:
//
//	handler, err := lambdahandler.New(lambdahandler.Config{
//		Backend: backend, Register: []lambdabiz.Registrable{Sequence, Sum}, Names: []string{"Sequence"},
//	})
//	...
//	lambda.Start(handler.Drive) // or handler.Pulse
//
// # Drive
//
// [Handler.Drive] is called with an orchestration id and drives that one orchestration, as the original's function
// did: {"orchestrationId": "Sequence3", "input": {"Number1": 15, "Number2": 5}}. It starts the orchestration if the
// id is new, and answers with the state as JSON, with waitingFor. Called again with the same id it goes on where the
// last call ended, however that ended; after the end it answers with the final state. Each orchestration has a
// task list of its own, so that no other worker takes it.
//
// A call ends when the orchestration has ended, when it is blocked, when nothing is due within [Config.StayFor]
// (an orchestration that waits for days keeps no function running: call again after what it waits for), or when
// the time is up. It is no error that the orchestration has failed: the state says so.
//
// # Pulse
//
// [Handler.Pulse] is started by a schedule, every minute, and serves all orchestrations of the backend's task list
// until its time is up. Its cost is flat, however many orchestrations wait.
//
// # Time
//
// Amazon SWF holds a poll for up to a minute, and a poll that is cancelled can lose its task to the dead
// connection until the decision's time-out. So polls are never cancelled, none begins with less than [Config.Margin] left
// before the invocation's deadline, and a handler returns when all have ended: Lambda freezes the
// process between invocations. Give the function a timeout of 120 s or more. Drive polls only while nothing else can
// happen, so that no poll is in flight when an orchestration ends.
//
// Lambda may keep the process for the next invocation, which then finds what this one has remembered in the
// backend; a killed process loses nothing but time.
//
// # Errors
//
// aws-lambda-go reports an error as {"errorMessage", "errorType"}: RequestError for a request that can never succeed,
// RunError for anything else. A panic in orchestration code blocks the orchestration, and the state says where.
//
// The package imports aws/swf, the root package and the standard library.
package lambdahandler
