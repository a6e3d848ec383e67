package serve

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward"
)

// A server told to stop takes no more requests and answers those under way.
func TestServingDrains(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	s, err := On("127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		fmt.Fprint(w, "done")
	}), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	answer := make(chan string, 1)
	go func() {
		resp, err := http.Get(s.URL)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		answer <- fmt.Sprint(string(text), err)
	}()
	<-arrived
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Wait(ctx, nil) }()
	cancel()
	// The listener goes at once; the request under way keeps the server waiting.
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		again, err := On(strings.TrimPrefix(s.URL, "http://"), http.NotFoundHandler(), slog.New(slog.DiscardHandler))
		if err == nil {
			if err := again.Stop(context.Background()); err != nil {
				t.Error(err)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it went on listening")
		}
	}
	select {
	case err := <-ended:
		t.Fatalf("it did not wait: %v", err)
	case got := <-answer:
		t.Fatalf("answered too early: %s", got)
	default:
	}
	close(release)
	if got := <-answer; got != "done<nil>" {
		t.Errorf("the request under way got %q", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// A server whose database another may have by now ends by itself, and says so.
func TestAServerThatLostItsDatabaseEnds(t *testing.T) {
	s, err := On("127.0.0.1:0", http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	lost := make(chan struct{})
	ended := make(chan error, 1)
	go func() { ended <- s.Wait(context.Background(), lost) }()
	close(lost)
	select {
	case err := <-ended:
		if steward.KindOf(err) != steward.Unavailable || !strings.Contains(steward.Message(err), "another Steward may have it") {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on")
	}
	if _, err := http.Get(s.URL); err == nil {
		t.Error("it still answers")
	}
}
