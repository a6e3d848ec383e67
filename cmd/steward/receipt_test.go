package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A server that proves another entry, or nothing, is not believed.
func TestAReceiptIsOfTheEntryAskedFor(t *testing.T) {
	w := newWorld(t, nil)
	for name, c := range map[string]struct {
		answer func(rw http.ResponseWriter, r *http.Request)
		says   string
	}{
		"another entry": {func(rw http.ResponseWriter, r *http.Request) {
			r.URL.Path = strings.Replace(r.URL.Path, "/log/3/", "/log/1/", 1)
			w.house.Handler().ServeHTTP(rw, r)
		}, "a proof of entry 1 and was asked for entry 3"},
		"no proof": {func(rw http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, "/log/3/") {
				w.house.Handler().ServeHTTP(rw, r)
				return
			}
			_, _ = rw.Write([]byte(`{"seq":3,"receipt":"c2sp.org/tlog-proof@v1","header":"{}","key":"k"}`))
		}, "doesn't prove entry 3"},
	} {
		front := httptest.NewServer(http.HandlerFunc(c.answer))
		dir := t.TempDir()
		status, out, err := typed(map[string]string{"STEWARD_URL": front.URL, "STEWARD_TOKEN": w.admin.token}, "", "receipt", "3", "--out", filepath.Join(dir, "e.tlog-proof"))
		front.Close()
		left, failed := os.ReadDir(dir)
		if status != 1 || !strings.Contains(err, c.says) || strings.Contains(out+err, "proven") || failed != nil || len(left) > 0 {
			t.Errorf("%s: status %d, %s%s, and %v is left", name, status, out, err, left)
		}
	}
}
