package columns

import "github.com/stewardhq/steward/internal/ledger"

// Of is an entry as columns, by its header and the header's exact bytes.
func Of(h *ledger.Header, header []byte) Header {
	row := Header{
		Seq: int64(h.Seq), Time: h.Time.UnixMicro(), Kind: string(h.Kind), Run: string(h.Run), Caller: h.Caller, OnBehalfOf: string(h.OnBehalfOf),
		Authentication: h.Authentication, System: h.System, Tool: h.Tool, Effect: string(h.Effect), Decision: h.Decision, PolicySet: h.PolicySet,
		Outcome: h.Outcome, Error: h.Error, Purpose: h.Purpose, Records: int64(h.Records), DurationUS: h.DurationMicros,
		Targets: h.Targets, MoreTargets: len(h.Targets) >= ledger.MaxTargets, Node: h.Node, Parts: int32(len(h.Parts)), Header: header,
	}
	if h.Intent != nil {
		row.Intent = new(int64(*h.Intent))
	}
	return row
}
