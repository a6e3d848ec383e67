package sandbox_test

import (
	"fmt"
	"math"
	"net/http/httptest"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward/internal/sandbox"
	"github.com/stewardhq/steward/internal/sandbox/org"
)

// pick gives the ids of an object's rows that a predicate written in Go accepts.
func (w *world) pick(object string, want func(org.Row) bool) []string {
	var out []string
	for _, r := range w.org.Rows[object] {
		if want(r) {
			out = append(out, r.Text("Id"))
		}
	}
	slices.Sort(out)
	return out
}

func TestWhere(t *testing.T) {
	w := serve(t, lasting())
	c := w.as(t, "admin")
	accounts := map[string]org.Row{}
	for _, r := range w.org.Rows["Account"] {
		accounts[r.Text("Id")] = r
	}
	account := func(r org.Row) org.Row { return accounts[r.Text("AccountId")] }
	one := w.org.Rows["Opportunity"][17]
	name := one.Text("Name")
	between := func(from, to string) func(org.Row) bool {
		return func(r org.Row) bool { return r.Text("CloseDate") >= from && r.Text("CloseDate") <= to }
	}
	for _, test := range []struct {
		where string
		want  func(org.Row) bool
	}{
		{"StageName = 'closed won'", func(r org.Row) bool { return r["StageName"] == "Closed Won" }},
		{"StageName != 'Closed Won' AND Amount >= 50000", func(r org.Row) bool {
			return r["StageName"] != "Closed Won" && r["Amount"] != nil && r.Number("Amount") >= 50000
		}},
		{"Amount < 20000.5 OR Amount > 200000", func(r org.Row) bool {
			return r["Amount"] != nil && (r.Number("Amount") < 20000.5 || r.Number("Amount") > 200000)
		}},
		{"NOT (IsClosed = true)", func(r org.Row) bool { return !r.True("IsClosed") }},
		{"(NOT IsClosed = true) AND IsWon = FALSE", func(r org.Row) bool { return !r.True("IsClosed") && !r.True("IsWon") }},
		{"StageName IN ('Prospecting', 'Qualification')", func(r org.Row) bool { return r["StageName"] == "Prospecting" || r["StageName"] == "Qualification" }},
		{"StageName NOT IN ('Prospecting', 'Qualification')", func(r org.Row) bool { return r["StageName"] != "Prospecting" && r["StageName"] != "Qualification" }},
		{"Name = '" + strings.ToUpper(name) + "'", func(r org.Row) bool { return r["Name"] == name }},
		{"Name LIKE '%" + strings.ToUpper(name[len(name)-6:]) + "'", func(r org.Row) bool { return strings.HasSuffix(r.Text("Name"), name[len(name)-6:]) }},
		{"Name LIKE '_%" + name[3:8] + "%'", func(r org.Row) bool { return strings.Contains(r.Text("Name")[1:], name[3:8]) }},
		{`Name LIKE '\%%'`, func(r org.Row) bool { return strings.HasPrefix(r.Text("Name"), "%") }},
		{"LastActivityDate = null", func(r org.Row) bool { return r["LastActivityDate"] == nil }},
		{"LastActivityDate != null AND NextStep = ''", func(r org.Row) bool { return r["LastActivityDate"] != nil && r["NextStep"] == nil }},
		{"LastActivityDate < LAST_N_DAYS:30", func(r org.Row) bool { d := r.Text("LastActivityDate"); return d != "" && d < "2026-10-24" }},
		{"CloseDate = THIS_QUARTER", between("2026-10-01", "2026-12-31")},
		{"CloseDate = LAST_QUARTER", between("2026-07-01", "2026-09-30")},
		{"CloseDate > THIS_QUARTER", between("2027-01-01", "9")},
		{"CloseDate <= THIS_QUARTER", between("0", "2026-12-31")},
		{"CloseDate = TODAY", between("2026-11-23", "2026-11-23")},
		{"CloseDate >= 2026-11-01 AND CloseDate < 2026-12-01", between("2026-11-01", "2026-11-30")},
		{"CloseDate IN (LAST_MONTH, NEXT_MONTH, 2026-11-23)", func(r org.Row) bool {
			return between("2026-10-01", "2026-10-31")(r) || between("2026-12-01", "2026-12-31")(r) || between("2026-11-23", "2026-11-23")(r)
		}},
		{"CreatedDate = THIS_YEAR", func(r org.Row) bool { return strings.HasPrefix(r.Text("CreatedDate"), "2026") }},
		{"CreatedDate < 2025-01-01T00:00:00Z", func(r org.Row) bool { return r.Text("CreatedDate") < "2025" }},
		{"Account.Region__c = 'EMEA'", func(r org.Row) bool { return account(r)["Region__c"] == "EMEA" }},
		{"Account.Owner.Username LIKE '%@acme.example' AND Opportunity.Account.Name != null", func(org.Row) bool { return true }},
		{"AccountId = '" + one.Text("AccountId")[:15] + "'", func(r org.Row) bool { return r["AccountId"] == one["AccountId"] }},
		{"AccountId IN ('" + one.Text("AccountId") + "') AND IsClosed = false", func(r org.Row) bool { return r["AccountId"] == one["AccountId"] && !r.True("IsClosed") }},
		{"Id IN ('" + one.Text("Id") + "','" + one.Text("Id")[:15] + "','001000000000000')", func(r org.Row) bool { return r["Id"] == one["Id"] }},
		{"Id != '" + one.Text("Id") + "' AND AccountId = '" + one.Text("AccountId") + "'", func(r org.Row) bool { return r["Id"] != one["Id"] && r["AccountId"] == one["AccountId"] }},
		{"AccountId IN (SELECT Id FROM Account WHERE Region__c = 'APAC')", func(r org.Row) bool { return account(r)["Region__c"] == "APAC" }},
		{"AccountId NOT IN (SELECT Id FROM Account WHERE Region__c IN ('APAC', 'EMEA'))", func(r org.Row) bool { return account(r)["Region__c"] == "Americas" }},
	} {
		want := w.pick("Opportunity", test.want)
		if got := ids(c.query("SELECT Id FROM Opportunity WHERE " + test.where)); !slices.Equal(got, want) {
			t.Errorf("%s: %d rows, want %d", test.where, len(got), len(want))
		}
	}
}

func TestDateLiteralsFollowTheUsersZone(t *testing.T) {
	o := org.Empty(1, today())
	o.Rows["User"][0]["TimeZoneSidKey"] = "Pacific/Auckland" // 15:04 UTC is 04:04 of the next day there
	s := sandbox.New(o)
	s.Now = clock
	h := httptest.NewServer(s)
	defer h.Close()
	c := &client{t: t, base: h.URL, user: s.Users()[0]}
	if a := c.do("POST", data+"/sobjects/Task", `{"Subject":"x","ActivityDate":"2026-11-24"}`); a.status != 201 {
		t.Fatalf("%s", a.body)
	}
	for where, want := range map[string]int{
		"ActivityDate = TODAY": 1, "ActivityDate = TOMORROW": 0, "CreatedDate = TODAY": 1,
		"CreatedDate = YESTERDAY": 0, "CreatedDate >= 2026-11-24T00:00:00+13:00": 1,
	} {
		if rows := c.query("SELECT Id FROM Task WHERE " + where); len(rows) != want {
			t.Errorf("%s: %d rows, want %d", where, len(rows), want)
		}
	}
}

func TestAggregates(t *testing.T) {
	w := serve(t, lasting())
	c := w.as(t, "manager")
	name := map[string]string{}
	for _, u := range w.org.Rows["User"] {
		name[u.Text("Id")] = u.Text("Name")
	}
	type sums struct {
		n, withAmount    int
		sum, least, most float64
		stages           map[string]bool
	}
	byOwner := map[string]*sums{}
	all := 0
	for _, r := range w.org.Rows["Opportunity"] {
		if !w.mayRead(c.user.ID, r.Text("OwnerId")) {
			continue
		}
		all++
		s := byOwner[r.Text("OwnerId")]
		if s == nil {
			s = &sums{least: math.Inf(1), most: math.Inf(-1), stages: map[string]bool{}}
			byOwner[r.Text("OwnerId")] = s
		}
		s.n++
		s.stages[r.Text("StageName")] = true
		if amount, ok := r["Amount"].(float64); ok {
			s.withAmount++
			s.sum += amount
			s.least, s.most = min(s.least, amount), max(s.most, amount)
		}
	}
	start := time.Now()
	rows := c.query("SELECT OwnerId, Owner.Name who, COUNT(Id), COUNT(Amount) c, SUM(Amount) total, AVG(Amount), MIN(Amount) least, MAX(Amount) most, COUNT_DISTINCT(StageName) stages " +
		"FROM Opportunity GROUP BY OwnerId, Owner.Name ORDER BY SUM(Amount) DESC")
	t.Logf("grouped %d deals in %v", all, time.Since(start))
	if len(rows) != len(byOwner) || len(rows) != 4 {
		t.Fatalf("%d groups, want %d", len(rows), len(byOwner))
	}
	near := func(a any, b float64) bool { return math.Abs(a.(float64)-b) < 0.01 }
	last := math.Inf(1)
	for _, r := range rows {
		s := byOwner[r["OwnerId"].(string)]
		if s == nil || r["who"] != name[r["OwnerId"].(string)] || !near(r["expr0"], float64(s.n)) || !near(r["c"], float64(s.withAmount)) || !near(r["total"], s.sum) ||
			!near(r["expr1"], s.sum/float64(s.withAmount)) || !near(r["least"], s.least) || !near(r["most"], s.most) || !near(r["stages"], float64(len(s.stages))) {
			t.Errorf("%v, want %+v", r, s)
		}
		if !reflect.DeepEqual(r["attributes"], map[string]any{"type": "AggregateResult"}) {
			t.Errorf("attributes %v", r["attributes"])
		}
		if total := r["total"].(float64); total > last {
			t.Error("not in the order asked for")
		} else {
			last = total
		}
	}
	if got := c.query("SELECT COUNT(Id) FROM Opportunity"); len(got) != 1 || !near(got[0]["expr0"], float64(all)) {
		t.Errorf("all: %v", got)
	}
	if got := c.query("SELECT COUNT(Id) n, SUM(Amount) s, MAX(CloseDate) d FROM Opportunity WHERE Name = 'no such deal'"); len(got) != 1 || got[0]["n"] != 0.0 || got[0]["s"] != nil || got[0]["d"] != nil {
		t.Errorf("of nothing: %v", got)
	}
	if got := c.query("SELECT StageName FROM Opportunity WHERE Name = 'no such deal' GROUP BY StageName"); len(got) != 0 {
		t.Errorf("groups of nothing: %v", got)
	}
	having := c.query("SELECT StageName, SUM(Amount) Total FROM Opportunity GROUP BY StageName HAVING SUM(Amount) > 1000 AND StageName LIKE 'closed%' AND COUNT(Id) > 1 ORDER BY StageName DESC LIMIT 5")
	if len(having) != 2 || having[0]["StageName"] != "Closed Lost" || having[1]["StageName"] != "Closed Won" { // in the picklist's order
		t.Errorf("having: %v", having)
	}
	region := c.query("SELECT Account.Region__c, COUNT(Id) n FROM Opportunity GROUP BY Account.Region__c")
	if len(region) != 1 || region[0]["Region__c"] == nil || !near(region[0]["n"], float64(all)) {
		t.Errorf("by region: %v", region)
	}
	if got := c.query("SELECT COUNT(Id) n FROM Opportunity GROUP BY StageName ORDER BY COUNT(Id) LIMIT 2 OFFSET 1"); len(got) != 2 || got[0]["n"].(float64) > got[1]["n"].(float64) {
		t.Errorf("bounded: %v", got)
	}
}

func TestOrderAndBounds(t *testing.T) {
	w := serve(t, lasting())
	c := w.as(t, "admin")
	for _, test := range []struct {
		order              string
		nullsFirst, rising bool
	}{
		{"LastActivityDate", true, true}, {"LastActivityDate ASC NULLS LAST", false, true},
		{"LastActivityDate DESC", true, false}, {"LastActivityDate DESC NULLS LAST", false, false},
	} {
		rows := c.query("SELECT LastActivityDate FROM Opportunity ORDER BY " + test.order)
		var dates []string
		nulls := 0
		for i, r := range rows {
			d, ok := r["LastActivityDate"].(string)
			if ok {
				dates = append(dates, d)
				continue
			}
			nulls++
			if test.nullsFirst != (len(dates) == 0) {
				t.Fatalf("%s: a null at %d", test.order, i)
			}
		}
		if !test.rising {
			slices.Reverse(dates)
		}
		if nulls == 0 || !sort.StringsAreSorted(dates) {
			t.Errorf("%s: %d nulls, sorted %v", test.order, nulls, sort.StringsAreSorted(dates))
		}
	}
	all := c.query("SELECT Id FROM Contact ORDER BY Account.Name, LastName DESC, Id")
	some := c.query("SELECT Id FROM Contact ORDER BY Account.Name, LastName DESC, Id LIMIT 7 OFFSET 100")
	if !reflect.DeepEqual(some, all[100:107]) {
		t.Error("LIMIT and OFFSET cut elsewhere than the whole result")
	}
	if rows := c.query("SELECT Id FROM Account OFFSET 2000"); len(rows) != 0 {
		t.Errorf("beyond the end: %d rows", len(rows))
	}
	if rows := c.query("SELECT Id FROM Account LIMIT 0"); len(rows) != 0 {
		t.Errorf("LIMIT 0: %d rows", len(rows))
	}
}

func TestParentsAndChildren(t *testing.T) {
	w := serve(t, lasting())
	c := w.as(t, "admin")
	deal := w.org.Rows["Opportunity"][42]
	account := w.org.Find("Account", deal.Text("AccountId"))
	owner := w.org.Find("User", deal.Text("OwnerId"))
	boss := w.org.Find("User", owner.Text("ManagerId"))
	row := c.query("SELECT o.Name, Account.Name, Account.Owner.Manager.Name, account.owner.username, Id FROM Opportunity o WHERE o.Id = '" + deal.Text("Id") + "'")[0]
	ref := func(r org.Row, object string) map[string]any {
		return map[string]any{"type": object, "url": data + "/sobjects/" + object + "/" + r.Text("Id")}
	}
	want := map[string]any{
		"attributes": ref(deal, "Opportunity"), "Name": deal["Name"], "Id": deal["Id"],
		"Account": map[string]any{
			"attributes": ref(account, "Account"), "Name": account["Name"],
			"Owner": map[string]any{
				"attributes": ref(owner, "User"), "Username": owner["Username"],
				"Manager": map[string]any{"attributes": ref(boss, "User"), "Name": boss["Name"]},
			},
		},
	}
	if !reflect.DeepEqual(row, want) {
		t.Errorf("got  %v\nwant %v", row, want)
	}
	for _, r := range c.query("SELECT Id, WhatId, What.Name, What.Type FROM Task WHERE WhatId != null LIMIT 50") {
		what := r["What"].(map[string]any)
		p := w.org.Find(what["Type"].(string), r["WhatId"].(string))
		if p == nil || what["Name"] != p["Name"] || what["attributes"].(map[string]any)["type"] != what["Type"] {
			t.Fatalf("task about %v", r)
		}
	}
	people := 0
	for _, r := range c.query("SELECT Id, (SELECT Id, LastName FROM Contacts ORDER BY LastName LIMIT 3), (SELECT Id FROM Opportunities WHERE IsWon = true) FROM Account") {
		id := r["Id"].(string)
		won := w.pick("Opportunity", func(o org.Row) bool { return o["AccountId"] == id && o.True("IsWon") })
		if len(won) == 0 && r["Opportunities"] != nil {
			t.Fatalf("no children are %v", r["Opportunities"])
		} else if len(won) > 0 && r["Opportunities"].(map[string]any)["totalSize"] != float64(len(won)) {
			t.Fatalf("%v, want %d", r["Opportunities"], len(won))
		}
		if list, ok := r["Contacts"].(map[string]any); ok {
			people += len(list["records"].([]any))
		}
	}
	if people == 0 {
		t.Error("no account has contacts")
	}
	mine := w.as(t, "manager")
	if rows := mine.query("SELECT Id FROM Opportunity USING SCOPE mine"); len(rows) != 0 {
		t.Errorf("a manager's own deals: %d", len(rows))
	}
	rep := w.as(t, "representative")
	if rows := rep.query("SELECT Id FROM Opportunity USING SCOPE mine WITH USER_MODE"); len(rows) == 0 {
		t.Error("a representative has no deals")
	}
}

func TestRefusedQueries(t *testing.T) {
	w := serve(t, lasting())
	c := w.as(t, "representative")
	for _, test := range []struct{ soql, code, says string }{
		{"", "MALFORMED_QUERY", "SOQL"},
		{"SELECT", "MALFORMED_QUERY", "ERROR at Row:1:Column:"},
		{"SELEC Id FROM Account", "MALFORMED_QUERY", "\nSELEC Id FROM Account\n^\nERROR at Row:1:Column:1\n"},
		{"SELECT Id,\n  Name,, Type FROM Account", "MALFORMED_QUERY", "ERROR at Row:2:Column:8"},
		{"SELECT Id FROM Account WHERE Name = 'x' OR Name = 'y' AND Name = 'z'", "MALFORMED_QUERY", "ERROR at"},
		{"SELECT Id, bad FROM Account", "INVALID_FIELD", "\nSELECT Id, bad FROM Account\n           ^\nERROR at Row:1:Column:12\nNo such column 'bad' on entity 'Account'. If you are attempting to use a custom field"},
		{"SELECT Id FROM Accounts", "INVALID_TYPE", "sObject type 'Accounts' is not supported"},
		{"SELECT Id FROM ScratchOrgInfo limit 1", "INVALID_TYPE", "ScratchOrgInfo"},
		{"SELECT Boss.Name FROM Account", "INVALID_FIELD", "Didn't understand relationship 'Boss' in field path"},
		{"SELECT What.Amount FROM Task", "INVALID_FIELD", "No such column 'Amount' on entity 'Name'"},
		{"SELECT What.Owner.Name FROM Task", "INVALID_FIELD", "relationship 'Owner'"},
		{"SELECT Owner.Manager.Manager.Manager.Manager.Manager.Name FROM Account", "INVALID_FIELD", "more than 5"},
		{"SELECT Id, id FROM Account", "INVALID_FIELD", "duplicate field selected: id"},
		{"SELECT Name n FROM Account", "MALFORMED_QUERY", "aliasing"},
		{"SELECT Id FROM Account WHERE Description = 'x'", "INVALID_FIELD", "field 'Description' can not be filtered in a query call"},
		{"SELECT Id FROM Account ORDER BY Description", "INVALID_FIELD", "can not be sorted"},
		{"SELECT Id FROM Opportunity WHERE Amount = '5'", "INVALID_FIELD", "must be of type currency and should not be enclosed in quotes"},
		{"SELECT Id FROM Opportunity WHERE Name = 5", "INVALID_FIELD", "must be of type string and should be enclosed in quotes"},
		{"SELECT Id FROM Opportunity WHERE CloseDate > '2026-01-01'", "INVALID_FIELD", "of type date and should not be enclosed"},
		{"SELECT Id FROM Opportunity WHERE CreatedDate > 2026-01-01", "INVALID_FIELD", "of type datetime"},
		{"SELECT Id FROM Opportunity WHERE IsClosed > true", "INVALID_FIELD", "operator >"},
		{"SELECT Id FROM Opportunity WHERE Amount > null", "INVALID_FIELD", "null"},
		{"SELECT Id FROM Opportunity WHERE Amount > EUR5", "INVALID_FIELD", "EUR is not an active currency"},
		{"SELECT Id FROM Opportunity WHERE Probability > USD5", "INVALID_FIELD", "must be of type percent"},
		{"SELECT Id FROM Opportunity WHERE Amount LIKE '5%'", "INVALID_FIELD", "LIKE"},
		{"SELECT Id FROM Opportunity WHERE OwnerId = 'me'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: me"},
		{"SELECT Id FROM Opportunity WHERE CloseDate = LAST_N_YEARS:9999", "INVALID_FIELD", "LAST_N_YEARS:9999"},
		{"SELECT Id FROM Opportunity WHERE StageName INCLUDES ('a')", "INVALID_FIELD", "multipicklist"},
		{"SELECT Id FROM Opportunity WHERE SUM(Amount) > 5", "MALFORMED_QUERY", "SUM"},
		{"SELECT Id FROM Account WHERE Name IN (SELECT Name FROM Contact)", "MALFORMED_QUERY", "semi join"},
		{"SELECT Id FROM Account WHERE Id IN (SELECT Name FROM Contact)", "MALFORMED_QUERY", "exactly one Id"},
		{"SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Contact WHERE Id IN (SELECT WhoId FROM Task))", "MALFORMED_QUERY", "Nesting"},
		{"SELECT Name, COUNT(Id) FROM Account GROUP BY Type", "MALFORMED_QUERY", "Field must be grouped or aggregated: Name"},
		{"SELECT Name, COUNT(Id) FROM Account", "MALFORMED_QUERY", "Field must be grouped or aggregated: Name"},
		{"SELECT COUNT(Id) FROM Opportunity GROUP BY Amount", "MALFORMED_QUERY", "can not be grouped"},
		{"SELECT SUM(Name) FROM Account", "MALFORMED_QUERY", "does not support aggregate operator SUM"},
		{"SELECT MAX(IsClosed) FROM Opportunity", "MALFORMED_QUERY", "does not support"},
		{"SELECT COUNT(Id) a, MAX(Name) A FROM Account", "MALFORMED_QUERY", "duplicate alias: A"},
		{"SELECT COUNT() FROM Account ORDER BY Name", "MALFORMED_QUERY", "COUNT()"},
		{"SELECT COUNT() FROM Account GROUP BY Name", "MALFORMED_QUERY", "COUNT()"},
		{"SELECT GROUPING(Type), COUNT(Id) FROM Account GROUP BY Type", "MALFORMED_QUERY", "ROLLUP"},
		{"SELECT COUNT(Id) FROM Account GROUP BY CUBE(Type, Industry, OwnerId, BillingCity)", "MALFORMED_QUERY", "at most 3"},
		{"SELECT CALENDAR_YEAR(CloseDate) FROM Opportunity", "MALFORMED_QUERY", "Field must be grouped or aggregated: CALENDAR_YEAR(CloseDate)"},
		{"SELECT CALENDAR_MONTH(CloseDate), COUNT(Id) FROM Opportunity GROUP BY CALENDAR_YEAR(CloseDate)", "MALFORMED_QUERY", "Field must be grouped"},
		{"SELECT Id FROM Opportunity WHERE HOUR_IN_DAY(CloseDate) = 1", "INVALID_FIELD", "HOUR_IN_DAY is not supported on date fields"},
		{"SELECT Id FROM Opportunity WHERE CALENDAR_YEAR(Name) = 1", "INVALID_FIELD", "not supported on string fields"},
		{"SELECT Id FROM Opportunity WHERE CALENDAR_YEAR(CloseDate) = '2026'", "INVALID_FIELD", "should not be enclosed"},
		{"SELECT Id FROM Opportunity WHERE DAY_ONLY(convertTimezone(CloseDate)) = TODAY", "INVALID_FIELD", "DAY_ONLY is not supported on date fields"},
		{"SELECT convertTimezone(CreatedDate) FROM Opportunity", "MALFORMED_QUERY", "within a date function"},
		{"SELECT Id FROM Opportunity WHERE FORMAT(Amount) = '1'", "MALFORMED_QUERY", "SELECT list only"},
		{"SELECT convertCurrency(Name) FROM Opportunity", "INVALID_FIELD", "CONVERTCURRENCY is not supported on string fields"},
		{"SELECT Amount, FORMAT(Amount) FROM Opportunity", "INVALID_FIELD", "duplicate field selected"},
		{"SELECT TYPEOF What WHEN Contact THEN Name END FROM Task", "INVALID_TYPE", "Contact is no object that What refers to"},
		{"SELECT TYPEOF What WHEN Account THEN Amount END FROM Task", "INVALID_FIELD", "No such column 'Amount' on entity 'Account'"},
		{"SELECT What.Name, TYPEOF What WHEN Account THEN Name END FROM Task", "INVALID_FIELD", "duplicate field selected: What"},
		{"SELECT TYPEOF Wat WHEN Account THEN Name END FROM Task", "INVALID_FIELD", "Didn't understand relationship 'Wat'"},
		{"SELECT Id FROM Account USING SCOPE allPrivate", "MALFORMED_QUERY", "not supported by this sandbox yet"},
		{"SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Contact) OR Name = 'x'", "MALFORMED_QUERY", "only allowed at the top level"},
		{"SELECT Id FROM Account WHERE NOT Id IN (SELECT AccountId FROM Contact)", "MALFORMED_QUERY", "only allowed at the top level"},
		{"SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Contact) AND Id IN (SELECT AccountId FROM Opportunity) AND Id NOT IN (SELECT WhatId FROM Task)", "MALFORMED_QUERY", "at most 2"},
		{"SELECT Id FROM Account WHERE Id IN (SELECT Id FROM Account)", "MALFORMED_QUERY", "should not be on the same object type"},
		{"SELECT Id FROM Account WHERE Id IN (SELECT OwnerId FROM Contact)", "MALFORMED_QUERY", "should point to the same object type"},
		{"SELECT Id FROM Account WHERE Id IN (SELECT Account.Id FROM Contact)", "MALFORMED_QUERY", "exactly one Id"},
		{"SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Contact LIMIT 3)", "MALFORMED_QUERY", "LIMIT"},
		{"SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Contact ORDER BY Name)", "MALFORMED_QUERY", "ordered"},
		{"SELECT Id FROM Account ALL ROWS", "MALFORMED_QUERY", "ALL ROWS"},
		{"SELECT Id FROM Account FOR UPDATE", "MALFORMED_QUERY", "FOR UPDATE"},
		{"SELECT Id FROM Account OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE", "2000"},
		{"SELECT FIELDS(ALL) FROM Account", "MALFORMED_QUERY", "LIMIT of at most 200"},
		{"SELECT (SELECT Id FROM Deals) FROM Account", "INVALID_TYPE", "relationship 'Deals'"},
		{"SELECT (SELECT COUNT(Id) FROM Contacts) FROM Account", "MALFORMED_QUERY", "aggregate"},
	} {
		if m := c.ask(test.soql).refused(t, 400, test.code); !strings.Contains(m, test.says) {
			t.Errorf("%s:\n%s\ndoes not say %q", test.soql, m, test.says)
		}
	}
	w.as(t, "admin").ask("SELECT Name, COUNT(Id) FROM Opportunity GROUP BY Name").refused(t, 400, "EXCEEDED_ID_LIMIT")
	c.do("GET", data+"/query", "").refused(t, 400, "MALFORMED_QUERY")
}

// FuzzQuery asks whatever the fuzzer thinks of: the answer is rows or a refusal, never a failure.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"SELECT Id, Name FROM Account WHERE Name LIKE 'a%_\\\\' ORDER BY Name NULLS LAST LIMIT 3 OFFSET 1",
		"SELECT StageName, SUM(Amount) s FROM Opportunity WHERE CloseDate = THIS_QUARTER GROUP BY StageName HAVING COUNT(Id) > 1",
		"SELECT Id, What.Name, (SELECT Id FROM Tasks) FROM Contact WHERE AccountId IN (SELECT Id FROM Account) AND NOT Email = null",
		"SELECT FIELDS(ALL) FROM User LIMIT 200", "SELECT COUNT() FROM Task USING SCOPE mine", "SELECT Id FROM Event WHERE StartDateTime > 2026-01-01T00:00:00Z",
	} {
		f.Add(seed)
	}
	s := sandbox.New(org.Acme(3, today()))
	token := s.Users()[4].AccessToken
	f.Fuzz(func(t *testing.T, soql string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path = data + "/query"
		r.URL.RawQuery = "q=" + strings.TrimPrefix(queryPath(soql), data+"/query?q=")
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		s.Limit = math.MaxInt32
		s.ServeHTTP(w, r)
		if w.Code != 200 && w.Code != 400 {
			t.Fatalf("%q answers %d %s", soql, w.Code, w.Body)
		}
		(answer{w.Code, w.Header(), w.Body.Bytes()}).into(t, w.Code, new(any))
	})
}

func BenchmarkGroupedQuery(b *testing.B) {
	w := serve(b, lasting())
	for _, role := range []string{"representative", "admin"} {
		c := w.as(b, role)
		w.server.Limit = math.MaxInt32
		b.Run(fmt.Sprint(role), func(b *testing.B) {
			for b.Loop() {
				if a := c.ask("SELECT OwnerId, COUNT(Id), SUM(Amount) FROM Opportunity WHERE CloseDate = THIS_YEAR AND IsClosed = true GROUP BY OwnerId"); a.status != 200 {
					b.Fatal(string(a.body))
				}
			}
		})
	}
}
