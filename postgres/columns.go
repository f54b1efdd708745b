package postgres

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
		args[i] = values
	}
	return args
}
