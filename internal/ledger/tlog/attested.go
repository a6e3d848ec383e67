package tlog

import (
	"golang.org/x/mod/sumdb/note"

	"github.com/stewardhq/steward"
)

// CheckAttested gives the text that a log's key signed, which isn't a checkpoint (see ledger.Attest). It needs nothing but
// the log's verifier key, which comes from elsewhere.
func CheckAttested(signed, vkey string) (text string, err error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return "", steward.Errorf(steward.Invalid, "this is no verifier key; it is the line in the log's file vkey").Because(err)
	}
	n, err := note.Open([]byte(signed), note.VerifierList(verifier))
	if err != nil {
		return "", steward.Errorf(steward.Conflict, "this isn't signed with the key %s", vkey).Because(err)
	}
	return n.Text, nil
}
