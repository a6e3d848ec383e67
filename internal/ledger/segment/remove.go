package segment

import (
	"context"
	"time"

	"github.com/stewardhq/steward"
)

// Remove deletes all objects of a workspace that is no more, and tells how many are left since they are locked. It
// looks at what there is, not at what the manifest names, and may be run again.
func (d Dropper) Remove(ctx context.Context, ws steward.WorkspaceID) (left int, err error) {
	err = d.Store.Blobs.List(ctx, home(ws), func(name string, _ time.Time) error {
		d.Store.cache.forget(name)
		err := d.Store.Blobs.Delete(ctx, name)
		if steward.KindOf(err) == steward.Conflict {
			left++
			return nil
		}
		return err
	})
	return left, err
}
