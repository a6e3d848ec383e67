package store

import (
	"context"
	"slices"
	"testing"

	"github.com/stewardhq/steward/internal/store/database"
)

// TestSealedTablesAreAllListed holds the list against the schema: whoever adds a table with sealed values
// adds it there too.
func TestSealedTablesAreAllListed(t *testing.T) {
	db, err := OpenData(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var listed, have []string
	for _, s := range sealedTables {
		listed = append(listed, s.table)
	}
	err = db.db.Query(context.Background(), database.Reach{}, func(scan func(...any) error) error {
		var table string
		err := scan(&table)
		have = append(have, table)
		return err
	}, `SELECT m.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = 'box'`)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(listed)
	slices.Sort(have)
	if !slices.Equal(listed, have) {
		t.Errorf("listed are %v, the schema has %v", listed, have)
	}
}
