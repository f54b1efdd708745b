package process_test

func handRole(*child)  {}
func freshRole(*child) {}
