package discarded

import "github.com/lambdabiz/lambdabiz"

func bad(o lambdabiz.Context, n int) error {
	if n > 100 {
		lambdabiz.ContinueAsNew(o, 0) // want "the error of ContinueAsNew is dropped"
	}
	if n > 50 {
		_ = lambdabiz.ContinueAsNew(o, 0) // want "the error of ContinueAsNew is dropped"
	}
	defer lambdabiz.ContinueAsNew(o, 1) // want "the error of ContinueAsNew is dropped"
	return nil
}

func good(o lambdabiz.Context, n int) error {
	if err := lambdabiz.ContinueAsNew(o, n); n > 7 {
		return err
	}
	return lambdabiz.ContinueAsNew(o, n+1)
}
