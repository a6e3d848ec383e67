package signin_test

import (
	"strings"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/signin"
)

// FuzzParseTicket: what is taken is written again as it was, can stand in a URL, and names nothing but one row.
func FuzzParseTicket(f *testing.F) {
	for _, s := range []string{"ws_1.sgn_1.abc-_DEF", "", "..", "ws_1.sgn_1", "ws_1.sgn_1.a.b", "ws_1.con_1.a", ".sgn_1.a", "ws_1.sgn_1.", "ws_1.sgn_1.<b>", "ws_1.sgn_1.a\n", "ws_1.sgn_1." + strings.Repeat("a", 300)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ticket, err := signin.ParseTicket(s)
		if err != nil {
			if steward.KindOf(err) != steward.Invalid || ticket != (signin.Ticket{}) || s != "" && strings.Contains(steward.Message(err), s) && len(s) > 20 {
				t.Errorf("%q: %+v, %v", s, ticket, err)
			}
			return
		}
		if ticket.String() != s || ticket.Workspace == "" || !strings.HasPrefix(ticket.ID, "sgn_") || ticket.Secret == "" || len(s) > 256 || strings.ContainsAny(s, "<>&\"' \r\n/;=%") {
			t.Errorf("%q: %+v", s, ticket)
		}
	})
}

func TestTickets(t *testing.T) {
	good := signin.Ticket{Workspace: "ws_1", ID: "sgn_1", Secret: "aZ09-_"}
	if got, err := signin.ParseTicket(good.String()); err != nil || got != good {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"", "..", "ws_1.sgn_1", "ws_1.sgn_1.a.b", "ws_1.con_1.a", ".sgn_1.a", "ws_1.sgn_1.", "ws_1.sgn_1.<b>", "ws_1.sgn_1.a\n"} {
		if _, err := signin.ParseTicket(bad); steward.KindOf(err) != steward.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
