package lambdabiz

// ContinueAsNew returns an error for the orchestration's function to return: this run ends, and in the
// same commit the next run of the id begins with the given input. Events that were not consumed and
// the keys of all events (on Amazon SWF the last 1,000) move over, open branches are cancelled, and
// [Run.Result] follows. Use it to keep the history of an endless loop short. A run of a chain that has recorded
// nothing, or was to end by a cancellation or its deadline and continues all the same, takes a second at least. The
// error is of no use elsewhere.
func ContinueAsNew(o Context, in any) error {
	if err := o.run().env.desc.supports(FeatureContinueAsNew); err != nil {
		return err
	}
	return &continueError{in}
}
