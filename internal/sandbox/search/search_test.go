package search_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stewardhq/steward/internal/sandbox"
	"github.com/stewardhq/steward/internal/sandbox/org"
	"github.com/stewardhq/steward/internal/sandbox/search"
	"github.com/stewardhq/steward/internal/soql"
)

const data = "/services/data/v62.0"

// served is one company for all tests: they only add to it, each what only it looks for.
var served = sync.OnceValue(func() *sandbox.Server {
	return sandbox.New(org.Acme(7, time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)))
})

type client struct {
	t          testing.TB
	base       string
	token, id  string
	username   string
	searchPath string
}

// users gives clients of an administrator and of two representatives.
func users(t testing.TB) (admin, rep, other *client) {
	t.Helper()
	h := httptest.NewServer(served())
	t.Cleanup(h.Close)
	var reps []*client
	for _, u := range served().Users() {
		c := &client{t: t, base: h.URL, token: u.AccessToken, id: u.ID, username: u.Username, searchPath: data + "/search?q="}
		switch u.Role {
		case "admin":
			admin = c
		case "representative":
			reps = append(reps, c)
		}
	}
	return admin, reps[0], reps[1]
}

func (c *client) do(method, path, body string, into any) int {
	c.t.Helper()
	req, err := http.NewRequest(method, c.base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		c.t.Fatalf("%v in %s", err, b)
	}
	return resp.StatusCode
}

func (c *client) add(object, values string) string {
	c.t.Helper()
	var made struct{ ID string }
	if status := c.do("POST", data+"/sobjects/"+object, values, &made); status != 201 {
		c.t.Fatalf("status %d", status)
	}
	return made.ID
}

type found struct {
	SearchRecords []struct {
		Attributes struct{ Type, URL string }
		ID, Name   string
		Account    *struct{ Name string }
	}
}

// find gives what a search finds, as types and names in order.
func (c *client) find(sosl string) []string {
	c.t.Helper()
	var reply found
	if status := c.do("GET", c.searchPath+url.QueryEscape(sosl), "", &reply); status != 200 {
		c.t.Fatalf("%s: status %d", sosl, status)
	}
	got := []string{}
	for _, r := range reply.SearchRecords {
		if !strings.HasPrefix(r.Attributes.URL, data+"/sobjects/"+r.Attributes.Type+"/") {
			c.t.Errorf("%+v", r)
		}
		got = append(got, r.Attributes.Type+" "+r.Name)
	}
	return got
}

func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprintf("%q", got), fmt.Sprintf("%q", want); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}

func TestTerms(t *testing.T) {
	c, _, _ := users(t)
	for _, name := range []string{"Quagga Zebu Ltd", "Quagga Okapi", "Zebu & Sons (Ibex-Gnu)", "Tür Quaggas"} {
		c.add("Account", fmt.Sprintf(`{"Name":%q,"Description":"ungulates","Phone":"(0161) 715-9042"}`, name))
	}
	for term, want := range map[string]string{
		`quagga`:                           "Quagga Zebu Ltd|Quagga Okapi",
		`QUAGGA zebu`:                      "Quagga Zebu Ltd",
		`zebu AND quagga`:                  "Quagga Zebu Ltd",
		`"zebu quagga"`:                    "",
		`"quagga zebu"`:                    "Quagga Zebu Ltd",
		`"quagga ltd"`:                     "",
		`quagga or ibex`:                   "Quagga Zebu Ltd|Quagga Okapi|Zebu & Sons (Ibex-Gnu)",
		`quagga AND NOT zebu`:              "Quagga Okapi",
		`zebu AND NOT quagga AND NOT ibex`: "",
		`quagga AND (okapi OR ltd)`:        "Quagga Zebu Ltd|Quagga Okapi",
		`okapi OR ltd AND quagga`:          "Quagga Zebu Ltd|Quagga Okapi",
		`ibex AND okapi OR ltd`:            "Quagga Zebu Ltd",
		`quag*`:                            "Quagga Zebu Ltd|Quagga Okapi|Tür Quaggas",
		`q?agga`:                           "Quagga Zebu Ltd|Quagga Okapi",
		`quagga?`:                          "Tür Quaggas",
		`*aggas`:                           "Tür Quaggas",
		`"quag* ok*"`:                      "Quagga Okapi",
		`quagga\*`:                         "Quagga Zebu Ltd|Quagga Okapi",
		`ibex-gnu`:                         "Zebu & Sons (Ibex-Gnu)",
		`\(ibex\-gnu\)`:                    "Zebu & Sons (Ibex-Gnu)",
		`"(ibex"`:                          "Zebu & Sons (Ibex-Gnu)",
		`tür`:                              "Tür Quaggas",
		`"quagga \" okapi"`:                "Quagga Okapi",
		`quagga\}okapi`:                    "Quagga Okapi",
		`quagga & okapi`:                   "Quagga Okapi",
		`okapi OR quagga -`:                "Quagga Zebu Ltd|Quagga Okapi",
		`quagga AND NOT -`:                 "Quagga Zebu Ltd|Quagga Okapi",
		`agga`:                             "",
		`01617159042 AND okapi`:            "Quagga Okapi",
		`0161 okapi`:                       "Quagga Okapi",
	} {
		got := c.find("FIND {" + term + "} RETURNING Account(Name ORDER BY CreatedDate)")
		same(t, term, strings.ReplaceAll(strings.Join(got, "|"), "Account ", ""), want)
	}
}

func TestClauses(t *testing.T) {
	c, _, _ := users(t)
	account := c.add("Account", `{"Name":"Numbat Ltd","Phone":"555 773311","NumberOfEmployees":9}`)
	c.add("Account", `{"Name":"Numbat Inc","NumberOfEmployees":5}`)
	c.add("Account", `{"Name":"Other","Description":"says numbat"}`)
	c.add("Contact", fmt.Sprintf(`{"LastName":"Numbat","Email":"ada.bilby@quoll.example","AccountId":%q}`, account))
	for sosl, want := range map[string][]string{
		"FIND {numbat} RETURNING Contact(Name), Account(Name ORDER BY Name)":                      {"Contact Numbat", "Account Numbat Inc", "Account Numbat Ltd", "Account Other"},
		"FIND {numbat} IN NAME FIELDS RETURNING Account(Name ORDER BY Name DESC)":                 {"Account Numbat Ltd", "Account Numbat Inc"},
		"find {numbat} in all fields returning account(Name order by Name limit 1 offset 1)":      {"Account Numbat Ltd"},
		"FIND {numbat} RETURNING Account(Name WHERE NumberOfEmployees > 6)":                       {"Account Numbat Ltd"},
		"FIND {numbat} RETURNING Account(Name WHERE NumberOfEmployees > 6 OR Description = null)": nil,
		"FIND {numbat} RETURNING Account(Name ORDER BY Name), Contact(Name) LIMIT 2":              {"Account Numbat Inc", "Account Numbat Ltd"},
		"FIND {numbat} RETURNING Account(Name) LIMIT 0":                                           {},
		"FIND {numbat} RETURNING Contact(Name, Account.Name)":                                     {"Contact Numbat"},
		"FIND {numbat} RETURNING Profile(Name)":                                                   {},
		"FIND {quoll} IN EMAIL FIELDS RETURNING Contact(Name), Account":                           {"Contact Numbat"},
		"FIND {quoll} IN NAME FIELDS":                                                             {},
		"FIND {555773311} IN PHONE FIELDS RETURNING Account(Name), Contact(Name)":                 {"Account Numbat Ltd"},
		"FIND {bilby} IN SIDEBAR FIELDS RETURNING Contact(Name) WITH SPELL_CORRECTION = false":    {"Contact Numbat"},
		"\n FIND {numbat}\n RETURNING Contact\n":                                                  {"Contact "},
		"FIND {numbat AND quoll}":                                                                 {"Contact "},
	} {
		if want != nil {
			same(t, sosl, c.find(sosl), want)
		}
	}
	var reply found
	c.do("GET", c.searchPath+url.QueryEscape("FIND {numbat} RETURNING Contact(Id, Account.Name)"), "", &reply)
	if r := reply.SearchRecords; len(r) != 1 || r[0].Account == nil || r[0].Account.Name != "Numbat Ltd" || len(r[0].ID) != 18 {
		t.Errorf("%+v", r)
	}
}

// TestSearchShowsWhatQueriesShow: neither another's records nor a hidden field.
func TestSearchShowsWhatQueriesShow(t *testing.T) {
	admin, rep, other := users(t)
	rep.add("Account", `{"Name":"Thylacine Mine","Description":"pangolin"}`)
	same(t, "owner", rep.find("FIND {thylacine} RETURNING Account(Name)"), []string{"Account Thylacine Mine"})
	same(t, "another", other.find("FIND {thylacine}"), []string{})
	same(t, "administrator", admin.find("FIND {thylacine OR pangolin} RETURNING Account(Name)"), []string{"Account Thylacine Mine"})
	if msg := rep.refused("FIND {thylacine} RETURNING Account(AnnualRevenue)", "INVALID_FIELD"); !strings.Contains(msg, "No such column 'AnnualRevenue'") {
		t.Error(msg)
	}
	rep.refused("FIND {thylacine} RETURNING Account(Id WHERE AnnualRevenue > 5)", "INVALID_FIELD")
	rep.refused("FIND {thylacine} RETURNING Account(Id ORDER BY AnnualRevenue)", "INVALID_FIELD")
	everyone := admin.find("FIND {" + strings.Split(rep.username, "@")[0] + "} IN ALL FIELDS RETURNING User(Name)")
	if len(everyone) == 0 {
		t.Error("people aren't found")
	}
}

func (c *client) refused(sosl, code string) string {
	c.t.Helper()
	var list []struct{ Message, ErrorCode string }
	if status := c.do("GET", c.searchPath+url.QueryEscape(sosl), "", &list); status != 400 || len(list) != 1 || list[0].ErrorCode != code {
		c.t.Fatalf("%s: %d %+v, want %s", sosl, status, list, code)
	}
	return list[0].Message
}

func TestRefusals(t *testing.T) {
	c, _, _ := users(t)
	for sosl, end := range map[string]string{
		"FIND {acme OR -}":                  "ERROR at Row:1:Column:16\na word is missing here",
		"FIND {a -}":                        "ERROR at Row:1:Column:7\nsearch term must be longer than one character: a -",
		"":                                  "ERROR at Row:1:Column:1\na search starts with FIND {what to find}",
		"SELECT Id FROM Account":            "ERROR at Row:1:Column:1\na search starts with FIND {what to find}",
		"FIND {acme":                        "ERROR at Row:1:Column:6\nthe brace isn't closed",
		`FIND {acme\}`:                      "ERROR at Row:1:Column:6\nthe brace isn't closed",
		"FIND {}":                           "ERROR at Row:1:Column:7\na word is missing here",
		"FIND {a}":                          "ERROR at Row:1:Column:7\nsearch term must be longer than one character: a",
		"FIND {**}":                         "ERROR at Row:1:Column:7\nsearch term must be longer than one character: **",
		"FIND {(acme}":                      "ERROR at Row:1:Column:12\na parenthesis isn't closed",
		"FIND {acme)}":                      "ERROR at Row:1:Column:11\nunexpected token: ')'",
		`FIND {"acme}`:                      "ERROR at Row:1:Column:8\na quote isn't closed",
		"FIND {acme AND}":                   "ERROR at Row:1:Column:15\na word is missing here",
		"FIND {NOT acme}":                   "ERROR at Row:1:Column:7\na word is missing here",
		"FIND {acme OR NOT bolt}":           "ERROR at Row:1:Column:15\na word is missing here",
		"FIND {acme} IN TITLE FIELDS":       "ERROR at Row:1:Column:16\nunexpected token: 'TITLE'",
		"FIND {acme} RETURNING":             "ERROR at Row:1:Column:22\nunexpected token: '<EOF>'",
		"FIND {äcmé}\nRETURNING Account(Id": "ERROR at Row:2:Column:21\nunexpected token: '<EOF>'",
		"FIND {äcmé} RETURNING Account() #": "ERROR at Row:1:Column:33\nunexpected token: '#'",
		"FIND {acme} RETURNING Account(Id WHERE)":                  "ERROR at Row:1:Column:39\nunexpected token: ')'",
		"FIND {acme} RETURNING Account(COUNT(Id))":                 "ERROR at Row:1:Column:31\nfunction COUNT is not allowed in RETURNING",
		"FIND {acme} RETURNING Account((SELECT Id FROM Contacts))": "ERROR at Row:1:Column:31\nunexpected token: '('",
		"FIND {acme} RETURNING Account WITH DATA CATEGORY a AT b":  "ERROR at Row:1:Column:36\nWITH DATA is not supported",
		"FIND {acme} LIMIT x":                                      "ERROR at Row:1:Column:19\nunexpected token: 'x'",
		"FIND {acme} LIMIT 5 RETURNING Account":                    "ERROR at Row:1:Column:21\nunexpected token: 'RETURNING'",
		"FIND {" + strings.Repeat("(", 5000) + "acme}":             "the search nests too deep",
	} {
		if msg := c.refused(sosl, "MALFORMED_SEARCH"); !strings.HasSuffix(msg, end) {
			t.Errorf("%.80s: got %q, want %q", sosl, msg, end)
		}
	}
	for sosl, code := range map[string]string{
		"FIND {acme} RETURNING Account(Id, Nope)":            "INVALID_FIELD",
		"FIND {acme} RETURNING Nope(Id)":                     "INVALID_TYPE",
		"FIND {zzzzzz} RETURNING Account(Id ORDER BY Nope)":  "INVALID_FIELD",
		"FIND {zzzzzz} RETURNING Account(Id WHERE Nope = 1)": "INVALID_FIELD",
	} {
		msg := c.refused(sosl, code)
		lines := strings.Split(msg, "\n")
		at := strings.Index(sosl, "Nope")
		if lines[1] != sosl || strings.Index(lines[2], "^") != at || lines[3] != fmt.Sprintf("ERROR at Row:1:Column:%d", at+1) {
			t.Errorf("%q", lines)
		}
	}
}

func TestParameterized(t *testing.T) {
	c, _, _ := users(t)
	for i := range 3 {
		c.add("Account", fmt.Sprintf(`{"Name":"Dugong } %d","NumberOfEmployees":%d}`, i, i))
	}
	for query, want := range map[string]int{
		"q=dugong&sobject=Account&Account.fields=Id,Name":                    3,
		"q=dugong&sobject=Account&sobject=Contact&fields=Id&Account.limit=2": 2,
		"q=dugong&sobject=Account&defaultLimit=1":                            1,
		"q=dugong&in=EMAIL&sobject=Account":                                  0,
		"q=dugong+%7D+2&sobject=Account":                                     1,
		"q=dugong&overallLimit=2":                                            2,
		"q=dugong&sobject=Account&Account.where=NumberOfEmployees%3E0":       2,
		`q=dugong%5C`: 3,
	} {
		var reply found
		if status := c.do("GET", data+"/parameterizedSearch?"+query, "", &reply); status != 200 || len(reply.SearchRecords) != want {
			t.Errorf("%s: %d %+v, want %d", query, status, reply, want)
		}
	}
	var reply found
	status := c.do("POST", data+"/parameterizedSearch", `{"q":"dugong","in":"NAME","fields":["Id"],"overallLimit":10,
		"sobjects":[{"name":"Account","fields":["Name"],"where":"NumberOfEmployees > 0","orderBy":"Name DESC","limit":1,"offset":1}]}`, &reply)
	if status != 200 || len(reply.SearchRecords) != 1 || reply.SearchRecords[0].Name != "Dugong } 1" {
		t.Errorf("%d %+v", status, reply)
	}
	var list []struct{ ErrorCode string }
	if status := c.do("GET", data+"/parameterizedSearch?q=dugong&overallLimit=x", "", &list); status != 400 || list[0].ErrorCode != "INVALID_SEARCH" {
		t.Errorf("%d %+v", status, list)
	}
}

// empty is a company without records.
type empty struct{}

type none struct{}

func (none) Value([]string) (string, any) { return "", nil }

func (empty) Objects() []*org.Object                  { return nil }
func (empty) Run(string, *soql.Query) ([]none, error) { return nil, nil }

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		`FIND {acme} IN ALL FIELDS RETURNING Account(Id, Name WHERE Name LIKE 'a%' ORDER BY Name LIMIT 5 OFFSET 2), Contact LIMIT 10`,
		`FIND {"a \"b\" c" AND (d* OR e?f) AND NOT \{g\}}`, `FIND {é ü} RETURNING X(toLabel(Y) z) WITH SPELL_CORRECTION = true`, "FIND {", "FIND {ab}\n\nIN",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := search.Parse(text)
		if err != nil {
			var bad *soql.SyntaxError
			if !errors.As(err, &bad) || bad.Pos < 0 || bad.Pos > len(text) || bad.Row < 1 || bad.Column < 1 {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if found, err := search.Find(s, empty{}); err != nil || len(found) != 0 {
			t.Fatal(found, err)
		}
	})
}

// FuzzParameters: whatever is searched for stays within FIND's braces.
func FuzzParameters(f *testing.F) {
	f.Add("acme} RETURNING User(Id)")
	f.Add(`a\}b\`)
	f.Add(`\\}`)
	f.Fuzz(func(t *testing.T, term string) {
		text := search.Parameters{Term: term, Objects: []search.Object{{Name: "Account"}}}.String()
		end := len(text) - len("} RETURNING Account(Id)")
		if !strings.HasSuffix(text, "} RETURNING Account(Id)") {
			t.Fatal(text)
		}
		escaped := false
		for i := len("FIND {"); i < end; i++ {
			if text[i] == '}' && !escaped {
				t.Fatalf("%q ends at %d", text, i)
			}
			escaped = text[i] == '\\' && !escaped
		}
		if escaped {
			t.Fatalf("%q doesn't end", text)
		}
	})
}

func TestOfManyWords(t *testing.T) {
	// A pattern of many stars takes no longer than its length times the text's.
	c, _, _ := users(t)
	c.add("Account", fmt.Sprintf(`{"Name":"x","Description":%q}`, strings.Repeat("a", 30000)))
	if got := c.find("FIND {" + strings.Repeat("a*", 100) + "b} RETURNING Account(Name)"); slices.Contains(got, "Account x") {
		t.Errorf("%q", got)
	}
}
