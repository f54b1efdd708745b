package lambdabiz

import (
	"encoding/json"
	"iter"
	"reflect"
)

// treeOf is an error and all that it wraps.
func treeOf(err error) iter.Seq[error] {
	return func(yield func(error) bool) { walk(err, 0, yield) }
}

func walk(err error, depth int, yield func(error) bool) bool {
	if err == nil || depth > maxFailureDepth { // it may wrap itself
		return true
	}
	if !yield(err) {
		return false
	}
	for _, cause := range causesOf(err) {
		if !walk(cause, depth+1, yield) {
			return false
		}
	}
	return true
}

// isOfType reports whether an error, or what it wraps, is of the type of which sample is an empty value.
func isOfType(err, sample error) bool {
	v := reflect.ValueOf(sample)
	if !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return false
	}
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if !v.IsZero() {
		return false
	}
	for node := range treeOf(err) {
		if reflect.TypeOf(node) == reflect.TypeOf(sample) {
			return true
		}
	}
	return false
}

var errorType = reflect.TypeFor[error]()

// bare is an error without what it wraps in fields, which JSON could write and not read: that is recorded beside it.
func bare(err error) any {
	if _, own := err.(json.Marshaler); own {
		return err
	}
	return withField(err, reflect.Zero(errorType), func(field reflect.Value) bool { return !field.IsNil() })
}

// wrapping is an error of a registered type with what it wraps: in the field that it had it in, or beside it.
func wrapping(f *Failure, err error, causes []error) error {
	if len(causes) == 0 {
		return err
	}
	if len(causes) == 1 {
		whole, ok := withField(err, reflect.ValueOf(&causes[0]).Elem(), reflect.Value.IsNil).(error)
		if ok && len(causesOf(whole)) == 1 {
			return whole
		}
	}
	return &recordedError{f.Message, append([]error{err}, causes...)}
}

// withField is a copy of an error that is a struct, or points to one, with another value in its fields of type error
// that fit. Any other error stays as it is.
func withField(err error, value reflect.Value, fits func(field reflect.Value) bool) any {
	given := reflect.ValueOf(err)
	pointer := given.Kind() == reflect.Pointer
	if pointer && !given.IsNil() {
		given = given.Elem()
	}
	if given.Kind() != reflect.Struct {
		return err
	}
	own := reflect.New(given.Type())
	own.Elem().Set(given)
	for i := range given.NumField() {
		if field := own.Elem().Field(i); field.Type() == errorType && field.CanSet() && fits(field) {
			field.Set(value)
		}
	}
	if pointer {
		return own.Interface()
	}
	return own.Elem().Interface()
}

// maxFailureDepth bounds the recorded tree, against errors that wrap themselves.
const maxFailureDepth = 32

func causesOf(err error) []error {
	switch e := err.(type) { //nolint:errorlint // this walks the tree itself
	case interface{ Unwrap() error }:
		if cause := e.Unwrap(); cause != nil {
			return []error{cause}
		}
	case interface{ Unwrap() []error }:
		return e.Unwrap()
	}
	return nil
}

// recordedError is an error of a type that the registry does not know.
type recordedError struct {
	message string
	causes  []error
}

func (e *recordedError) Error() string { return e.message }

func (e *recordedError) Unwrap() []error { return e.causes }
