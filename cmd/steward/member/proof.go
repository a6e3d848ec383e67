package member

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/client"
	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/show"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/ledger/tlog"
)

// Proof is the command that has it proven that an entry is in the log, or that the log only ever grew. Nothing
// that the server says of it is believed: all is computed here, up to a root that is signed or was kept.
func Proof(ctx context.Context, in *command.Invocation) error {
	f := in.Flags(in.JSONFlag, in.SignIn.Flags)
	from := f.Uint64("from", 0, "prove that the log of this `many` entries is a prefix of the longer one; the newest in --known by default")
	to := f.Uint64("to", 0, "the `size` of the longer log, or of the one that the entry is in; the whole log by default")
	vkey := f.String("vkey", "", "the verifier `key` of the log, as you were given it; by default the one that the server names")
	known := f.String("known", "", "a `file` of checkpoints to hold the log against: `steward serve --checkpoints` writes one, and so do lines of --json")
	purpose := purposeFlag(f)
	words, err := in.Parse(f)
	if err != nil {
		return err
	}
	var seq uint64
	if len(words) > 0 {
		if seq, err = strconv.ParseUint(words[0], 10, 62); err != nil {
			return in.Misused("an entry is named by its number, which `steward log` prints first")
		}
	}
	switch {
	case len(words) > 1:
		return in.Misused("%q has no meaning here", words[1])
	case len(words) == 1 && *from != 0:
		return in.Misused("either an entry's number or --from SIZE is needed, not both")
	case len(words) == 0 && *from == 0 && *known == "":
		return in.Misused("an entry's number, --from SIZE or --known FILE is needed")
	case *to != 0 && *from > *to:
		return in.Misused("--from is the smaller size")
	}
	if *purpose == "" {
		*purpose = "audit"
	}
	c, err := client.Dial(in.SignIn)
	if err != nil {
		return err
	}
	p, err := newProver(ctx, c, *purpose, *vkey, *known)
	if err != nil {
		return err
	}
	if *to == 0 {
		*to = p.Signed
	}
	if len(words) == 0 && *from == 0 {
		*from = p.newest
	}
	// What is proven of a shorter log says something of this one once that is a prefix of it.
	for _, size := range []uint64{*to, p.newest} {
		if size != 0 && size != p.Signed {
			if _, err := p.prefix(ctx, size, p.Signed); err != nil {
				return err
			}
		}
	}
	if len(words) > 0 {
		p.Inclusion, err = p.entry(ctx, seq, *to)
	} else {
		p.Consistency, err = p.prefix(ctx, *from, *to)
	}
	if err != nil {
		return err
	}
	for size := range p.known {
		if p.proven[size] {
			p.Known = append(p.Known, size)
		}
	}
	slices.Sort(p.Known)
	if in.AsJSON {
		return in.JSON(p.Proof)
	}
	p.Print(in.Terminal)
	return nil
}

// prover asks a server for proofs and checks them.
type prover struct {
	show.Proof // as far as it is proven
	client     *client.Client
	purpose    string
	known      map[uint64][sha256.Size]byte // roots of this log, by sizes, that were kept
	newest     uint64                       // the largest of their sizes
	roots      map[uint64][sha256.Size]byte // those, the signed one, and what was proven
	proven     map[uint64]bool
}

// newProver has the log signed as it stands, and refuses it where that has less in it than was known.
func newProver(ctx context.Context, c *client.Client, purpose, vkey, known string) (*prover, error) {
	now, _, err := c.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	if vkey == "" {
		vkey = now.Key
	}
	signed, err := tlog.CheckSigned(now.Note, vkey)
	if err != nil {
		return nil, err
	}
	p := &prover{
		Proof:  show.Proof{Checkpoint: signed.Note, Signed: signed.Size, Root: hex.EncodeToString(signed.Root), Key: vkey, Known: []uint64{}},
		client: c, purpose: purpose, roots: map[uint64][sha256.Size]byte{}, proven: map[uint64]bool{},
	}
	if known != "" {
		if p.known, err = tlog.Remembered(known, signed.Origin); err != nil {
			return nil, err
		}
		p.newest = slices.Max(slices.Collect(maps.Keys(p.known)))
		maps.Copy(p.roots, p.known)
	}
	if p.newest > p.Signed {
		return nil, steward.Errorf(steward.Conflict, "the log has %d entries, and a checkpoint over %d is known: entries are gone", p.Signed, p.newest)
	}
	return p, p.is(signed.Size, [sha256.Size]byte(signed.Root))
}

// is takes it that the log of a size has a root, unless it is known to have another.
func (p *prover) is(size uint64, root [sha256.Size]byte) error {
	if was, ok := p.roots[size]; ok && was != root {
		return steward.Errorf(steward.Conflict, "the log of %d entries isn't the one that a checkpoint says: the root is %x, and was %x", size, root, was)
	}
	p.roots[size], p.proven[size] = root, true
	return nil
}

// unproven is for a server's answer that proves nothing.
func unproven(what string, err error) error {
	return steward.Errorf(steward.Conflict, "the server's answer doesn't prove that %s: somebody changed the log, or the answer", what).Because(err)
}

// prefix has it proven that the log of one size begins with that of another.
func (p *prover) prefix(ctx context.Context, from, to uint64) (*wire.Consistency, error) {
	what := fmt.Sprintf("the log of %d entries is a prefix of the log of %d entries", from, to)
	got, _, err := client.Call[wire.Consistency](ctx, p.client, http.MethodGet,
		"/api/v1/log/consistency"+client.Query("from", fmt.Sprint(from), "to", fmt.Sprint(to), "purpose", p.purpose), nil)
	if err != nil {
		return nil, err
	}
	hashes, err := hashesOf(append([]string{got.FromRoot, got.ToRoot}, got.Hashes...))
	if err == nil && (got.From != from || got.To != to) {
		err = fmt.Errorf("it is of %d and %d", got.From, got.To)
	}
	if err == nil {
		err = tlog.CheckConsistency(from, hashes[0], to, hashes[1], hashes[2:])
	}
	if err != nil {
		return nil, unproven(what, err)
	}
	if err := p.is(to, hashes[1]); err != nil {
		return nil, err
	}
	return &got, p.is(from, hashes[0])
}

// entry has it proven that an entry is in the log of a size whose root is proven.
func (p *prover) entry(ctx context.Context, seq, size uint64) (*wire.Inclusion, error) {
	got, _, err := client.Call[wire.Inclusion](ctx, p.client, http.MethodGet,
		fmt.Sprintf("/api/v1/log/%d/inclusion%s", seq, client.Query("size", fmt.Sprint(size), "purpose", p.purpose)), nil)
	if err != nil {
		return nil, err
	}
	hashes, err := hashesOf(got.Hashes)
	if err == nil && (got.Seq != seq || got.Size != size) {
		err = fmt.Errorf("it is of entry %d in %d", got.Seq, got.Size)
	}
	if err == nil {
		err = tlog.CheckInclusion([]byte(got.Header), seq, size, p.roots[size], hashes)
	}
	if err != nil {
		return nil, unproven(fmt.Sprintf("entry %d is in the log of %d entries", seq, size), err)
	}
	return &got, nil
}

func hashesOf(list []string) ([][sha256.Size]byte, error) {
	all := make([][sha256.Size]byte, len(list))
	for i, text := range list {
		raw, err := hex.DecodeString(text)
		if err != nil || len(raw) != sha256.Size {
			return nil, fmt.Errorf("%q is no SHA-256 in hexadecimal", text)
		}
		all[i] = [sha256.Size]byte(raw)
	}
	return all, nil
}
