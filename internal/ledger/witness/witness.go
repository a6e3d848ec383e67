// Package witness answers: who outside has seen this checkpoint? It has checkpoints cosigned by witnesses
// and sent to a webhook, and asks witnesses what they remember; it doesn't know what an entry is.
package witness

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	formats "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger/tree"
)

// Log is what is shown to those outside.
type Log interface {
	// Checkpoint is the workspace's last one, signed by the log. NotFound where there is none yet.
	Checkpoint(ctx context.Context, ws steward.WorkspaceID) (tree.Checkpoint, error)
	// Consistency proves that the tree of size to begins with that of size from (RFC 6962, 2.1.2).
	// Sizes are from 1 to the last checkpoint's.
	Consistency(ctx context.Context, ws steward.WorkspaceID, from, to uint64) ([][sha256.Size]byte, error)
}

// Witness is somebody else's server that remembers the newest checkpoint of each log it knows, and cosigns
// one only if it goes on from that (C2SP tlog-witness).
type Witness struct {
	client   *http.Client
	url      string
	key      string // its verifier key's public half, in base64
	verifier note.Verifier
}

// New is a witness by its submission prefix and its verifier key, as its operator publishes them. The key
// is for cosignatures: Ed25519 (type 0x04) or ML-DSA-44 (0x06), see C2SP tlog-cosignature.
func New(client *http.Client, prefix, vkey string) (Witness, error) {
	u, ok := address(prefix)
	if !ok || u.RawQuery != "" {
		return Witness{}, steward.Errorf(steward.Invalid, "%q can't be a witness's address; it is the https URL in front of /add-checkpoint", prefix)
	}
	no := steward.Errorf(steward.Invalid, "this is no witness's key; it looks like name+hash+key and is for cosignatures")
	verifier, err := formats.NewVerifierForCosignatureV1(vkey)
	if err != nil {
		return Witness{}, no.Because(err)
	}
	_, rest, _ := strings.Cut(vkey, "+")
	hash, key, _ := strings.Cut(rest, "+")
	if hash != fmt.Sprintf("%08x", verifier.KeyHash()) {
		return Witness{}, no.Because(errors.New("witness: the hash in the key is another key's, or one for plain signatures"))
	}
	return Witness{client: client, url: u.JoinPath("add-checkpoint").String(), key: key, verifier: verifier}, nil
}

// address reads where something can be sent.
func address(text string) (*url.URL, bool) {
	u, err := url.Parse(text)
	return u, err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.Fragment == ""
}

// Name is the one in its key.
func (w Witness) Name() string { return w.verifier.Name() }

// Limits of one exchange.
const (
	patience    = 10 * time.Second
	answerBytes = 64 << 10 // the largest signature has 3.3 kB in base64
	attempts    = 3        // a size is told once, and again where somebody else was faster
)

// cosigned is a witness's word for a checkpoint.
type cosigned struct {
	line   string // the note's signature line, with its end
	time   time.Time
	forgot uint64 // where the witness knew less than it had cosigned: how much it had
}

// errBehind says that the witness has a newer checkpoint, and so has the log by now.
var errBehind = errors.New("witness: the checkpoint isn't the log's last any more")

// cosign has the witness cosign a checkpoint of the log. old is the size that it cosigned last as far as is
// known, 0 where it isn't. The error's kind is
//   - Conflict: it remembers what the log doesn't hold, so the log was put back or written anew (or the
//     witness errs, which comparing with others shows);
//   - NotFound, Denied: it doesn't know the log, or its key;
//   - Unavailable: it can't be reached, or not now;
//   - Upstream: it answers what makes no sense.
func (w Witness) cosign(ctx context.Context, log Log, ws steward.WorkspaceID, cp tree.Checkpoint, old uint64) (cosigned, error) {
	var forgot uint64
	for range attempts {
		status, answer, err := w.submit(ctx, log, ws, cp, old)
		if err != nil {
			return cosigned{}, err
		}
		switch status {
		case http.StatusOK:
			word, err := w.read(cp, answer)
			word.forgot = forgot
			return word, err
		case http.StatusConflict:
			seen, said := parseSize(answer)
			switch {
			case old == cp.Size && old > 0 && (!said || seen == old):
				return cosigned{}, contradiction("the witness %s has seen another ledger with %d entries: this one was written anew", w.Name(), old)
			case !said || seen == old:
				return cosigned{}, w.odd(fmt.Errorf("witness: conflict at %d, and it says %.40q", old, answer))
			case seen > cp.Size:
				return cosigned{}, w.ahead(ctx, log, ws, seen)
			}
			if seen < old {
				forgot = old
			}
			old = seen
		case http.StatusUnprocessableEntity:
			return cosigned{}, contradiction("the witness %s has seen another ledger with %d entries, which this one doesn't go on from: it was written anew", w.Name(), old)
		case http.StatusNotFound:
			return cosigned{}, steward.Errorf(steward.NotFound, "the witness %s doesn't know the log %s; give its operator the log's verifier key, %s", w.Name(), cp.Origin, cp.Key)
		case http.StatusForbidden:
			return cosigned{}, steward.Errorf(steward.Denied, "the witness %s doesn't trust the key of the log %s; give its operator the log's verifier key, %s", w.Name(), cp.Origin, cp.Key)
		default:
			return cosigned{}, w.odd(fmt.Errorf("witness: status %d", status))
		}
	}
	return cosigned{}, w.odd(errors.New("witness: it says another size each time"))
}

// ahead is why a witness has seen more than was submitted.
func (w Witness) ahead(ctx context.Context, log Log, ws steward.WorkspaceID, seen uint64) error {
	last, err := log.Checkpoint(ctx, ws)
	if err != nil {
		return err
	}
	if last.Size >= seen {
		return errBehind
	}
	return contradiction("the witness %s has seen %d entries and the ledger's last checkpoint is over %d: it was put back to an older state", w.Name(), seen, last.Size)
}

func contradiction(format string, args ...any) error {
	return steward.Errorf(steward.Conflict, format, args...)
}

func (w Witness) odd(err error) error {
	return steward.Errorf(steward.Upstream, "the witness %s answers what makes no sense; ask its operator", w.Name()).Because(err)
}

// submit makes one add-checkpoint request. Statuses that mean "later" are errors. The answer of a 409 is
// empty where its type isn't that of a size.
func (w Witness) submit(ctx context.Context, log Log, ws steward.WorkspaceID, cp tree.Checkpoint, old uint64) (status int, answer string, err error) {
	var body strings.Builder
	fmt.Fprintf(&body, "old %d\n", old)
	if old > 0 && old < cp.Size {
		proof, err := log.Consistency(ctx, ws, old, cp.Size)
		if err != nil {
			return 0, "", err
		}
		for _, hash := range proof {
			body.WriteString(base64.StdEncoding.EncodeToString(hash[:]) + "\n")
		}
	}
	body.WriteString("\n" + cp.Note)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, strings.NewReader(body.String()))
	if err != nil {
		return 0, "", w.odd(err)
	}
	r.Header.Set("Content-Type", "text/plain; charset=utf-8")
	status, kind, content, err := exchange(w.client, r)
	if err != nil {
		return 0, "", steward.Errorf(steward.Unavailable, "the witness %s can't be reached, or not now", w.Name()).Because(err)
	}
	if len(content) > answerBytes {
		return 0, "", w.odd(fmt.Errorf("witness: an answer of more than %d bytes", answerBytes))
	}
	if status == http.StatusConflict && kind != "text/x.tlog.size" {
		content = nil
	}
	return status, string(content), nil
}

// exchange sends a request and reads at most one byte more than is allowed of what comes back. What may be
// otherwise in a while is an error: no answer, a fault of theirs, too many requests.
func exchange(client *http.Client, r *http.Request) (status int, kind string, content []byte, err error) {
	response, err := client.Do(r)
	if err != nil {
		return 0, "", nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode >= 500 || response.StatusCode == http.StatusTooManyRequests {
		return 0, "", nil, fmt.Errorf("witness: status %d", response.StatusCode)
	}
	kind, _, _ = mime.ParseMediaType(response.Header.Get("Content-Type")) // "" where it is none
	content, err = io.ReadAll(io.LimitReader(response.Body, answerBytes+1))
	return response.StatusCode, kind, content, err
}

// parseSize reads the body of a 409: a size in decimal and a line's end.
func parseSize(answer string) (uint64, bool) {
	digits, ended := strings.CutSuffix(answer, "\n")
	size, err := strconv.ParseUint(digits, 10, 63)
	return size, ended && err == nil && strconv.FormatUint(size, 10) == digits
}

// read takes the witness's cosignature of a checkpoint from its answer, and leaves what else there may be.
func (w Witness) read(cp tree.Checkpoint, answer string) (cosigned, error) {
	signed, err := note.Open([]byte(cp.Note+answer), note.VerifierList(w.verifier))
	if err != nil {
		return cosigned{}, w.odd(err)
	}
	if signed.Text != text(cp.Note) {
		return cosigned{}, w.odd(errors.New("witness: the cosignature is of another text"))
	}
	at, err := formats.CoSigV1Timestamp(signed.Sigs[0])
	if err != nil || at.Unix() <= 0 {
		return cosigned{}, w.odd(errors.New("witness: the cosignature says no time"))
	}
	return cosigned{line: line(signed.Sigs[0]), time: at.UTC()}, nil
}

// text is what the signatures of a note are over.
func text(signed string) string {
	return signed[:strings.LastIndex(signed, "\n\n")+1]
}

// line is a signature as it stands in a note.
func line(s note.Signature) string { return fmt.Sprintf("— %s %s\n", s.Name, s.Base64) }
