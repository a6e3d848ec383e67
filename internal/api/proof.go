package api

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/tlog"
)

// provable permits a look at proofs as reading the log is permitted and recorded: of all entries, or of those
// made on the caller's behalf, whose id it gives then. For an audit a session is one entry, as with /tlog.
func (s *Server) provable(r *http.Request, caller identity.Caller) (owner steward.MemberID, err error) {
	why, err := purpose(r)
	if err != nil {
		return "", err
	}
	if !s.Gateway.MayView(caller, "ledger", "", why) {
		owner = caller.Member()
	} else if why == "audit" {
		return "", s.audit(r.Context(), caller)
	}
	return owner, s.view(r.Context(), caller, "ledger", ledger.LedgerRead, owner, "", why)
}

// provableEntry is provable for the entry in the path, with its header.
func (s *Server) provableEntry(r *http.Request, caller identity.Caller) (seq uint64, header []byte, err error) {
	if seq, err = strconv.ParseUint(r.PathValue("seq"), 10, 62); err != nil {
		return 0, nil, steward.Errorf(steward.Invalid, "an entry is named by its number in the log").Because(err)
	}
	owner, err := s.provable(r, caller)
	if err != nil {
		return 0, nil, err
	}
	rows, err := s.Tlog.Store.Rows(r.Context(), caller.Workspace(), seq, 1, false)
	if err != nil {
		return 0, nil, err
	}
	none := steward.Errorf(steward.NotFound, "there is no entry %d in the log for you", seq)
	if len(rows) == 0 || rows[0].Seq != seq {
		return 0, nil, none
	}
	h, err := ledger.Decode(&rows[0])
	if err != nil {
		return 0, nil, err
	}
	if owner != "" && h.OnBehalfOf != owner {
		return 0, nil, none
	}
	return seq, rows[0].Header, nil
}

// receipt gives a C2SP tlog-proof of an entry, to keep; with format=json together with the entry's header.
func (s *Server) receipt(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	format := r.URL.Query().Get("format")
	if format != "" && format != "json" {
		return steward.Errorf(steward.Invalid, "there is no format %q; leave it out, or choose json", format)
	}
	seq, header, err := s.provableEntry(r, caller)
	if err != nil {
		return err
	}
	receipt, cp, err := s.Tlog.Receipt(r.Context(), caller.Workspace(), seq)
	if err != nil {
		return err
	}
	if format == "json" {
		reply(w, http.StatusOK, wire.Receipt{Seq: seq, Header: string(header), Receipt: string(receipt), Key: cp.Key})
		return nil
	}
	head(w, "text/plain; charset=utf-8")
	_, _ = w.Write(receipt)
	return nil
}

// inclusion proves that an entry is in the log's tree of a size, or of that of its last checkpoint.
func (s *Server) inclusion(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	size, err := number(r, "size")
	if err != nil {
		return err
	}
	seq, header, err := s.provableEntry(r, caller)
	if err != nil {
		return err
	}
	if size == 0 {
		cp, err := s.Tlog.Checkpoint(r.Context(), caller.Workspace())
		if err != nil {
			return err
		}
		size = cp.Size
	}
	hashes, err := s.Tlog.Inclusion(r.Context(), caller.Workspace(), seq, size)
	if err != nil {
		return err
	}
	leaf := tlog.Leaf(header)
	reply(w, http.StatusOK, wire.Inclusion{Seq: seq, Size: size, Header: string(header), Leaf: hex.EncodeToString(leaf[:]), Hashes: hexadecimal(hashes)})
	return nil
}

// consistency proves that the log's tree of one size begins with that of another.
func (s *Server) consistency(w http.ResponseWriter, r *http.Request, caller identity.Caller) error {
	from, err := number(r, "from")
	if err != nil {
		return err
	}
	to, err := number(r, "to")
	if err != nil {
		return err
	}
	if _, err := s.provable(r, caller); err != nil {
		return err
	}
	hashes, err := s.Tlog.Consistency(r.Context(), caller.Workspace(), from, to)
	if err != nil {
		return err
	}
	var roots [2][sha256.Size]byte
	for i, size := range []uint64{from, to} {
		if roots[i], err = s.Tlog.Root(r.Context(), caller.Workspace(), size); err != nil {
			return err
		}
	}
	root := hexadecimal(roots[:])
	reply(w, http.StatusOK, wire.Consistency{From: from, To: to, FromRoot: root[0], ToRoot: root[1], Hashes: hexadecimal(hashes)})
	return nil
}

func hexadecimal(hashes [][sha256.Size]byte) []string {
	list := make([]string, len(hashes))
	for i, h := range hashes {
		list[i] = hex.EncodeToString(h[:])
	}
	return list
}
