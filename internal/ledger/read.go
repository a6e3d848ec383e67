package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger/layout"
)

// Part opens one part of an entry, counted from 0. It is Gone once one of its scopes was shredded.
func (l *Ledger) Part(ctx context.Context, ws steward.WorkspaceID, seq uint64, index int) ([]byte, error) {
	h, blob, err := l.entry(ctx, ws, seq, true)
	if err != nil {
		return nil, err
	}
	if index < 0 || index >= len(h.Parts) {
		return nil, steward.Errorf(steward.NotFound, "entry %d of the ledger has no part %d", seq, index)
	}
	return l.open(ctx, ws, &h, blob, index)
}

// open opens one of the parts that an entry has, out of their blob.
func (l *Ledger) open(ctx context.Context, ws steward.WorkspaceID, h *Header, blob []byte, index int) ([]byte, error) {
	boxes, err := layout.SplitParts(blob)
	if err == nil && (len(boxes) != len(h.Parts) || len(boxes[index]) > 0 && !h.Parts[index].is(boxes[index])) {
		err = errAltered
	}
	if err != nil {
		return nil, steward.Errorf(steward.Internal, "a part of entry %d of the ledger isn't what was written; run `steward verify`", h.Seq).Because(err)
	}
	packed, err := l.sealer.Open(ctx, place(ws, h.ID, index), steward.Sealed{Scopes: h.Parts[index].Scopes, Box: boxes[index]})
	if err != nil {
		return nil, err
	}
	body, err := l.compressor.Expand(packed)
	if err != nil {
		return nil, steward.Errorf(steward.Internal, "a part of entry %d of the ledger can't be read", h.Seq).Because(err)
	}
	return body, nil
}

// is tells whether a box is the one that the header speaks of.
func (p PartHeader) is(box []byte) bool {
	sum := sha256.Sum256(box)
	return len(box) == p.Len && bytes.Equal(sum[:], p.SHA256)
}

// entry reads one entry, with the blob of its parts if asked for.
func (l *Ledger) entry(ctx context.Context, ws steward.WorkspaceID, seq uint64, parts bool) (Header, []byte, error) {
	rows, err := l.store.Rows(ctx, ws, seq, 1, parts)
	if err != nil {
		return Header{}, nil, err
	}
	if len(rows) == 0 || rows[0].Seq != seq {
		if head, err := l.store.Head(ctx, ws); err != nil {
			return Header{}, nil, err
		} else if seq < head.First {
			return Header{}, nil, PrunedBefore(head.First)
		}
		return Header{}, nil, steward.Errorf(steward.NotFound, "there is no entry %d in this ledger", seq)
	}
	h, err := Decode(&rows[0])
	if err != nil {
		return Header{}, nil, err
	}
	return h, rows[0].Parts, nil
}
