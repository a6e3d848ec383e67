package forgetting

import (
	"context"
	"slices"
	"testing"

	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/database"
)

// Whoever adds a table with rows of workspaces adds it to what goes with one.
func TestEveryTableGoesWithItsWorkspace(t *testing.T) {
	ctx := context.Background()
	data, err := store.OpenData(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = data.Close() }()
	listed, have := []string{"closings"}, []string(nil)
	for _, e := range estate {
		listed = append(listed, e.table)
	}
	err = data.Rows().Query(ctx, database.Reach{}, func(scan func(...any) error) error {
		var table string
		err := scan(&table)
		have = append(have, table)
		return err
	}, `SELECT m.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND (c.name = 'workspace' OR m.name = 'workspaces' AND c.name = 'id')`)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(listed)
	slices.Sort(have)
	if !slices.Equal(listed, have) {
		t.Errorf("listed are %v, the schema has %v", listed, have)
	}
}
