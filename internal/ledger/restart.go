package ledger

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/stewardhq/steward"
)

// Where entries that were signed are lost, going on under the same name would be a second story beside the one that
// was signed. So a new log begins: the same tree, under another name. It goes on from what there is, with entries
// that say which log it goes on from, which of its entries are lost, and what the last known checkpoint over them was.

// Restart is what such an entry says.
type Restart struct {
	From, To   string // the old and the new log's name; a checkpoint's first line
	Entry      uint64 // the number of the first entry that is lost, which is where the new log's own begin
	End        uint64 // the number behind the last entry that is known to be lost; Entry where none is
	Checkpoint string // the old log's last known one, with the log's own signatures; "" for none
}

const (
	restartWords = 4   // before the checkpoint's pieces
	pieceLength  = 240 // of a checkpoint, in base64
)

// Event is the entry for it. What is in it besides says who did it, and why.
func (r Restart) Event(e Entry) Event {
	e.Kind, e.Records = LogRestarted, int(r.End-r.Entry)
	e.Targets = []string{r.From, r.To, strconv.FormatUint(r.Entry, 10), strconv.FormatUint(r.End, 10)}
	for text := base64.StdEncoding.EncodeToString([]byte(r.own())); text != ""; {
		n := min(len(text), pieceLength)
		e.Targets, text = append(e.Targets, text[:n]), text[n:]
	}
	return Event{Entry: e}
}

// own is the checkpoint without what others signed, since there is no telling how much that is.
func (r Restart) own() string {
	text, signatures, _ := strings.Cut(r.Checkpoint, "\n\n")
	if text == "" {
		return ""
	}
	text += "\n\n"
	for line := range strings.Lines(signatures) {
		if strings.HasPrefix(line, "— "+r.From+" ") {
			text += line
		}
	}
	return text
}

// Restarts reads what Event wrote; ok is false for other entries.
func (h *Header) Restarts() (r Restart, ok bool) {
	if h.Kind != LogRestarted || len(h.Targets) < restartWords {
		return r, false
	}
	r.From, r.To = h.Targets[0], h.Targets[1]
	entry, err := strconv.ParseUint(h.Targets[2], 10, 64)
	end, failed := strconv.ParseUint(h.Targets[3], 10, 64)
	note, unread := base64.StdEncoding.DecodeString(strings.Join(h.Targets[restartWords:], ""))
	r.Entry, r.End, r.Checkpoint = entry, end, string(note)
	return r, err == nil && failed == nil && unread == nil && r.Entry <= r.End && r.Entry <= h.Seq
}

// Explains tells whether a checkpoint is over what was lost.
func (r Restart) Explains(cp Checkpoint) bool {
	return r.From == cp.Origin && cp.Size > r.Entry && cp.Size <= r.End
}

// Name is how a workspace's log is named: by its id, behind an origin.
func Name(origin string, ws steward.WorkspaceID) string { return origin + "/" + string(ws) }

// NextName is how a log is named that goes on from another: with an id of its own in place of any that was there,
// since a number could have been used by a log that nobody knows of any more.
func NextName(name string, ws steward.WorkspaceID, id string) string {
	origin := strings.TrimSuffix(name, "/"+string(ws))
	if at := strings.LastIndexByte(origin, '/'); at >= 0 && strings.HasPrefix(origin[at:], "/log_") {
		origin = origin[:at]
	}
	return Name(origin+"/"+id, ws)
}
