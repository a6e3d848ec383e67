package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stewardhq/steward"
)

// format is the version of the layout that this program writes and reads.
const format = 1

// Manifest says what is in a backup.
type Manifest struct {
	Format  int       `json:"format"`
	Program string    `json:"program"`
	ID      string    `json:"id"` // which each ledger in it names, in the entry that says that it was begun
	Made    time.Time `json:"made"`
	Bucket  string    `json:"bucket,omitempty"` // where objects lie that were not copied
	Ledgers []Ledger  `json:"ledgers"`
	Objects Kept      `json:"objects"`
	Files   []File    `json:"files"`
}

// Kept says where the sealed objects of a backup are.
type Kept struct {
	Copied     int      `json:"copied"`               // so many are files of it
	Referenced []Object `json:"referenced,omitempty"` // these lie in the bucket, locked
}

// File is one file of a backup.
type File struct {
	Name   string    `json:"name"` // in the backup's folder, with slashes
	Size   int64     `json:"size"`
	SHA256 string    `json:"sha256"`         // hex
	Until  time.Time `json:"until,omitzero"` // of an object: it was locked until then
}

// Object gives the name of the object that a file holds, if it holds one.
func (f File) Object() (name string, ok bool) { return strings.CutPrefix(f.Name, objectsDir+"/") }

func (f File) is(o Object) bool { return f.Size == o.Size && f.SHA256 == hex.EncodeToString(o.SHA256) }

// sealedManifest is the file: the manifest, and the SHA-256 of its bytes.
type sealedManifest struct {
	Manifest json.RawMessage `json:"backup"`
	SHA256   string          `json:"sha256"`
}

func (m *Manifest) encode() ([]byte, error) {
	raw, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, err
	}
	return seal(raw), nil
}

func seal(raw []byte) []byte {
	sum := sha256.Sum256(raw)
	return fmt.Appendf(nil, "{\"backup\": %s,\n\"sha256\": %q}\n", raw, hex.EncodeToString(sum[:]))
}

// decodeManifest reads what encode wrote, with its hash, and refuses anything else.
func decodeManifest(text []byte) (m Manifest, sum string, err error) {
	var sealed sealedManifest
	if err := json.Unmarshal(text, &sealed); err != nil {
		return m, "", fmt.Errorf("manifest: %w", err)
	}
	if !bytes.Equal(text, seal(sealed.Manifest)) {
		return m, "", errors.New("manifest: not what was written")
	}
	if err := json.Unmarshal(sealed.Manifest, &m); err != nil {
		return m, "", fmt.Errorf("manifest: %w", err)
	}
	if m.Format != format {
		return m, "", steward.Errorf(steward.Conflict, "this backup has format %d, and this Steward reads %d; use the version that wrote it, %s", m.Format, format, m.Program)
	}
	once := map[steward.WorkspaceID]bool{}
	for _, l := range m.Ledgers { // a second restart of the same log would take back the first one's name
		if once[l.Workspace] {
			return m, "", fmt.Errorf("manifest: workspace %s has two ledgers", l.Workspace)
		}
		once[l.Workspace] = true
	}
	for _, f := range m.Files {
		own := path.Dir(f.Name) == dataDir && slices.Contains([]string{objectsDir, stagingDir, wholeFile}, path.Base(f.Name)) // Restore's
		if !filepath.IsLocal(filepath.FromSlash(f.Name)) || path.Clean(f.Name) != f.Name || strings.ContainsAny(f.Name, "\x00\\") || f.Size < 0 || own {
			return m, "", fmt.Errorf("manifest: %q names no file", f.Name)
		}
	}
	return m, sealed.SHA256, nil
}

// checkpointLine is a line of the file of checkpoints.
func checkpointLine(ws steward.WorkspaceID, note string) ([]byte, error) {
	return json.Marshal(struct {
		Workspace  steward.WorkspaceID `json:"workspace"`
		Checkpoint string              `json:"checkpoint"`
	}{ws, note})
}

// pieces is how much is copied before somebody may interrupt.
const pieces = 1 << 20

// copyFile makes a durable file, under its name once it is whole, in place of one that is there. Its folder isn't synced.
func copyFile(ctx context.Context, to string, from io.Reader) (File, error) {
	out, err := os.OpenFile(to+newEnd, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return File{}, err
	}
	sum := sha256.New()
	n, err := copyTo(ctx, io.MultiWriter(out, sum), from)
	if err = errors.Join(err, out.Sync(), out.Close()); err == nil {
		err = os.Rename(to+newEnd, to)
	}
	return File{Size: n, SHA256: hexOf(sum)}, err
}

// settle makes a file durable that somebody else wrote.
func settle(ctx context.Context, dir, name string) (File, error) {
	f, err := os.OpenFile(filepath.Join(dir, filepath.FromSlash(name)), os.O_RDWR, 0)
	if err != nil {
		return File{}, err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return File{}, err
	}
	return hashFile(ctx, dir, name)
}

// openFile opens a file of a backup. Links lead nowhere: what is opened lies in the folder. Pipes and devices are no
// files: reading those might never end.
func openFile(dir, name string) (*os.File, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	info, err := root.Stat(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	return root.Open(filepath.FromSlash(name))
}

// hashFile reads a file of a backup.
func hashFile(ctx context.Context, dir, name string) (File, error) {
	f, err := openFile(dir, name)
	if err != nil {
		return File{}, err
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	n, err := copyTo(ctx, sum, f)
	return File{Name: name, Size: n, SHA256: hexOf(sum)}, err
}

func hexOf(sum hash.Hash) string { return hex.EncodeToString(sum.Sum(nil)) }

// copyTo is io.Copy in pieces large enough for a disk, that ends with ctx.
func copyTo(ctx context.Context, to io.Writer, from io.Reader) (n int64, err error) {
	piece := make([]byte, pieces)
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		got, err := from.Read(piece)
		if got > 0 {
			if _, err := to.Write(piece[:got]); err != nil {
				return n, err
			}
			n += int64(got)
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// syncFolders makes names in folders durable.
func syncFolders(folders ...string) error {
	for _, name := range folders {
		dir, err := os.Open(name)
		if err != nil {
			return err
		}
		if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
			return err
		}
	}
	return nil
}
