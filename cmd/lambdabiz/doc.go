// Command lambdabiz shows and steers durable orchestrations: it lists them, shows one with its
// operations, starts, pauses, resumes, cancels and terminates them, raises events, watches them live,
// and finds those that nothing will wake. Its demo runs two orchestrations and can kill itself in the
// middle, to show how they go on.
//
// Only this package reads flags and the environment. It may import everything else.
package main
