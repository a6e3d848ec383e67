package egress

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stewardhq/steward"
)

const ws steward.WorkspaceID = "ws_test"

// answers is a resolver that gives one answer after another, the last one again and again.
func answers(list ...string) (func(context.Context, string) ([]netip.Addr, error), *int) {
	asked := 0
	return func(context.Context, string) ([]netip.Addr, error) {
		text := list[min(asked, len(list)-1)]
		asked++
		var addrs []netip.Addr
		for _, a := range strings.Fields(text) {
			addrs = append(addrs, netip.MustParseAddr(a))
		}
		return addrs, nil
	}, &asked
}

// dialled records what is dialled and refuses to connect, so that no test leaves the machine.
type dialled struct {
	mu   sync.Mutex
	list []string
}

var errNotDialled = errors.New("the test dials nothing")

func (d *dialled) dial(_ context.Context, _, address string) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = append(d.list, address)
	return nil, errNotDialled
}

// hello is a local server that says what arrived.
func hello(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
			return
		}
		io.WriteString(w, "hello "+r.Host+" "+string(body))
	}))
	t.Cleanup(s.Close)
	return s
}

func get(c *http.Client, u string) (string, error) {
	answer, err := c.Get(u)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return string(body), err
}

func port(rawURL string) string {
	u, _ := url.Parse(rawURL)
	return u.Port()
}

func TestOnlyWhatIsAllowedIsDialled(t *testing.T) {
	allowed := []Destination{
		{URL: "https://acme.my.salesforce.com"},
		{URL: "https://API.model.example:8443/"},
		{URL: "https://xn--bcher-kva.example"},
		{URL: "https://93.184.216.34"},
		{URL: "https://[2606:2800:21f:cb07::1]"},
	}
	const yes = steward.Upstream // let through, and then nobody answers
	for _, c := range []struct {
		url    string
		kind   steward.Kind
		dialed string
	}{
		{"https://acme.my.salesforce.com/services/data", yes, "93.184.216.99:443"},
		{"https://acme.my.salesforce.com:443/x", yes, "93.184.216.99:443"},
		{"HTTPS://ACME.My.Salesforce.COM/", yes, "93.184.216.99:443"},
		{"https://api.model.example:8443/v1", yes, "93.184.216.99:8443"},
		{"https://xn--bcher-kva.example/", yes, "93.184.216.99:443"},
		{"https://93.184.216.34/", yes, "93.184.216.34:443"},
		{"https://[2606:2800:21f:cb07::1]/", yes, "[2606:2800:21f:cb07::1]:443"},
		{"https://[2606:2800:21f:cb07:0:0:0:1]/", yes, "[2606:2800:21f:cb07::1]:443"},

		{"http://acme.my.salesforce.com/", steward.Denied, ""},
		{"https://acme.my.salesforce.com:444/", steward.Denied, ""},
		{"https://acme.my.salesforce.com:0443/", steward.Denied, ""},
		{"https://acme.my.salesforce.com./", steward.Denied, ""},
		{"https://evil.example/", steward.Denied, ""},
		{"https://acme.my.salesforce.com.evil.example/", steward.Denied, ""},
		{"https://evil.example/acme.my.salesforce.com", steward.Denied, ""},
		{"https://evil.example#@acme.my.salesforce.com/", steward.Denied, ""},
		{"https://user@acme.my.salesforce.com/", steward.Denied, ""},
		{"https://acme.my.salesforce.com@evil.example/", steward.Denied, ""},
		{"https://api.model.example/", steward.Denied, ""},
		{"https://bücher.example/", steward.Denied, ""},
		{"https://xn--bcher-kvb.example/", steward.Denied, ""},
		{"https://аcme.my.salesforce.com/", steward.Denied, ""}, // the first letter is Cyrillic
		{"https://1572395042/", steward.Denied, ""},             // 93.184.216.34 in decimal
		{"https://0135.0270.0330.042/", steward.Denied, ""},     // in octal
		{"https://0x5d.0xb8.0xd8.0x22/", steward.Denied, ""},    // in hexadecimal
		{"https://93.184.55330/", steward.Denied, ""},           // in three parts
		{"https://[::ffff:93.184.216.35]/", steward.Denied, ""},
		{"https://[fe80::1%25eth0]/", steward.Denied, ""},
		{"ftp://acme.my.salesforce.com/", steward.Denied, ""},
		{"https:///x", steward.Denied, ""},
	} {
		t.Run(c.url, func(t *testing.T) {
			var d dialled
			resolve, _ := answers("93.184.216.99")
			e := &Egress{Resolve: resolve, dial: d.dial}
			_, err := get(e.Client(ws, allowed...), c.url)
			if steward.KindOf(err) != c.kind {
				t.Fatalf("kind %v of %v, want %v", steward.KindOf(err), err, c.kind)
			}
			if got := strings.Join(d.list, " "); got != c.dialed {
				t.Fatalf("dialled %q, want %q", got, c.dialed)
			}
		})
	}
}

func TestForbiddenAddresses(t *testing.T) {
	for _, c := range []struct {
		addr            string
		public, private bool // whether it may be connected to
	}{
		{"93.184.216.34", true, true},
		{"2606:2800:21f:cb07::1", true, true},
		{"::ffff:93.184.216.34", true, true},
		{"64:ff9b::5db8:d822", true, true},
		{"127.0.0.1", false, true},
		{"127.9.9.9", false, true},
		{"::1", false, true},
		{"::ffff:127.0.0.1", false, true},
		{"64:ff9b::7f00:1", false, false},
		{"2002:7f00:1::", false, false},
		{"10.1.2.3", false, true},
		{"172.16.0.1", false, true},
		{"172.31.255.255", false, true},
		{"172.32.0.1", true, true},
		{"192.168.1.1", false, true},
		{"::ffff:192.168.1.1", false, true},
		{"100.64.0.1", false, true},
		{"fd12:3456::1", false, true},
		{"198.18.0.1", false, true},
		{"203.0.113.9", false, true},
		{"2001:db8::1", false, true},
		{"0.0.0.0", false, false},
		{"0.1.2.3", false, false},
		{"::", false, false},
		{"::7f00:1", false, false},
		{"169.254.169.254", false, false},
		{"::ffff:169.254.169.254", false, false},
		{"64:ff9b::a9fe:a9fe", false, false},
		{"2002:a9fe:a9fe::1", false, false},
		{"169.254.170.2", false, false},
		{"fe80::1", false, false},
		{"fd00:ec2::254", false, false},
		{"fd20:ce::254", false, false},
		{"100.100.100.200", false, false},
		{"168.63.129.16", false, false},
		{"192.0.0.192", false, false},
		{"224.0.0.1", false, false},
		{"ff02::1", false, false},
		{"255.255.255.255", false, false},
		{"64:ff9b:1::a00:1", false, false},
		{"2001:0:4136:e378:8000:63bf:3fff:fdd2", false, false},
	} {
		for _, private := range []bool{false, true} {
			var d dialled
			resolve, _ := answers(c.addr)
			e := &Egress{Resolve: resolve, dial: d.dial}
			client := e.Client(ws, Destination{URL: "https://crm.example", Private: private})
			_, err := get(client, "https://crm.example/")
			may := c.public
			if private {
				may = c.private
			}
			want := steward.Denied
			if may {
				want = steward.Upstream
			}
			if steward.KindOf(err) != want || (len(d.list) == 1) != may {
				t.Errorf("%s, private %v: %v, dialled %v", c.addr, private, err, d.list)
			}
		}
	}
}

func TestOneForbiddenAddressSpoilsTheAnswer(t *testing.T) {
	var d dialled
	resolve, _ := answers("93.184.216.34 10.0.0.1")
	e := &Egress{Resolve: resolve, dial: d.dial}
	_, err := get(e.Client(ws, Destination{URL: "https://crm.example"}), "https://crm.example/")
	if steward.KindOf(err) != steward.Denied || d.list != nil {
		t.Fatalf("%v, dialled %v", err, d.list)
	}
}

func TestRebindingNameIsCaught(t *testing.T) {
	var d dialled
	resolve, asked := answers("93.184.216.34", "127.0.0.1")
	e := &Egress{Resolve: resolve, dial: d.dial}
	client := e.Client(ws, Destination{URL: "https://crm.example"})
	if _, err := get(client, "https://crm.example/"); steward.KindOf(err) != steward.Upstream {
		t.Fatal(err)
	}
	if *asked != 1 || len(d.list) != 1 || d.list[0] != "93.184.216.34:443" {
		t.Fatalf("asked %d times, dialled %v: want the one address that was checked", *asked, d.list)
	}
	if _, err := get(client, "https://crm.example/"); steward.KindOf(err) != steward.Denied {
		t.Fatalf("the second answer leads inside: %v", err)
	}
	if len(d.list) != 1 {
		t.Fatalf("dialled %v", d.list)
	}
}

func TestPlainHTTPIsForThisMachineOnly(t *testing.T) {
	s := hello(t)
	e := &Egress{}
	if body, err := get(e.Client(ws, Destination{URL: s.URL, Private: true}), s.URL); err != nil || !strings.HasPrefix(body, "hello 127.0.0.1") {
		t.Fatalf("%q %v", body, err)
	}
	if _, err := get(e.Client(ws, Destination{URL: s.URL}), s.URL); steward.KindOf(err) != steward.Denied {
		t.Fatalf("not private: %v", err)
	}
	var d dialled
	resolve, _ := answers("10.0.0.1")
	e = &Egress{Resolve: resolve, dial: d.dial}
	_, err := get(e.Client(ws, Destination{URL: "http://crm.example", Private: true}), "http://crm.example")
	if steward.KindOf(err) != steward.Denied || d.list != nil {
		t.Fatalf("http to another machine: %v, dialled %v", err, d.list)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	s, other := hello(t), hello(t)
	client := (&Egress{}).Client(ws, Destination{URL: s.URL, Private: true})
	for _, to := range []string{other.URL, "/elsewhere", "http://169.254.169.254/latest/meta-data"} {
		answer, err := client.Get(s.URL + "/?to=" + url.QueryEscape(to))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusTemporaryRedirect || answer.Request.URL.Host != strings.TrimPrefix(s.URL, "http://") {
			t.Errorf("to %s: %s of %s", to, answer.Status, answer.Request.URL)
		}
	}
}

func TestEnvironmentProxiesAreIgnored(t *testing.T) {
	proxied := false
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { proxied = true }))
	defer proxy.Close()
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	s := hello(t)
	resolve, _ := answers("127.0.0.1")
	e := &Egress{Resolve: resolve}
	at := "http://crm.example:" + port(s.URL)
	if body, err := get(e.Client(ws, Destination{URL: at, Private: true}), at); err != nil || !strings.HasPrefix(body, "hello crm.example") || proxied {
		t.Fatalf("%q %v, through the proxy: %v", body, err, proxied)
	}
}

func TestHostHeaderFollowsTheURL(t *testing.T) {
	s := hello(t)
	client := (&Egress{}).Client(ws, Destination{URL: s.URL, Private: true})
	r, _ := http.NewRequest("GET", s.URL, nil)
	r.Host = "internal.example"
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, _ := io.ReadAll(answer.Body); strings.Contains(string(body), "internal") {
		t.Fatalf("the server was asked for another host: %s", body)
	}
}

func TestTLSIsVerified(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello "+r.Proto) }))
	s.Config.ErrorLog = nil
	defer s.Close()
	d := Destination{URL: s.URL, Private: true}
	if _, err := get((&Egress{}).Client(ws, d), s.URL); steward.KindOf(err) != steward.Upstream {
		t.Fatalf("an unknown authority: %v", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	if body, err := get((&Egress{RootCAs: roots}).Client(ws, d), s.URL); err != nil || body != "hello HTTP/1.1" {
		t.Fatalf("%q %v", body, err)
	}
	resolve, _ := answers("127.0.0.1")
	named := "https://other.test:" + port(s.URL)
	if _, err := get((&Egress{RootCAs: roots, Resolve: resolve}).Client(ws, Destination{URL: named, Private: true}), named); steward.KindOf(err) != steward.Upstream {
		t.Fatalf("a certificate for another name: %v", err)
	}
}

func TestConnectionsAreKeptAndCountedByWorkspace(t *testing.T) {
	s := hello(t)
	dials := 0
	e := &Egress{dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		dials++
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	one := e.Client("ws_1", Destination{URL: s.URL, Private: true})
	for range 3 {
		answer, err := one.Post(s.URL, "text/plain", strings.NewReader("12345"))
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}
	two := e.Client("ws_2", Destination{URL: s.URL, Private: true})
	body, err := get(two, s.URL)
	if err != nil || dials != 1 {
		t.Fatalf("%v after %d connections, want one kept", err, dials)
	}
	host := strings.TrimPrefix(s.URL, "http://")
	for _, c := range []struct {
		ws   steward.WorkspaceID
		want Count
	}{
		{"ws_1", Count{s.URL, 3, 15, int64(3 * len("hello "+host+" 12345"))}},
		{"ws_2", Count{s.URL, 1, 0, int64(len(body))}},
	} {
		if got := e.Counts(c.ws); len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: %+v, want %+v", c.ws, got, c.want)
		}
	}
	if got := e.Counts("ws_3"); got != nil {
		t.Errorf("a workspace that sent nothing: %v", got)
	}
	// One workspace's list says nothing about another's.
	if _, err := get(e.Client("ws_3"), s.URL); steward.KindOf(err) != steward.Denied {
		t.Errorf("no list: %v", err)
	}
	e.CloseIdle()
	if _, err := get(two, s.URL); err != nil || dials != 2 {
		t.Errorf("%v after %d connections", err, dials)
	}
}

func TestPrivateConnectionsServePrivateDestinationsOnly(t *testing.T) {
	s := hello(t)
	roots := x509.NewCertPool()
	secure := httptest.NewTLSServer(s.Config.Handler)
	defer secure.Close()
	roots.AddCert(secure.Certificate())
	e := &Egress{RootCAs: roots}
	if _, err := get(e.Client("ws_1", Destination{URL: secure.URL, Private: true}), secure.URL); err != nil {
		t.Fatal(err)
	}
	// An idle connection to the same origin now exists; it was made for a private destination.
	if _, err := get(e.Client("ws_2", Destination{URL: secure.URL}), secure.URL); steward.KindOf(err) != steward.Denied {
		t.Fatalf("a public destination on a private connection: %v", err)
	}
}

func TestContextEndsARequest(t *testing.T) {
	stop := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-stop }))
	defer s.Close()
	defer close(stop)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
	_, err := (&Egress{}).Client(ws, Destination{URL: s.URL, Private: true}).Do(r)
	if steward.KindOf(err) != steward.Upstream || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

func TestErrorsHideTheURLAndSayWhatWasRefused(t *testing.T) {
	client := (&Egress{}).Client(ws)
	_, err := get(client, "https://evil.example/q?name=Maria")
	message := steward.Message(err)
	if !strings.Contains(message, "evil.example") || strings.Contains(message, "Maria") {
		t.Fatal(message)
	}
}

func TestParseDestination(t *testing.T) {
	for _, c := range []struct {
		url     string
		private bool
		ok      bool
	}{
		{"https://acme.my.salesforce.com", false, true},
		{"https://acme.my.salesforce.com/", false, true},
		{"http://127.0.0.1:8080", true, true},
		{"http://localhost:8080", true, true},
		{"http://[::1]:8080", true, true},
		{"https://10.0.0.5", true, true},
		{"https://169.254.169.254", false, true}, // parses; never connected to
		{"http://acme.my.salesforce.com", false, false},
		{"http://169.254.169.254", false, false},
		{"https://acme.my.salesforce.com/path", false, false},
		{"https://acme.my.salesforce.com?x=1", false, false},
		{"https://me:hunter2@acme.my.salesforce.com", false, false},
		{"https://acme.my.salesforce.com.", false, false},
		{"https://bücher.example", false, false},
		{"https://2130706433", false, false},
		{"https://acme.example:99999", false, false},
		{"acme.my.salesforce.com", false, false},
		{"https://", false, false},
		{"https://%zz:hunter2@x", false, false},
		{"", false, false},
	} {
		d, err := ParseDestination(c.url)
		if (err == nil) != c.ok || d.Private != c.private {
			t.Errorf("%q: %+v %v", c.url, d, err)
		}
		if err != nil && (steward.KindOf(err) != steward.Invalid || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%q: %v", c.url, err)
		}
	}
}

// FuzzOrigin holds that whatever is let through is exactly the one destination on the list.
func FuzzOrigin(f *testing.F) {
	for _, seed := range []string{"https://acme.example", "https://ACME.example:443/x", "https://acme.example@evil", "https://127.1", "http://[::1%25lo]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := url.Parse(raw)
		if err != nil {
			return
		}
		o, err := originOf(u)
		if err == nil && o.String() == "https://acme.example:443" {
			if !strings.EqualFold(u.Scheme, "https") || !strings.EqualFold(u.Hostname(), "acme.example") || u.User != nil {
				t.Fatalf("%q passes for https://acme.example", raw)
			}
		}
	})
}
