package serve

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A client that sends half a body and then nothing is given up on, and one whose answer takes longer than
// the limit is not.
func TestSlowClients(t *testing.T) {
	const limit = 200 * time.Millisecond
	server := httptest.NewServer(inTime(limit, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refuse" {
			http.Error(w, "no", http.StatusUnauthorized) // without having read anything
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, "slow", http.StatusBadRequest)
			return
		}
		select {
		case <-time.After(3 * limit):
			fmt.Fprintf(w, "%s", body)
		case <-r.Context().Done():
			http.Error(w, "cancelled", http.StatusInternalServerError)
		}
	})))
	defer server.Close()
	for _, path := range []string{"/read", "/refuse"} {
		c, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf", path)
		if _, err := io.Copy(io.Discard, bufio.NewReader(c)); err != nil {
			t.Errorf("%s: the server still waits: %v", path, err)
		}
	}
	resp, err := http.Post(server.URL+"/read", "text/plain", strings.NewReader("whole"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 || string(body) != "whole" {
		t.Errorf("a slow answer: %d %q %v", resp.StatusCode, body, err)
	}
}
