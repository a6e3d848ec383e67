package member_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/member"
	"github.com/stewardhq/steward/cmd/steward/terminal"
)

// What answers may be anything: a proxy's page, nothing, or half an answer.
func TestStrangeServers(t *testing.T) {
	for name, c := range map[string]struct {
		answer  http.HandlerFunc
		says    string
		command func(context.Context, *command.Invocation) error
		args    []string
		status  int
	}{
		"a page": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>Welcome</html>") },
			"is no Steward server", member.Ask(nil), []string{"hello"}, 1},
		"a page not found": {func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) },
			"is no Steward server", member.Log, nil, 1},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) },
			"is no Steward server", member.ShowWorkspace, nil, 1},
		"an error without text": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502); fmt.Fprint(w, `{"error":{}}`) },
			"is no Steward server", member.Approve, nil, 1},
		"half an answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"run":`)
		},
			"broke off", member.Ask(nil), []string{"hello"}, 1},
		"a log that fails on its way": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"seq":0,"kind":"run.started","error":""}`+"\n"+`{"error":{"kind":"internal","message":"entry 1 of the ledger can't be read"}}`+"\n")
		}, "entry 1 of the ledger can't be read", member.Log, []string{"--json"}, 1},
		"a kind from the future": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			fmt.Fprint(w, `{"error":{"kind":"paradox","message":"try yesterday"}}`)
		}, "try yesterday", member.Ask(nil), []string{"hello"}, 1},
		"escapes": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(403)
			fmt.Fprint(w, `{"error":{"kind":"denied","message":"no \u001b[2J\u009b2J\nno"}}`)
		}, "steward: no [2J2J no\n", member.Ask(nil), []string{"hello"}, 4},
	} {
		server := httptest.NewServer(c.answer)
		env := map[string]string{"STEWARD_URL": server.URL, "STEWARD_TOKEN": "stw_x"}
		var out, stderr bytes.Buffer
		status := command.Table{{Name: "it", Run: c.command}}.Run(t.Context(), append([]string{"it"}, c.args...),
			func(name string) string { return env[name] }, terminal.Terminal{Out: &out, Err: &stderr})
		server.Close()
		if status != c.status || !strings.Contains(stderr.String(), c.says) || strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("%s: status %d, %q %q", name, status, out.String(), stderr.String())
		}
	}
}
