package steward_test

import (
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// room is one package and what it may import.
type room struct {
	folder  string
	imports string // other rooms, below internal/; "*" for all. Every room may import the root
	because string
}

// house is the import map of the whole program, and its diagram: read downwards, a room knows only
// rooms above it. A package or an import that is not here fails the test; whoever adds one says why.
var house = []room{
	{".", "", "the nouns; knows the standard library only, so that everybody can share them"},

	// The steps of a call. None knows another, so each can be read, tested and trusted alone.
	{"internal/identity", "", "who is asking?"},
	{"internal/policy", "", "may they?"},
	{"internal/privacy/recognise", "", "what in a text is personal?"},
	{"internal/privacy", "privacy/recognise", "what may be seen?"},
	{"internal/egress", "", "where may bytes leave to?"},
	{"internal/connector", "", "act on a system"},
	{"internal/llm", "", "act through a model"},
	{"internal/ledger/layout", "", "how an entry is written as bytes"},
	{"internal/ledger/tree", "", "what hash stands for all of it, and who signs it"},
	{"internal/ledger", "ledger/layout ledger/tree", "write it down"},
	{"internal/ledger/verify", "ledger ledger/layout ledger/tree", "was the record changed?"},
	{"internal/ledger/tlog", "ledger ledger/tree", "how can others check it?"},
	{"internal/ledger/tlog/verifier", "", "what others find, by code that shares none with ours; in tests only"},
	{"internal/ledger/ocsf", "ledger ledger/tree", "what does it say in the words of security tools?"},
	{"internal/ledger/witness", "ledger/tree", "who outside has seen it?"},
	{"internal/keyring", "", "seal it, and forget it"},
	{"internal/keyring/transit", "keyring", "what encrypts the root key's file?"},
	{"internal/blob", "", "where do the sealed objects lie?"},
	{"internal/blob/blobtest", "blob", "one suite for all places of objects"},
	{"internal/backup", "blob", "what is kept elsewhere, and how does it come back?"},
	{"internal/ledger/segment/columns", "ledger ledger/layout", "how do entries lie in a Parquet file?"},
	{"internal/ledger/segment", "ledger ledger/layout ledger/tree ledger/segment/columns blob", "where is the old part of the record?"},
	{"internal/ledger/prune", "ledger ledger/segment", "which beginning of the record has ended?"},
	{"internal/backup/rejoin", "backup blob ledger ledger/segment ledger/segment/columns ledger/tree", "does an old one fit the keys and signatures of today?"},
	{"internal/ledger/export", "ledger ledger/ocsf ledger/segment/columns ledger/tlog ledger/tree", "what leaves as a file?"},
	{"internal/insight", "", "what do the numbers say?"},
	{"internal/credential", "", "what did a system grant a member, whose turn is it to renew that, and how does it end?"},
	{"internal/config", "", "what can be set?"},
	{"internal/soql", "", "Salesforce's query language, its grammar only"},

	// One kind of system or model each, behind the seam of its parent.
	{"internal/connector/salesforce", "connector soql", "one system; quotes values by the grammar"},
	{"internal/connector/salesforce/oauth", "config connector credential", "how does it give, renew and take back tokens?"},
	{"internal/llm/rules", "llm", "one model"},
	{"internal/llm/anthropic", "llm", "another one, Claude"},
	{"internal/llm/register", "llm", "which providers may a workspace use, and who agreed?"},
	{"internal/messages", "", "what does a streamed answer of a model say, with values for tokens?"},
	{"internal/llm/standin", "", "what a provider of Claude might say; in tests and measurements only"},

	// An org to try all of it against. It shares the grammar with us and nothing else.
	{"internal/sandbox/org", "", "what is in the company"},
	{"internal/sandbox/answers", "sandbox/org", "what is true of the company? Whoever queries it is checked against this, so it shares nothing with them"},
	{"internal/sandbox/engine/value", "soql sandbox/org", "what comparisons, functions and aggregates make of one value"},
	{"internal/sandbox/engine", "soql sandbox/org sandbox/engine/value", "queries, records and permissions over it"},
	{"internal/sandbox/bulk", "soql sandbox/org", "many of them at once, as CSV; it knows the engine as an interface"},
	{"internal/sandbox/search", "soql sandbox/org", "in which of them do these words stand? It knows the engine as an interface"},
	{"internal/sandbox/login", "", "how does one sign in there?"},
	{"internal/sandbox/metadata", "soql sandbox/org", "how are objects, fields and a query's columns described?"},
	{"internal/sandbox", "soql sandbox/org sandbox/engine sandbox/login sandbox/bulk sandbox/search sandbox/metadata", "the same over HTTP"},

	// What puts the steps in their order.
	{"internal/retention/custody", "", "what do holds keep, and from whom?"},
	{"internal/retention", "retention/custody ledger keyring", "forgetting is on record, and is destroying keys; what is kept it reaches through an interface of its own"},
	{"internal/gateway", "identity policy privacy connector credential llm ledger", "the one door: it alone strings the steps together"},
	{"internal/agent", "gateway insight identity policy llm connector ledger", "acts through the door; of the steps it uses the words"},

	{"internal/signin", "gateway identity policy connector connector/salesforce/oauth credential ledger", "how does a member connect an account with a browser?"},

	// The edges.
	{"internal/store/database", "", "how is a transaction durable, and whose rows may it touch?"},
	{"internal/store", "store/database backup credential identity privacy ledger ledger/segment ledger/witness keyring retention gateway agent signin", "implements the small Store interfaces that they declare"},
	{"internal/store/forgetting", "store/database keyring retention retention/custody", "what of forgetting outlasts a process"},
	{"internal/store/register", "store/database llm/register", "which versions of providers outlast a process"},
	{"internal/store/storetest", "credential identity privacy ledger ledger/segment ledger/witness keyring retention gateway agent signin", "one conformance suite for each of those interfaces; it knows no database"},
	{"internal/store/storetest/postgres", "", "a server to test on; in tests only"},
	{"internal/api/wire", "ledger llm", "the JSON that goes over the wire, for whoever speaks to the API"},
	{"internal/api/providers", "gateway identity ledger llm llm/register policy", "how is a provider of models registered, on record?"},
	{"internal/api", "api/wire api/providers llm agent signin credential gateway retention retention/custody identity policy ledger ledger/tlog ledger/export", "shows what they answer, in their words"},
	{"cmd/steward/terminal", "", "how text gets to people, and back"},
	{"cmd/steward/command", "cmd/steward/terminal config", "how a command line is read, and how it ends"},
	{"cmd/steward/show", "api/wire llm retention retention/custody cmd/steward/terminal", "how people see what it answers"},
	{"cmd/steward/client", "api/wire config egress ledger retention", "how one member speaks to it"},
	{"cmd/steward/forget", "privacy retention retention/custody keyring ledger ledger/layout", "who keeps something about people, and how is it reached?"},
	{"cmd/steward/closed", "config retention cmd/steward/command cmd/steward/terminal", "what is left of workspaces that were deleted?"},
	{"cmd/steward/file", "", "how does a file come to be, whole or not at all?"},
	{"cmd/steward/report", "backup ledger ledger/verify cmd/steward/command cmd/steward/terminal", "how do people see what was found in the record?"},
	{"cmd/steward/receipt", "ledger/tlog cmd/steward/command", "does a receipt prove an entry?"},
	{"cmd/steward/serve", "", "how does a handler get an address, and how does it end well?"},
	{"cmd/steward/rekey", "ledger", "how does the whole keyring get new keys, on record and once?"},
	{"cmd/steward/member", "api/wire retention retention/custody ledger/tlog cmd/steward/client cmd/steward/command cmd/steward/file cmd/steward/show cmd/steward/terminal", "what a member has it do"},
	{"cmd/steward/models", "config llm llm/anthropic llm/register", "how is a model reached that a workspace may use?"},
	{"cmd/steward/provider", "llm llm/register cmd/steward/client cmd/steward/command cmd/steward/terminal", "how does an administrator register providers of models?"},
	{"cmd/steward/demo", "api/wire egress ledger ledger/verify llm cmd/steward/client cmd/steward/show cmd/steward/terminal", "a story told through the client"},
	{"cmd/steward", "*", "the wiring"},
}

// libraries are the modules that are not ours and the one room, with those below it, that may know
// each: changing our mind about one must not be felt elsewhere.
var libraries = map[string]string{
	"github.com/anthropics/anthropic-sdk-go":  "internal/llm/anthropic",
	"github.com/cedar-policy/cedar-go":        "internal/policy",
	"github.com/openbao/openbao/api/v2":       "internal/keyring/transit",
	"github.com/transparency-dev/formats":     "internal/ledger",
	"github.com/transparency-dev/merkle":      "internal/ledger",
	"github.com/klauspost/compress":           "internal/ledger",
	"github.com/parquet-go/parquet-go":        "internal/ledger/segment/columns",
	"golang.org/x/mod":                        "internal/ledger",
	"github.com/aws/aws-sdk-go-v2/aws":        "internal/blob",
	"github.com/aws/aws-sdk-go-v2/service/s3": "internal/blob",
	"github.com/aws/smithy-go":                "internal/blob",
	"github.com/jackc/pgx/v5":                 "internal/store",
	"modernc.org/sqlite":                      "internal/store",
	"golang.org/x/term":                       "cmd/steward",
}

// The budgets. What makes a code base hard to read is less its size than how far one has to follow.
const (
	module         = "github.com/stewardhq/steward"
	maxChain       = 6    // packages on the longest path of imports, the root and the command included
	maxMeanImports = 2.5  // imports of other rooms a room; root and cmd not counted
	maxPackage     = 2000 // lines without tests
	maxFile        = 600
)

// longFiles are the files that may be longer than maxFile, each one algorithm told in order.
var longFiles = map[string]string{}

// only says which rooms may use what the others get handed, and why the others don't.
type only struct {
	name    string // package path and name; a trailing * stands for any ending; "" as name for the whole package
	rooms   string // space-separated, with all below them; "" for none
	because string
}

var reserved = []only{
	{"net.Dial*", "internal/egress", "only egress may open connections"},
	{"net.Resolver", "internal/egress", "a name is resolved once, where the address is checked"},
	{"net.Lookup*", "internal/egress", "a name is resolved once, where the address is checked"},
	{"crypto/tls.Dial*", "internal/egress", "only egress may open connections"},
	{"net/http.Transport", "internal/egress", "only egress holds a transport"},
	{"net/http.DefaultTransport", "", "it knows no allow-list"},
	{"net/http.DefaultClient", "", "it knows no allow-list"},
	{"net/http.Get", "", "it knows no allow-list"},
	{"net/http.Head", "", "it knows no allow-list"},
	{"net/http.Post*", "", "it knows no allow-list"},
	{"net/http.Client", "internal/egress", "a client is handed over as *http.Client; a new one would use the default transport"},
	{"net/http/httputil.ReverseProxy", "", "it uses the default transport"},
	{"net.Listen", "cmd/steward", "servers are handlers; the command listens"},
	{"net.ListenConfig", "cmd/steward", "servers are handlers; the command listens"},
	{"net.ListenTCP", "cmd/steward", "servers are handlers; the command listens"},
	{"net.ListenUnix", "cmd/steward", "servers are handlers; the command listens"},
	{"net.ListenPacket", "", "nothing here speaks UDP"},
	{"net.ListenUDP", "", "nothing here speaks UDP"},
	{"net/http.ListenAndServe*", "cmd/steward", "servers are handlers; the command listens"},
	{"net/smtp.", "", "only egress may open connections"},
	{"net/rpc.", "", "only egress may open connections"},
	{"log/syslog.", "", "only egress may open connections"},
	{"os/exec.", "internal/store/storetest/postgres", "nothing is run in another process, but the server that tests start"},
	{"plugin.", "", "all code is in the binary"},
	{"unsafe.", "", "nothing here needs it"},
	{"C.", "", "the program builds without a C compiler"},

	{"os.Getenv", "cmd/steward internal/store/storetest/postgres", "settings are arguments; main is given its environment"},
	{"os.LookupEnv", "cmd/steward", "settings are arguments; main is given its environment"},
	{"os.Environ", "cmd/steward", "settings are arguments; main is given its environment"},
	{"time.Now", "cmd/steward", "the clock is a field, so that any day can be tried"},
	{"time.Since", "cmd/steward", "it reads the clock, which is a field"},
	{"time.Until", "cmd/steward", "it reads the clock, which is a field"},
	{"crypto/rand.", "cmd/steward", "randomness is a field, so that a run can be repeated"},
	{"math/rand.", "", "math/rand/v2 with a seed where a sequence must be repeatable, else the field"},
	{"math/rand/v2.", "internal/sandbox/org", "a seed makes the company; nothing else may be guessable"},
}

// rules are the checks. Each lists what is wrong with a tree, and nothing if nothing is.
var rules = map[string]func(tree) []string{
	"imports follow the map":                   tree.strayImports,
	"chains of imports are short":              tree.longChains,
	"rooms know few others":                    tree.manyImports,
	"packages and files are of readable size":  tree.tooLong,
	"every package says what it answers":       tree.uncommented,
	"no init":                                  tree.inits,
	"package variables never change":           tree.mutated,
	"what is reserved is used where it may be": tree.misused,
}

func TestArchitecture(t *testing.T) {
	sources := map[string]string{}
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (entry.Name()[0] == '.' || entry.Name() == "testdata" || name == "tools"):
			return fs.SkipDir // tools is a module of its own
		case strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
			text, err := os.ReadFile(name)
			sources[name] = string(text)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	checked, err := parse(sources)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		t.Run(name, func(t *testing.T) {
			for _, wrong := range rules[name](checked) {
				t.Error(wrong)
			}
		})
	}
	above := []string{"*"}
	for _, r := range house {
		if checked.rooms[r.folder] == nil {
			t.Errorf("the map has %s, and there is no such package", r.folder)
		}
		for _, name := range strings.Fields(r.imports) {
			if !slices.Contains(above, name) {
				t.Errorf("the map lets %s import %s, which is no row above it", r.folder, name)
			}
		}
		above = append(above, strings.TrimPrefix(r.folder, "internal/"))
	}
}

// TestRulesBite plants one violation after another: a rule that finds none finds nothing in the program
// either. The clean twin shows that what is refused is the violation and nothing around it.
func TestRulesBite(t *testing.T) {
	const soql, gateway, agent = "internal/soql/a.go", "internal/gateway/a.go", "internal/agent/a.go"
	importing := func(paths ...string) string {
		text := "// Package soql answers.\npackage soql\n"
		for _, p := range paths {
			text += "import _ \"" + p + "\"\n"
		}
		return text
	}
	for _, c := range []struct {
		name, rule string
		planted    map[string]string
		clean      map[string]string
		want       string
	}{
		{
			name: "a step knows another", rule: "imports follow the map",
			planted: map[string]string{soql: importing(module + "/internal/policy")},
			clean:   map[string]string{soql: importing(module, "strings")},
			want:    "internal/soql imports internal/policy",
		}, {
			name: "a package outside the map", rule: "imports follow the map",
			planted: map[string]string{"internal/util/a.go": "package util"},
			clean:   map[string]string{soql: "package soql"},
			want:    "internal/util is not in the map",
		}, {
			name: "another room's library", rule: "imports follow the map",
			planted: map[string]string{soql: importing("modernc.org/sqlite")},
			clean:   map[string]string{"internal/store/a.go": importing("modernc.org/sqlite", "modernc.org/sqlite/lib")},
			want:    "another room's library",
		}, {
			name: "a library whose name only begins alike", rule: "imports follow the map",
			planted: map[string]string{"internal/store/a.go": importing("modernc.org/sqlitelike")},
			clean:   map[string]string{"internal/store/a.go": importing("modernc.org/sqlite")},
			want:    "modernc.org/sqlitelike",
		}, {
			name: "a long chain", rule: "chains of imports are short",
			planted: map[string]string{
				"a/a.go": importing(module + "/b"), "b/a.go": importing(module + "/c"), "c/a.go": importing(module + "/d"),
				"d/a.go": importing(module + "/e"), "e/a.go": importing(module + "/f"), "f/a.go": importing(module),
			},
			clean: map[string]string{
				"a/a.go": importing(module + "/b"), "b/a.go": importing(module + "/c"), "c/a.go": importing(module + "/d"),
				"d/a.go": importing(module + "/e"), "e/a.go": importing(module),
			},
			want: "a → b → c → d → e → f → .",
		}, {
			name: "rooms that know everybody", rule: "rooms know few others",
			planted: map[string]string{
				gateway: importing(module+"/internal/a", module+"/internal/b", module+"/internal/c"),
				agent:   importing(module+"/internal/a", module+"/internal/b", module+"/internal/c"),
			},
			clean: map[string]string{
				gateway: importing(module+"/internal/a", module+"/internal/b", module+"/internal/c"),
				agent:   importing(module+"/internal/a", module),
			},
			want: "6 imports among 2 rooms",
		}, {
			name: "a long file", rule: "packages and files are of readable size",
			planted: map[string]string{soql: "package soql" + strings.Repeat("\n", maxFile+1)},
			clean:   map[string]string{soql: "package soql" + strings.Repeat("\n", maxFile)},
			want:    "internal/soql/a.go has 601 lines",
		}, {
			name: "a long package", rule: "packages and files are of readable size",
			planted: map[string]string{
				"internal/soql/a.go": "package soql" + strings.Repeat("\n", 600), "internal/soql/b.go": "package soql" + strings.Repeat("\n", 600),
				"internal/soql/c.go": "package soql" + strings.Repeat("\n", 600), "internal/soql/d.go": "package soql" + strings.Repeat("\n", 201),
			},
			clean: map[string]string{
				"internal/soql/a.go": "package soql" + strings.Repeat("\n", 600), "internal/soql/b.go": "package soql" + strings.Repeat("\n", 600),
				"internal/soql/c.go": "package soql" + strings.Repeat("\n", 600), "internal/soql/d.go": "package soql" + strings.Repeat("\n", 200),
			},
			want: "internal/soql has 2001 lines",
		}, {
			name: "no package comment", rule: "every package says what it answers",
			planted: map[string]string{soql: "// a file\n\npackage soql"},
			clean:   map[string]string{soql: "// Package soql answers.\npackage soql", "internal/soql/b.go": "package soql"},
			want:    "internal/soql needs one package comment",
		}, {
			name: "two package comments", rule: "every package says what it answers",
			planted: map[string]string{soql: "// Package soql answers.\npackage soql", "internal/soql/b.go": "// Package soql too.\npackage soql"},
			clean:   map[string]string{"cmd/steward/main.go": "// Command steward is it.\npackage main", "steward.go": "// Package steward names.\npackage steward"},
			want:    "it has 2 comments",
		}, {
			name: "an init", rule: "no init",
			planted: map[string]string{soql: "package soql\nfunc init() {}"},
			clean:   map[string]string{soql: "package soql\ntype t struct{}\nfunc (t) init() {}\nfunc main() {}"},
			want:    "init runs unasked",
		},
	} {
		t.Run(c.name, func(t *testing.T) { bites(t, c.rule, c.planted, c.clean, c.want) })
	}

	const variables = "package variables never change"
	for _, c := range []struct{ name, planted, clean string }{
		{"assigned", "var v int; func f() { v = 1 }", "var v int; func f() { v := 1; v = 2 }"},
		{"assigned with others", "var v int; func f() (e error) { v, e = 1, nil; return }", "var v int; func f() (v int, e error) { v, e = 1, nil; return }"},
		{"added to", "var v int; func f() { v += 1 }", "var v = 1 + 2; func f() int { return v + 1 }"},
		{"counted", "var v int; func f() { v++ }", "var v int; func f(v int) { v++ }"},
		{"index", "var v = map[string]int{}; func f() { v[``] = 1 }", "var v = map[string]int{`a`: 1}; func f() int { return v[``] }"},
		{"field of an element", "var v []struct{ x int }; func f() { (v[0]).x = 1 }", "var v []struct{ x int }; func f() { w := v[0]; w.x = 1 }"},
		{"deleted", "var v = map[string]int{}; func f() { delete(v, ``) }", "var v = map[string]int{}; func f(v map[string]int) { delete(v, ``) }"},
		{"copied into", "var v [4]byte; func f(b []byte) { copy(v[:], b) }", "var v [4]byte; func f(b []byte) { copy(b, v[:]) }"},
		{"address", "var v int; func f() *int { return &v }", "type v struct{}; func f() *v { return &v{} }"},
		{"range", "var v int; func f() { for v = range 3 { } }", "var v int; func f() { for v := range 3 { _ = v } }"},
		{"sorted", "import `slices`; var v []int; func f() { slices.Sort(v) }", "import `slices`; var v []int; func f() []int { return slices.Sorted(slices.Values(v)) }"},
		{"a lock", "import `sync`; var v sync.Mutex", "import `sync`; type t struct { v sync.Mutex }"},
		{"another package's", "import `flag`; func f() { flag.Usage = nil }", "type s struct{ Usage func() }; func f(flag s) { flag.Usage = nil }"},
		{"inside a literal", "var v int; var w = func() int { v = 2; return v }", "var v int; var w = func() int { return v }"},
	} {
		t.Run(variables+"/"+c.name, func(t *testing.T) {
			bites(t, variables, map[string]string{soql: "package soql; " + c.planted}, map[string]string{soql: "package soql; " + c.clean}, "package variable")
		})
	}

	const used = "what is reserved is used where it may be"
	for _, c := range []struct{ planted, clean string }{
		{"import `net`; func f() { net.Dial(``, ``) }", "func f(net interface{ Dial(a, b string) }) { net.Dial(``, ``) }"},
		{"import n `net`; var d n.Dialer", "import `net`; var a net.Addr"},
		{"import `net`; func f() { net.LookupHost(``) }", "import `net`; func f() { net.SplitHostPort(``) }"},
		{"import `net`; func f() { net.Listen(``, ``) }", "import `net`; type l net.Listener"},
		{"import `crypto/tls`; func f() { tls.Dial(``, ``, nil) }", "import `crypto/tls`; var c tls.Config"},
		{"import `net/http`; var t = &http.Transport{}", "import `net/http`; var t http.RoundTripper"},
		{"import `net/http`; func f() { http.Get(``) }", "import `net/http`; func f(h http.Header) { h.Get(``) }"},
		{"import `net/http`; func f() { http.PostForm(``, nil) }", "import `net/http`; const m = http.MethodPost"},
		{"import `net/http`; var c = http.DefaultClient", "import `net/http`; var c = http.DefaultMaxHeaderBytes"},
		{"import `net/http`; var c = &http.Client{}", "import `net/http`; type s struct { c *http.Client }"},
		{"import `net/http`; var c = new(http.Client)", "import `net/http`; func f(c *http.Client, r *http.Request) { c.Do(r) }"},
		{"import `net/http`; type s struct { http.Client }", "import `net/http`; func f() *http.Client { return nil }"},
		{"import `os/exec`; var c exec.Cmd", "import `os`; var c os.File"},
		{"import _ `unsafe`", "import _ `embed`"},
		{"import . `strings`", "import `strings`"},
		{"import `os`; func f() { os.Getenv(``) }", "import `os`; func f() { os.ReadFile(``) }"},
		{"import `time`; func f() { time.Now() }", "import `time`; type s struct { Now func() time.Time }; func f(s s) { s.Now() }"},
		{"import `time`; var now = time.Now", "import `time`; var second = time.Second"},
		{"import `crypto/rand`; var r = rand.Reader", "import `io`; type s struct { Rand io.Reader }"},
		{"import `math/rand/v2`; func f() { rand.IntN(2) }", "import `math/big`; var r big.Int"},
	} {
		t.Run(used+"/"+c.planted, func(t *testing.T) {
			bites(t, used, map[string]string{soql: "package soql; " + c.planted}, map[string]string{soql: "package soql; " + c.clean}, soql+":1: ")
		})
	}
	t.Run("egress may dial, the command may listen", func(t *testing.T) {
		bites(t, used,
			map[string]string{"internal/egressive/a.go": "package egressive; import `net`; var d net.Dialer"},
			map[string]string{
				"internal/egress/a.go":      "package egress; import `net`; var d net.Dialer",
				"cmd/steward/main.go":       "package main; import (`net`; `os`; `time`; `crypto/rand`); func f() { net.Listen(``, ``); os.Getenv(``); time.Now(); _ = rand.Reader }",
				"internal/sandbox/org/a.go": "package org; import `math/rand/v2`; func f(r *rand.Rand) {}",
			}, "net.Dialer is not for internal/egressive")
	})
}

// bites fails unless a rule finds exactly one thing in the planted sources, and nothing in the clean ones.
func bites(t *testing.T, rule string, planted, clean map[string]string, want string) {
	t.Helper()
	find := func(sources map[string]string) []string {
		checked, err := parse(sources)
		if err != nil {
			t.Fatal(err)
		}
		return rules[rule](checked)
	}
	if found := find(planted); len(found) != 1 || !strings.Contains(found[0], want) {
		t.Errorf("planted: found %q, want one that says %q", found, want)
	}
	if found := find(clean); len(found) != 0 {
		t.Errorf("clean: found %q", found)
	}
}
