package steward

import (
	"errors"
	"fmt"
)

// Kind says what sort of failure an Error is. Edges translate it, once each, into a status.
// The list only grows at its end.
type Kind uint8

// The kinds of error. The zero Kind is Internal: what nobody classified is ours to explain.
const (
	Internal        Kind = iota // a fault of Steward's own
	Invalid                     // the request makes no sense; the message says what would
	Unauthenticated             // nobody is signed in, or the token is unknown, expired or revoked
	Denied                      // policy or the system says no
	NotFound                    // no such thing, or not for this caller
	Conflict                    // the world changed, or is not as the request assumes
	TooLarge                    // over a stated limit of size
	Limited                     // over a stated rate or budget
	Upstream                    // a system or model answered wrongly, or not at all
	Unavailable                 // Steward can't do this now: no ledger, no disk, shutting down
	NeedsApproval               // somebody has to confirm first
	Gone                        // it was forgotten: its key no longer exists
	NotUnderstood               // the model found no meaning in the question
)

var kindNames = [...]string{
	"internal", "invalid", "unauthenticated", "denied", "not_found", "conflict", "too_large", "limited",
	"upstream", "unavailable", "needs_approval", "gone", "not_understood",
}

// Kinds lists every kind, for the tables that must be complete.
func Kinds() []Kind {
	all := make([]Kind, len(kindNames))
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

// String is the kind's name on the wire.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return kindNames[Internal]
}

// Error is a failure with a half that may be shown to the person asking (Msg, which says what to do)
// and a half that is only logged (Err).
type Error struct {
	Kind Kind
	Msg  string
	Err  error
}

// Error joins both halves: it is for logs, never for people. Show Message instead.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Msg
	}
	return e.Msg + ": " + e.Err.Error()
}

// Unwrap gives the hidden half.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error with a message that may be shown.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Msg: fmt.Sprintf(format, args...)}
}

// Because attaches the cause that is logged but not shown.
func (e *Error) Because(err error) *Error {
	return &Error{Kind: e.Kind, Msg: e.Msg, Err: err}
}

// KindOf finds the kind of the outermost Error in a chain; Internal where there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Message is what a person may read of an error: the outermost Error's message, and for anything
// else a sentence that gives nothing away.
func Message(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Msg
	}
	return "Steward failed at this; the operator's log says why."
}
