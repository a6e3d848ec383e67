package blob

// Failing is the folder with a function that is asked before each step that changes the disk.
func (f Folder) Failing(before func(step string) error) Folder {
	f.before = before
	return f
}

// ParseRange reads a Content-Range.
func ParseRange(text string) (from, total int64, err error) { return parseRange(text) }
