package postgres

import "strings"

// columns are the rows that a statement writes, column by column, as unnest takes them.
type columns [][]any

func (c *columns) add(values ...any) {
	if *c == nil {
		*c = make(columns, len(values))
	}
	for i, v := range values {
		(*c)[i] = append((*c)[i], v)
	}
}

func (c columns) rows() int {
	if len(c) == 0 {
		return 0
	}
	return len(c[0])
}

func (c columns) args() []any {
	args := make([]any, len(c))
	for i, values := range c {
		args[i] = array(values)
	}
	return args
}

// array is a column as the driver can write it when the server has not told it the type, which some ways of sending leave out:
// of one Go type, that of the first value that is not NULL.
func array(values []any) any {
	for _, v := range values {
		switch v.(type) {
		case nil:
			continue
		case int64:
			return arrayOf[int64](values)
		case int:
			return arrayOf[int](values)
		case int16:
			return arrayOf[int16](values)
		case bool:
			return arrayOf[bool](values)
		case string:
			return arrayOf[string](values)
		case []byte:
			all := make([][]byte, len(values))
			for i, v := range values {
				all[i], _ = v.([]byte) // nil for NULL
			}
			return all
		}
		return values // the driver says what is wrong with it
	}
	// Nothing but NULL has no type. The driver sends text as it is.
	return "{NULL" + strings.Repeat(",NULL", max(len(values)-1, 0)) + "}"
}

func arrayOf[T any](values []any) any {
	all := make([]T, len(values))
	for i, v := range values {
		one, ok := v.(T)
		if !ok {
			return withNulls[T](values)
		}
		all[i] = one
	}
	return all
}

func withNulls[T any](values []any) any {
	all := make([]T, len(values))
	places := make([]*T, len(values))
	for i, v := range values {
		if one, ok := v.(T); ok {
			all[i] = one
			places[i] = &all[i]
		} else if v != nil {
			return values // of two types: the driver says what is wrong with it
		}
	}
	return places
}
