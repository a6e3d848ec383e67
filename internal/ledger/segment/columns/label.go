package columns

import (
	"errors"
	"io"
	"strconv"

	"github.com/stewardhq/steward"
)

// Labelled opens a file that isn't known yet, and gives what it says of itself. Whether that is so is for whoever
// reads on.
func Labelled(content io.ReaderAt, size int64) (f *File, label Label, err error) {
	if f, err = open(content, size); err != nil {
		return nil, label, err
	}
	said := map[string]string{}
	for key := range label.metadata() {
		said[key], _ = f.file.Lookup(key)
	}
	first, err := strconv.ParseUint(said[metaFirst], 10, 63)
	entries, failed := strconv.ParseUint(said[metaEntries], 10, 63)
	return f, Label{Workspace: steward.WorkspaceID(said[metaWorkspace]), First: first, Entries: entries, Scopes: said[metaScopes]}, errors.Join(err, failed)
}
