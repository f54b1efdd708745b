package postgres

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// madeOrDropped finds the tables and indexes in the text of a migration.
var madeOrDropped = regexp.MustCompile(`(?m)^(CREATE|DROP) (?:UNIQUE )?(TABLE|INDEX) (?:IF (?:NOT )?EXISTS )?(\w+)`)

// relations returns which tables and indexes the migrations leave, up to a version. Every table has a primary key.
func relations(steps []string, version int) (tables, indexes []string) {
	tables = []string{"meta"}
	for _, step := range steps[:min(version, len(steps))] {
		for _, found := range madeOrDropped.FindAllStringSubmatch(step, -1) {
			list, name := &tables, found[3]
			if found[2] == "INDEX" {
				list = &indexes
			}
			if found[1] == "CREATE" {
				*list = append(*list, name)
				continue
			}
			*list = slices.DeleteFunc(*list, func(other string) bool { return other == name })
		}
	}
	for _, t := range tables {
		indexes = append(indexes, t+"_pkey")
	}
	return tables, indexes
}

const (
	sqlRelations = `SELECT c.relname, c.relkind IN ('i', 'I'), COALESCE(i.indisvalid AND i.indisready, true)
		FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
		LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid
		WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'i', 'I')`
	sqlRights = `SELECT t.name, p.privilege FROM unnest($2::text[]) AS t(name)
		CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p(privilege)
		WHERE NOT pg_catalog.has_table_privilege(pg_catalog.format('%I.%I', $1::text, t.name), p.privilege)
		AND (t.name <> 'meta' OR p.privilege = 'SELECT') ORDER BY 1, 2`
)

// relations looks for tables and indexes that are missing, and for indexes that are not used: one that CREATE INDEX
// CONCURRENTLY has not finished is kept up to date, and helps nobody.
func (k *checker) relations(ctx context.Context, at *Check) (bool, error) {
	at.Name = "tables"
	steps, err := migrations()
	if err != nil {
		return false, err
	}
	var version int
	if err := k.conn.QueryRow(ctx, "SELECT version FROM "+k.quoted+".meta").Scan(&version); err != nil {
		return false, err
	}
	tables, indexes := relations(steps, version)
	there, invalid := map[string]bool{}, []string{}
	rows, err := k.conn.Query(ctx, sqlRelations, k.schema)
	if err == nil {
		err = eachRow(rows, func(rows pgx.Rows) error {
			var name string
			var index, valid bool
			err := rows.Scan(&name, &index, &valid)
			there[name] = true
			if !valid {
				invalid = append(invalid, name)
			}
			return err
		})
	}
	if err != nil {
		return false, err
	}
	missing := func(all []string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(name string) bool { return there[name] })
	}
	at.Detail = fmt.Sprintf("%d tables, %d indexes", len(tables), len(indexes))
	slices.Sort(invalid)
	lost, slow := missing(tables), missing(indexes)
	switch {
	case len(lost) > 0:
		at.Err = fmt.Errorf("missing: %s: restore them from a backup", strings.Join(lost, ", "))
		return false, nil
	case len(slow) > 0:
		at.Err = fmt.Errorf("missing indexes: %s: make them again as in the migrations of lambdabiz (postgres/migrations), "+
			"by CREATE INDEX CONCURRENTLY", strings.Join(slow, ", "))
	case len(invalid) > 0:
		at.Err = fmt.Errorf("invalid indexes, which nothing uses: %s: REINDEX INDEX CONCURRENTLY them", strings.Join(invalid, ", "))
	}
	return true, nil
}

// rights looks whether the role may do what a worker does.
func (k *checker) rights(ctx context.Context, at *Check) (bool, error) {
	at.Name = "rights"
	steps, err := migrations()
	if err != nil {
		return false, err
	}
	tables, _ := relations(steps, len(steps))
	lacks := map[string][]string{} // tables, by what may not be done with them
	rows, err := k.conn.Query(ctx, sqlRights, k.schema, tables)
	if err == nil {
		err = eachRow(rows, func(rows pgx.Rows) error {
			var table, privilege string
			err := rows.Scan(&table, &privilege)
			lacks[privilege] = append(lacks[privilege], table)
			return err
		})
	}
	if err != nil {
		return false, err
	}
	if len(lacks) == 0 {
		at.Detail = "may read and write all tables"
		return true, nil
	}
	var all []string
	for _, privilege := range []string{"SELECT", "INSERT", "UPDATE", "DELETE"} {
		if names := lacks[privilege]; len(names) > 0 {
			all = append(all, privilege+" on "+strings.Join(names, ", "))
		}
	}
	at.Err = fmt.Errorf("the role lacks %s: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %s to it",
		strings.Join(all, "; "), k.schema)
	return len(lacks["SELECT"]) == 0, nil
}
