package database

import (
	"fmt"
	"strings"
)

// Inserts makes the steps of a commit that insert rows into a table.
type Inserts struct {
	columns int
	arrays  string   // on Postgres: a statement that takes an array for each column
	texts   []string // on SQLite: statements that insert 1, 2, 4 rows and so on, so that few have to be parsed
}

// Inserts prepares to insert: into is a table with its columns, types are the columns' own as Postgres names
// them (text, bigint or bytea), conflict an ON CONFLICT clause or nothing.
func (db *DB) Inserts(into string, types []string, conflict string) Inserts {
	i := Inserts{columns: len(types)}
	if db.dialect.shared {
		i.arrays = insertArrays(into, types, conflict)
	} else {
		i.texts = insertRows(into, len(types), conflict)
	}
	return i
}

// Add adds the steps that insert rows, in their order. values are all columns of the first row, then of the
// second and so on: strings, int64s and byte slices (nil for NULL), each column of one type.
func (i Inserts) Add(to []Step, values []any, otherwise error) []Step {
	if i.arrays != "" && len(values) > 0 {
		args := make([]any, i.columns)
		for column := range args {
			args[column] = array(values, column, i.columns)
		}
		return append(to, Step{Query: i.arrays, Args: args, Rows: int64(len(values) / i.columns), Otherwise: otherwise})
	}
	for power := len(i.texts) - 1; power >= 0; power-- {
		for rows := 1 << power; len(values) >= rows*i.columns; values = values[rows*i.columns:] {
			to = append(to, Step{Query: i.texts[power], Args: values[:rows*i.columns], Rows: int64(rows), Otherwise: otherwise})
		}
	}
	return to
}

// insertArrays is for Postgres, where starting a statement costs more than a row. Rows go in as they lie in the
// arrays, so that they are locked in an order that is the same for all.
func insertArrays(into string, types []string, conflict string) string {
	arrays := make([]string, len(types))
	for i, name := range types {
		arrays[i] = fmt.Sprintf("$%d::%s[]", i+1, name)
	}
	return fmt.Sprintf("INSERT INTO %s SELECT * FROM unnest(%s) %s", into, strings.Join(arrays, ", "), conflict)
}

// array is one column of some rows.
func array(values []any, column, columns int) any {
	switch values[column].(type) {
	case string:
		return pick[string](values, column, columns)
	case int64:
		return pick[int64](values, column, columns)
	}
	return pick[[]byte](values, column, columns)
}

func pick[T any](values []any, column, columns int) []T {
	picked := make([]T, 0, len(values)/columns)
	for ; column < len(values); column += columns {
		picked = append(picked, values[column].(T))
	}
	return picked
}

// widest is how many rows a statement inserts at most.
const widest = 16

// insertRows is for SQLite, which has no arrays.
func insertRows(into string, columns int, conflict string) (texts []string) {
	text := "INSERT INTO " + into + " VALUES "
	for row := range widest {
		for column := range columns {
			text += fmt.Sprintf("%s$%d", []string{"(", ", "}[min(column, 1)], row*columns+column+1)
		}
		text += ")"
		if n := row + 1; n&(n-1) == 0 {
			texts = append(texts, text+" "+conflict)
		}
		text += ", "
	}
	return texts
}
