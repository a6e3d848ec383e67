package show_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/show"
	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/llm"
	"github.com/stewardhq/steward/internal/retention"
	"github.com/stewardhq/steward/internal/retention/custody"
)

// Nothing that stands in a CRM can make the terminal do anything.
func TestNothingIsObeyed(t *testing.T) {
	nasty := "Acme\x1b]0;title\x07\x1b[2J\r\u009b31m\u202eevil\u200b"
	var out bytes.Buffer
	to := terminal.Terminal{Out: &out, Err: &out}
	show.Records(to, wire.Answer{Records: []wire.Record{{Object: nasty, Name: nasty, URL: nasty}}, RecordsTotal: 3}, 5)
	show.Changes(to, []steward.Change{{Object: nasty, ID: "1", Field: nasty, Before: nasty, After: nasty}})
	show.Entries(to, []wire.Entry{{Tool: nasty, Targets: []string{nasty}}})
	show.Dialogue(to, wire.Dialogue{Messages: []llm.Message{{Role: "user", Content: []llm.Block{
		{Type: llm.Text, Text: nasty}, {Type: llm.ToolUse, Name: nasty, Input: []byte(nasty)}, {Type: llm.ToolResult, Content: nasty},
	}}}})
	show.Retention(to, []retention.Held{{Class: steward.Class(nasty), Oldest: nasty, Periods: 1, Next: &time.Time{}}, {Periods: 1}}, []custody.Hold{{ID: nasty, Ground: nasty}}, nasty)
	show.Hold(to, custody.Hold{ID: nasty, Ground: nasty}, custody.Matter{Records: []steward.Ref{{ID: nasty}, {ID: nasty}}})
	show.Kept(to, custody.Kept{Name: nasty, Text: nasty})
	show.Approval(to, wire.Approval{ID: steward.ProposalID(nasty)})
	for _, status := range []string{"waiting", "forgotten", nasty} {
		show.Erasure(to, retention.Erasure{ID: steward.ErasureID(nasty), Status: status})
	}
	show.Token(to, nasty, nil)
	if i := strings.IndexAny(out.String(), "\x1b\x07\r\u009b\u202e\u200b"); i >= 0 {
		t.Errorf("%q", out.String()[max(0, i-20):i+1])
	}
	if n := strings.Count(out.String(), "evil"); n < 31 {
		t.Errorf("the text itself is shown %d times only:\n%s", n, out.String())
	}
}

func TestChanges(t *testing.T) {
	var out bytes.Buffer
	show.Changes(terminal.Terminal{Out: &out, Color: true}, []steward.Change{
		{Connection: "salesforce", Object: "Opportunity", ID: "006", Field: "Amount", Before: 50000.0, After: 75000.5},
		{Connection: "salesforce", Object: "Opportunity", ID: "006", Field: "NextStep", After: "Call"},
		{Connection: "salesforce", Object: "Task", Field: "Done", After: true},
	})
	want := "\x1b[1msalesforce Opportunity 006\x1b[0m\n  Amount\n    \x1b[31m- 50000\x1b[0m\n    \x1b[32m+ 75000.50\x1b[0m\n" +
		"  NextStep\n    \x1b[32m+ Call\x1b[0m\n\x1b[1msalesforce: a new Task\x1b[0m\n  Done\n    \x1b[32m+ true\x1b[0m\n"
	if out.String() != want {
		t.Errorf("got %q", out.String())
	}
}

func TestRecords(t *testing.T) {
	var out bytes.Buffer
	records := []wire.Record{{Object: "Opportunity", Name: "A", URL: "https://x/1"}, {Object: "Opportunity", Name: "B", URL: "https://x/2"}, {}}
	show.Records(terminal.Terminal{Out: &out}, wire.Answer{Records: records, RecordsTotal: 30}, 2)
	if got := out.String(); !strings.Contains(got, "https://x/2\nand 28 more\n") || strings.Count(got, "\n") != 5 {
		t.Errorf("got\n%s", got)
	}
	out.Reset()
	show.Records(terminal.Terminal{Out: &out}, wire.Answer{}, 2)
	if out.Len() > 0 {
		t.Errorf("without records: %q", out.String())
	}
}

func TestToken(t *testing.T) {
	expires := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		expires *time.Time
		until   string
	}{{nil, "safely.\n"}, {&expires, "safely. It is good until 2026-11-23 12:00 UTC.\n"}} {
		var out bytes.Buffer
		show.Token(terminal.Terminal{Out: &out}, "stw_x", c.expires)
		if got := out.String(); !strings.Contains(got, c.until) || strings.Count(got, "export STEWARD_TOKEN=stw_x\n") != 1 {
			t.Errorf("got\n%s", got)
		}
	}
}

func TestErasureTellsUntilWhenBackupsHaveTheKeys(t *testing.T) {
	for _, c := range []struct {
		in   time.Duration
		says bool
	}{{time.Hour, true}, {-time.Hour, false}} {
		var out bytes.Buffer
		at := time.Now().Add(c.in)
		show.Erasure(terminal.Terminal{Out: &out}, retention.Erasure{Status: "forgotten", Complete: &at})
		if strings.Contains(out.String(), "Backups of the key server") != c.says {
			t.Errorf("in %v: %s", c.in, out.String())
		}
	}
}
