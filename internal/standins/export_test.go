package standins

// Installed is installed, for a place that a test makes up.
func Installed(tb TB, name, stamp, root string, ci bool) string {
	return installed(tb, name, stamp, place{root: root, ci: ci})
}

// StartMoto starts a moto of the test's own, and returns its endpoint, what stops it, and what is closed when it ended.
func StartMoto(tb TB) (endpoint string, stop func() error, err error) {
	at := here()
	installed(tb, moto.name, moto.stamp, at)
	run, err := start(moto.command(at.root))
	if err != nil {
		return "", nil, err
	}
	return run.endpoint, run.stop, nil
}

// Start starts any command as a stand-in.
func Start(command ...string) (endpoint string, err error) {
	run, err := start(command)
	if err != nil {
		return "", err
	}
	return run.endpoint, run.stop()
}

// Environment is environment.
var Environment = environment
