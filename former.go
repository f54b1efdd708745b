package lambdabiz

import (
	"errors"
	"strings"
)

// former is where something was recorded before.
type former struct {
	ids   []string // in the same scope
	paths []string
}

func (f *former) and(other former) *former {
	if f == nil {
		f = &former{}
	}
	f.ids, f.paths = append(f.ids, other.ids...), append(f.paths, other.paths...)
	return f
}

// with is the former names with something behind them.
func (f *former) with(suffix string) *former {
	if f == nil {
		return nil
	}
	longer := &former{}
	for _, id := range f.ids {
		longer.ids = append(longer.ids, id+suffix)
	}
	for _, path := range f.paths {
		longer.paths = append(longer.paths, path+escaper.Replace(suffix))
	}
	return longer
}

// check returns an error for an id that no operation can have had.
func (f *former) check() error {
	if f == nil {
		return nil
	}
	var errs []error
	for _, id := range f.ids {
		errs = append(errs, checkID("former id", id))
	}
	for _, path := range f.paths {
		for id := range strings.SplitSeq(path, "/") {
			errs = append(errs, checkID("id in a former path", id))
		}
	}
	return errors.Join(errs...)
}

// in lists the former paths of something in the scope.
func (f *former) in(scope string) []string {
	all := make([]string, 0, len(f.ids)+len(f.paths))
	for _, id := range f.ids {
		all = append(all, joinPath(scope, id))
	}
	return append(all, f.paths...)
}
