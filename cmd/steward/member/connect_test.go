package member_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/member"
	"github.com/stewardhq/steward/cmd/steward/terminal"
)

func TestConnectWithABrowser(t *testing.T) {
	const begun = `{"id":"sgn_1","url":"http://127.0.0.1:7878/connect/salesforce?link=ws_1.sgn_1.secret","status":"begun","expires":"2026-11-23T10:10:00Z"}`
	for name, c := range map[string]struct {
		args      []string
		ends      string // what the second look says
		status    int
		out, err  string
		looks     int
		wantsBody string
	}{
		"it works": {nil, `{"id":"sgn_1","status":"connected","expires":"2026-11-23T10:10:00Z"}`, 0, "salesforce is connected", "", 2, `{"client_id":"","instance_url":"","system":"salesforce"}`},
		"another app": {[]string{"--client-id", "3MVG9", "--instance-url", "https://a.my.salesforce.com"}, `{"id":"sgn_1","status":"connected","expires":"2026-11-23T10:10:00Z"}`, 0, "link=ws_1.sgn_1.secret", "", 2,
			`{"client_id":"3MVG9","instance_url":"https://a.my.salesforce.com","system":"salesforce"}`},
		"it fails": {nil, `{"id":"sgn_1","status":"failed","error":{"kind":"conflict","message":"that is another org"},"expires":"2026-11-23T10:10:00Z"}`, 1, "2026-11-23 10:10 UTC", "that is another org", 2, ""},
		"JSON":     {[]string{"--json"}, `{"id":"sgn_1","status":"connected","expires":"2026-11-23T10:10:00Z"}`, 0, `{"id":"sgn_1","status":"connected"`, "link=ws_1.sgn_1.secret", 2, ""},
		"at once":  {[]string{"--no-wait", "--json"}, "", 0, `"url":"http://127.0.0.1:7878/connect`, "", 0, ""},
		"and bare": {[]string{"--no-wait"}, "", 0, "Give it to nobody", "", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			looks, body := 0, ""
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Method == "POST" && r.URL.Path == "/api/v1/signins":
					raw, _ := io.ReadAll(r.Body)
					body = string(raw)
					w.WriteHeader(http.StatusCreated)
					fmt.Fprint(w, begun)
				case r.URL.Path == "/api/v1/signins/sgn_1":
					if looks++; looks == 2 {
						fmt.Fprint(w, c.ends)
						return
					}
					fmt.Fprint(w, `{"id":"sgn_1","status":"opened","expires":"2026-11-23T10:10:00Z"}`)
				default:
					t.Errorf("%s %s", r.Method, r.URL)
				}
			}))
			defer server.Close()
			status, out, stderr := connect(t, server.URL, "", c.args...)
			if status != c.status || !strings.Contains(out, c.out) || !strings.Contains(stderr, c.err) || looks != c.looks || c.wantsBody != "" && body != c.wantsBody {
				t.Errorf("status %d, %q %q, %d looks, sent %s", status, out, stderr, looks, body)
			}
			if asJSON := slices.Contains(c.args, "--json"); asJSON && !json.Valid([]byte(out)) {
				t.Errorf("it is no JSON: %s", out)
			}
		})
	}
}

func TestConnectWithoutABrowser(t *testing.T) {
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		body = r.Method + " " + r.URL.Path + " " + string(raw)
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"connection":"salesforce","member":"mem_1","username":"ana@acme.example"}`)
	}))
	defer server.Close()
	for _, c := range []struct {
		in     string
		args   []string
		status int
		sent   string
	}{
		{"00D!t\n", []string{"--access-token", "-", "--instance-url", "https://a"}, 0, `POST /api/v1/connections {"system":"salesforce","instance_url":"https://a","access_token":"00D!t"}`},
		{"", []string{"--service-user", "bot@acme.com", "--member", "bot@acme.example"}, 0, `POST /api/v1/connections {"system":"salesforce","instance_url":"","service_user":"bot@acme.com","member":"bot@acme.example"}`},
		{"\n", []string{"--access-token", "-", "--instance-url", "https://a"}, 2, ""},
		{"", []string{"--access-token", "x"}, 2, ""},
		{"", []string{"--access-token", "x", "--instance-url", "https://a", "--service-user", "y"}, 2, ""},
		{"", []string{"--service-user", "y", "--client-id", "z"}, 2, ""},
		{"", []string{"--member", "ben@acme.example"}, 2, ""},
	} {
		body = ""
		if status, out, stderr := connect(t, server.URL, c.in, c.args...); status != c.status || body != c.sent {
			t.Errorf("%q: status %d, %q %q, sent %s", c.args, status, out, stderr, body)
		}
	}
}

// connect runs the command.
func connect(t *testing.T, server, in string, args ...string) (status int, out, stderr string) {
	t.Helper()
	env := map[string]string{"STEWARD_URL": server, "STEWARD_TOKEN": "stw_x"}
	var o, e bytes.Buffer
	status = command.Table{{Name: "it", Run: member.Connect}}.Run(t.Context(), append([]string{"it"}, args...),
		func(name string) string { return env[name] }, terminal.Terminal{In: strings.NewReader(in), Out: &o, Err: &e})
	return status, o.String(), e.String()
}
