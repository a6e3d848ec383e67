package engine

import (
	"maps"
	"slices"
	"sync"

	"github.com/stewardhq/steward/internal/sandbox/org"
)

// undo is what a transaction may have to bring back.
type undo struct {
	rows, bin map[string][]org.Row
	deleted   map[string]bool
	changed   [][2]org.Row // rows, each with a copy of what it was; the oldest change first
}

// Atomically does what do does to the engine that it is given wholly, or not at all where do fails. Nobody else
// reads or writes meanwhile. Transactions nest.
func (e *Engine) Atomically(do func(*Engine) error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	copied := func(all map[string][]org.Row) map[string][]org.Row {
		all = maps.Clone(all)
		for name, rows := range all {
			all[name] = slices.Clone(rows)
		}
		return all
	}
	inner := *e // with the same rows and indexes, which this call has locked already
	inner.mu, inner.undo = new(sync.RWMutex), &undo{rows: copied(e.org.Rows), bin: copied(e.bin), deleted: maps.Clone(e.deleted)}
	err := do(&inner)
	e.stamp = inner.stamp
	switch {
	case err != nil:
		e.rollBack(inner.undo)
	case e.undo != nil:
		e.undo.changed = append(e.undo.changed, inner.undo.changed...)
	}
	return err
}

func (e *Engine) rollBack(to *undo) {
	for _, pair := range slices.Backward(to.changed) {
		clear(pair[0])
		maps.Copy(pair[0], pair[1])
	}
	maps.Copy(e.org.Rows, to.rows)
	clear(e.bin)
	maps.Copy(e.bin, to.bin)
	clear(e.deleted)
	maps.Copy(e.deleted, to.deleted)
	e.reindex()
}

// changing notes how a row is before it changes.
func (e *Engine) changing(row org.Row) {
	if e.undo != nil {
		e.undo.changed = append(e.undo.changed, [2]org.Row{row, maps.Clone(row)})
	}
}
