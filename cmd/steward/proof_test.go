package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stewardhq/steward/internal/ledger"
)

// TestAProofIsChecked: a server that proves something else, or whose log is no longer the one that was known, is
// not believed, whatever it answers.
func TestAProofIsChecked(t *testing.T) {
	w := newWorld(t, nil)
	var kept, other ledger.Checkpoint
	w.must(w.admin, "POST", "/api/v1/checkpoint", nil, &kept)
	w.joinAs("late@acme.example", "member")
	w.must(w.admin, "POST", "/api/v1/checkpoint", nil, &other)
	known := func(cp ledger.Checkpoint, was, is string) string {
		line, err := json.Marshal(map[string]string{"checkpoint": strings.Replace(cp.Note, was, is, 1)})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "known")
		if err := os.WriteFile(file, line, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	lines := strings.Split(kept.Note, "\n")
	flipped := map[bool]string{true: "B", false: "A"}[lines[2][0] == 'A'] + lines[2][1:]
	// forged changes what the server says of a path.
	forged := func(path string, change func(answer map[string]any)) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, path) {
				w.house.Handler().ServeHTTP(rw, r)
				return
			}
			seen := httptest.NewRecorder()
			w.house.Handler().ServeHTTP(seen, r)
			var answer map[string]any
			if err := json.Unmarshal(seen.Body.Bytes(), &answer); err != nil {
				t.Error(err)
			}
			change(answer)
			_ = json.NewEncoder(rw).Encode(answer)
		}
	}
	flip := func(hash any) string {
		return map[bool]string{true: "1", false: "0"}[hash.(string)[0] == '0'] + hash.(string)[1:]
	}
	set := func(path, field string, value any) http.HandlerFunc {
		return forged(path, func(a map[string]any) { a[field] = value })
	}
	for name, c := range map[string]struct {
		server http.HandlerFunc
		args   []string
		says   string
	}{
		"nothing":                         {w.house.Handler().ServeHTTP, []string{"--known", known(kept, "", "")}, ""},
		"a root that isn't the known one": {w.house.Handler().ServeHTTP, []string{"--known", known(kept, lines[2], flipped)}, "isn't the one that a checkpoint says"},
		"fewer entries than were known": {
			forged("/checkpoint", func(a map[string]any) { a["note"] = kept.Note }), []string{"3", "--known", known(other, "", "")}, "entries are gone"},
		"a checkpoint that nobody signed": {forged("/checkpoint", func(a map[string]any) { a["note"] = strings.Replace(a["note"].(string), "\n", "\n1", 1) }),
			[]string{"--from", "2"}, "isn't signed with the key"},
		"a hash of its own": {forged("/consistency", func(a map[string]any) { h := a["hashes"].([]any); h[0] = flip(h[0]) }), []string{"--from", "3"}, "doesn't prove that the log of 3"},
		"too many hashes":   {forged("/consistency", func(a map[string]any) { h := a["hashes"].([]any); a["hashes"] = append(h, h[0]) }), []string{"--from", "3"}, "doesn't prove that the log of 3"},
		"no hashes":         {set("/consistency", "hashes", []string{}), []string{"--from", "3"}, "doesn't prove that the log of 3"},
		"no hash":           {set("/consistency", "hashes", []string{"xyz"}), []string{"--from", "3"}, "doesn't prove that the log of 3"},
		"no root":           {set("/consistency", "from_root", ""), []string{"--from", "3"}, "doesn't prove that the log of 3"},
		"a root of its own": {forged("/consistency", func(a map[string]any) { a["from_root"] = flip(a["from_root"]) }), []string{"--from", "3"}, "doesn't prove that the log of 3"},
		"another end": {forged("/consistency", func(a map[string]any) {
			a["to_root"], a["hashes"] = a["from_root"], []string{}
		}), []string{"--from", "3"}, "doesn't prove that the log of 3"},
		"another prefix": {set("/consistency", "from", 2), []string{"--from", "3"}, "doesn't prove that the log of 3"},
		"another entry":  {set("/inclusion", "seq", 1), []string{"3"}, "doesn't prove that entry 3"},
		"another size":   {set("/inclusion", "size", 4), []string{"3"}, "doesn't prove that entry 3"},
		"another header": {forged("/inclusion", func(a map[string]any) {
			a["header"] = strings.Replace(a["header"].(string), "operator", "nobody", 1) + " "
		}), []string{"1"}, "doesn't prove that entry 1"},
		"another short log":   {forged("/inclusion", func(a map[string]any) { h := a["hashes"].([]any); h[0] = flip(h[0]) }), []string{"1", "--to", "3"}, "doesn't prove that entry 1"},
		"no proof whatsoever": {func(rw http.ResponseWriter, r *http.Request) { _, _ = rw.Write([]byte(`{}`)) }, []string{"1"}, ""},
	} {
		front := httptest.NewServer(c.server)
		status, out, err := typed(map[string]string{"STEWARD_URL": front.URL, "STEWARD_TOKEN": w.admin.token}, "", append([]string{"proof"}, c.args...)...)
		front.Close()
		if name == "nothing" {
			if status != 0 {
				t.Errorf("nothing is wrong, and yet: status %d, %s%s", status, out, err)
			}
			continue
		}
		if status == 0 || !strings.Contains(err, c.says) || strings.Contains(out, "proven") {
			t.Errorf("%s: status %d, %s%s", name, status, out, err)
		}
	}
}
