package wire

import "github.com/stewardhq/steward/internal/ledger"

// Receipt proves that an entry is on record, to whoever has the log's verifier key from elsewhere.
type Receipt struct {
	Seq     uint64 `json:"seq"`
	Header  string `json:"header"`  // the entry's exact bytes
	Receipt string `json:"receipt"` // C2SP tlog-proof
	Key     string `json:"key"`     // the verifier key of the receipt's checkpoint
}

// Rotation is what replaced a log's signing key. Both are verifier keys; the checkpoint has a signature of each.
type Rotation struct {
	Old        string            `json:"old"`
	New        string            `json:"new"`
	Checkpoint ledger.Checkpoint `json:"checkpoint"`
}

// Inclusion proves that an entry is in a log's tree of a size (RFC 6962, 2.1.1). Hashes are SHA-256, in
// hexadecimal.
type Inclusion struct {
	Seq    uint64   `json:"seq"`
	Size   uint64   `json:"size"`
	Header string   `json:"header"` // the entry's exact bytes, of which Leaf is the hash
	Leaf   string   `json:"leaf"`
	Hashes []string `json:"hashes"` // from the leaf's sibling up
}

// Consistency proves that a log's tree of one size begins with that of another (RFC 6962, 2.1.2). Roots and hashes
// are SHA-256, in hexadecimal.
type Consistency struct {
	From     uint64   `json:"from"`
	To       uint64   `json:"to"`
	FromRoot string   `json:"from_root"`
	ToRoot   string   `json:"to_root"`
	Hashes   []string `json:"hashes"`
}
