// Package egress answers: where may bytes leave the process to? It holds the only HTTP transport and
// knows destinations and addresses; it doesn't know what is sent, nor on whose behalf beyond the
// workspace that its counts belong to.
package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stewardhq/steward"
)

// How long a destination may take for each step. The whole of an answer has no limit here: a model
// may stream for minutes. Callers bound that with their context.
const (
	dialTimeout   = 10 * time.Second
	tlsTimeout    = 10 * time.Second
	headerTimeout = 2 * time.Minute
	idleTimeout   = 90 * time.Second
	maxHeader     = 1 << 20 // bytes
)

// Egress is the one way out. Its zero value works; it must not be copied after first use.
type Egress struct {
	// Resolve turns a host name into addresses; nil means the system's resolver. It is asked once
	// for each connection made, and only addresses from that one answer are dialled.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	// RootCAs are the authorities whose certificates are trusted; nil means the system's.
	RootCAs *x509.CertPool

	dial       func(ctx context.Context, network, address string) (net.Conn, error) // nil: a real one
	transports [3]*http.Transport                                                   // by reach, made on first use
	mu         sync.Mutex                                                           // guards the fields around it
	counts     map[countKey]*tally
}

// countKey is what is counted apart.
type countKey struct {
	workspace   steward.WorkspaceID
	destination string
}

// tally counts what went to one destination for one workspace.
type tally struct{ requests, out, in atomic.Int64 }

// Count is what a workspace exchanged with one destination since the process started.
type Count struct {
	Destination string // "https://acme.my.salesforce.com:443"
	Requests    int64
	BytesOut    int64 // of request bodies
	BytesIn     int64 // of response bodies as the caller read them, uncompressed
}

// Client gives an HTTP client that reaches the allowed destinations and nothing else: no other
// scheme, host or port, no forbidden address, no proxy, no redirect (the caller gets the 3xx answer
// itself). What it refuses comes back, inside the *url.Error of net/http, as a steward.Error of kind
// Denied; a destination that can't be reached, as one of kind Upstream. A malformed destination
// allows nothing; ParseDestination and Check say beforehand what is wrong with it.
func (e *Egress) Client(ws steward.WorkspaceID, allowed ...Destination) *http.Client {
	exit := exit{egress: e, workspace: ws, allowed: map[string]reach{}}
	for _, d := range allowed {
		if o, err := d.origin(); err == nil {
			exit.allowed[o.String()] = o.reach
		}
	}
	return &http.Client{
		Transport:     exit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Counts lists what the workspace exchanged with each destination, by destination.
func (e *Egress) Counts(ws steward.WorkspaceID) []Count {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []Count
	for key, n := range e.counts {
		if key.workspace == ws {
			list = append(list, Count{key.destination, n.requests.Load(), n.out.Load(), n.in.Load()})
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Destination < list[j].Destination })
	return list
}

// CloseIdle drops the connections that no request is using.
func (e *Egress) CloseIdle() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, t := range e.transports {
		if t != nil {
			t.CloseIdleConnections()
		}
	}
}

// exit is one workspace's door: an http.RoundTripper that lets through what is on its list.
type exit struct {
	egress    *Egress
	workspace steward.WorkspaceID
	allowed   map[string]reach // by origin
}

// RoundTrip checks where the request goes, then sends it over the transport of that reach.
func (x exit) RoundTrip(r *http.Request) (*http.Response, error) {
	refuse := func(err error) (*http.Response, error) {
		if r.Body != nil {
			_ = r.Body.Close() // a RoundTripper closes the body whatever happens; there is nobody to tell
		}
		return nil, err
	}
	to, err := originOf(r.URL)
	if err != nil {
		return refuse(steward.Errorf(steward.Denied, "Steward sends nothing there: %s", steward.Message(err)))
	}
	within, ok := x.allowed[to.String()]
	if !ok {
		return refuse(steward.Errorf(steward.Denied,
			"Steward sends nothing to %s: no connection or provider of this workspace names it; add one if it should", to))
	}
	n := x.egress.tally(countKey{x.workspace, to.String()})
	n.requests.Add(1)
	counted := r.Clone(r.Context())
	// The Host header decides which site answers behind a shared address, so it follows the URL too.
	counted.Host = ""
	if r.Body != nil && r.Body != http.NoBody {
		counted.Body = countingBody{r.Body, &n.out}
		if again := r.GetBody; again != nil { // asked for when an idle connection turns out to be dead
			counted.GetBody = func() (io.ReadCloser, error) {
				body, err := again()
				return countingBody{body, &n.out}, err
			}
		}
	}
	answer, err := x.egress.transport(within).RoundTrip(counted)
	if err != nil {
		if known := (*steward.Error)(nil); errors.As(err, &known) {
			return nil, known
		}
		return nil, steward.Errorf(steward.Upstream, "%s gave no answer; check that it is up and try again", to).Because(err)
	}
	answer.Body = countingBody{answer.Body, &n.in}
	answer.Request = r
	return answer, nil
}

func (e *Egress) tally(key countKey) *tally {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.counts == nil {
		e.counts = map[countKey]*tally{}
	}
	n := e.counts[key]
	if n == nil {
		n = &tally{}
		e.counts[key] = n
	}
	return n
}

// transport gives the transport of a reach. Each has its own idle connections, so one made to a
// private address is never used for a destination that may not have one.
func (e *Egress) transport(within reach) *http.Transport {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.transports[within] == nil {
		var protocols http.Protocols
		protocols.SetHTTP1(true)
		e.transports[within] = &http.Transport{
			Proxy:                  nil, // the environment must not redirect what leaves
			DialContext:            func(ctx context.Context, _, addr string) (net.Conn, error) { return e.connect(ctx, within, addr) },
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: e.RootCAs},
			TLSHandshakeTimeout:    tlsTimeout,
			ResponseHeaderTimeout:  headerTimeout,
			IdleConnTimeout:        idleTimeout,
			MaxIdleConnsPerHost:    16,
			MaxResponseHeaderBytes: maxHeader,
			Protocols:              &protocols,
		}
	}
	return e.transports[within]
}

// connect resolves the host once, checks every address of the answer and dials those very addresses,
// so that a second answer of the name's owner (DNS rebinding) is never asked for.
func (e *Egress) connect(ctx context.Context, within reach, hostport string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, steward.Errorf(steward.Denied, "Steward can't read the address of this destination").Because(err)
	}
	addrs, err := e.resolve(ctx, host)
	if err != nil || len(addrs) == 0 {
		return nil, steward.Errorf(steward.Upstream, "the name %s leads to no address; check its spelling and the network", host).Because(err)
	}
	// One bad address spoils the answer: a name that points both outside and inside is being played with.
	for _, addr := range addrs {
		if why := refusal(addr, within); why != "" {
			return nil, steward.Errorf(steward.Denied, "Steward doesn't connect to %s: it leads to %s", host, why)
		}
	}
	dial := e.dial
	if dial == nil {
		dial = (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext
	}
	var failures []error
	for _, addr := range addrs {
		conn, err := dial(ctx, "tcp", net.JoinHostPort(addr.Unmap().String(), port))
		if err == nil {
			return conn, nil
		}
		failures = append(failures, err)
	}
	return nil, steward.Errorf(steward.Upstream, "%s can't be reached; check that it is up and try again", hostport).Because(errors.Join(failures...))
}

func (e *Egress) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	if e.Resolve != nil {
		return e.Resolve(ctx, host)
	}
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// countingBody counts what is read through it.
type countingBody struct {
	io.ReadCloser
	n *atomic.Int64
}

// Read reads on and counts.
func (b countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}
