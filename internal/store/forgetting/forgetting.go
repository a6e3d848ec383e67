// Package forgetting answers: what of forgetting outlasts a process? It keeps the rows of retention's duties, so
// that what was asked for is carried out; it doesn't know what a duty is.
package forgetting

import "github.com/stewardhq/steward/internal/store/database"

// Rows is where they lie: the data's database.
type Rows struct{ DB *database.DB }
