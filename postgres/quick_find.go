package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// find finds which commits were applied by a transaction that was committed, but whose answer was lost. One that only consumes
// messages leaves no sign of its own: it counts as refused, for it may come twice.
func (q *quick) find(ctx context.Context, t *tx) error {
	clear(q.through)
	clear(q.news)
	q.wake = true
	p := t.pipe()
	q.findRuns(p)
	q.findOperations(p)
	if q.fetched.rows() > 0 {
		p.add(qNewer, nil, q.scanNews, q.fetched.args()...)
	}
	return p.run(ctx)
}

// findRuns looks for runs that were started, or whose rows the batch has written.
func (q *quick) findRuns(p *pipe) {
	numbers := make([]int64, 0, len(q.at))
	for no := range q.at {
		numbers = append(numbers, no)
	}
	p.add(qQuickFindRuns, nil, func(rows pgx.Rows) error {
		var no, batch int64
		err := rows.Scan(&no, &batch)
		at := q.at[no]
		q.through[at] = q.starts[at] != nil || batch == q.batch
		return err
	}, numbers)
}

// findOperations looks for the operations of commits that leave no other sign.
func (q *quick) findOperations(p *pipe) {
	missing := map[int64]int{}
	for no, at := range q.at {
		if c := q.commits[at]; !q.writesRow(c) && len(c.Operations) > 0 {
			missing[no] = len(c.Operations)
		}
	}
	if len(missing) == 0 {
		return
	}
	for _, c := range []columns{q.added, q.replaced} {
		if c.rows() == 0 {
			continue
		}
		p.add(qQuickFindOperations, nil, func(rows pgx.Rows) error {
			var no int64
			if err := rows.Scan(&no); err != nil {
				return err
			}
			if missing[no]--; missing[no] == 0 {
				q.through[q.at[no]] = true
			}
			return nil
		}, c[:operationColumnCount].args()...)
	}
}
