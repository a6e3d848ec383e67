package tlog

import (
	"fmt"
	"net/http"
	"strings"

	sumdb "golang.org/x/mod/sumdb/tlog"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger/tree"
)

// minimumIndex names the number of the first entry that wasn't pruned, in decimal, as a file and a path. C2SP
// tlog-tiles has the number and leaves open how it is published.
const minimumIndex = "minimum-index"

// Handler serves GET /tlog/{workspace}/checkpoint, /vkey, /minimum-index, /tile/<L>/<N>[.p/<W>] and
// /tile/entries/<N>[.p/<W>]. Whether the caller may see the workspace has been decided before; an error is
// left to fail, which writes the response.
func (l Log) Handler(fail func(http.ResponseWriter, *http.Request, error)) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /tlog/{workspace}/{path...}", func(w http.ResponseWriter, r *http.Request) {
		if err := l.serve(w, r, steward.WorkspaceID(r.PathValue("workspace")), r.PathValue("path")); err != nil {
			fail(w, r, err)
		}
	})
	return mux
}

func (l Log) serve(w http.ResponseWriter, r *http.Request, ws steward.WorkspaceID, path string) error {
	var body []byte
	if path == "checkpoint" || path == "vkey" || path == minimumIndex {
		cp, err := l.published(r.Context(), ws, 0)
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		switch body = []byte(cp.Note); path {
		case "vkey":
			body = []byte(cp.Key + "\n")
		case minimumIndex:
			first, err := l.First(r.Context(), ws)
			if err != nil {
				return err
			}
			body = fmt.Appendln(nil, first)
		}
	} else {
		tile, ok := parsePath(path)
		if !ok {
			return steward.Errorf(steward.NotFound, "a log has checkpoint, vkey, minimum-index, tile/<level>/<number> and tile/entries/<number>, see c2sp.org/tlog-tiles")
		}
		var err error
		if tile.L < 0 {
			body, err = l.Bundle(r.Context(), ws, uint64(tile.N), tile.W)
		} else {
			body, err = l.Tile(r.Context(), ws, tile.L, uint64(tile.N), tile.W)
		}
		if err != nil {
			return err
		}
		// What a path names never changes, partial tiles included; it is for this caller only.
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(body) // whoever went away doesn't need it
	return nil
}

// parsePath reads a path as C2SP tlog-tiles writes it. It is sumdb's but for the height, which is always 8,
// and the name of the entries, whose level is -1 here.
func parsePath(path string) (sumdb.Tile, bool) {
	rest, ok := strings.CutPrefix(path, "tile/")
	if !ok || strings.HasPrefix(rest, "data/") {
		return sumdb.Tile{}, false
	}
	if entries, ok := strings.CutPrefix(rest, "entries/"); ok {
		rest = "data/" + entries
	}
	tile, err := sumdb.ParseTilePath("tile/8/" + rest)
	return tile, err == nil && tile.L <= 7 && tile.N < 1<<54
}

// tilePath writes what parsePath reads.
func tilePath(level int, n uint64, width int) string {
	path := strings.TrimPrefix(sumdb.Tile{H: tree.Bits, L: level, N: int64(n), W: width}.Path(), "tile/8/")
	if entries, ok := strings.CutPrefix(path, "data/"); ok {
		path = "entries/" + entries
	}
	return "tile/" + path
}
