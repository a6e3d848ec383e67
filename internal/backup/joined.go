package backup

import "github.com/stewardhq/steward"

// Joined is what came of joining a backup with the keys, checkpoints and objects of today.
type Joined struct {
	Replayed []Range `json:"replayed"` // entries that the backup lacks and sealed objects have
	Lost     []Range `json:"lost"`     // entries that were signed, and are in neither
	Removed  int     `json:"removed"`  // rows, parts and objects that were forgotten after the backup
}

// Range is entries First to End-1 of a workspace; none are known of where both are the same.
type Range struct {
	Workspace steward.WorkspaceID `json:"workspace"`
	First     uint64              `json:"first"`
	End       uint64              `json:"end"`
}

// Opened counts what was tried to open of a backup.
type Opened struct {
	Opened  int    `json:"opened"`    // sealed values that today's keys open
	Gone    int    `json:"forgotten"` // and that they don't, since they were forgotten
	Broken  int    `json:"broken"`    // what isn't what was sealed: verifying names it
	Skipped uint64 `json:"skipped"`   // entries of which no part was tried
}
