package engine_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward/internal/sandbox/engine"
	"github.com/stewardhq/steward/internal/sandbox/org"
)

// small is a company of an administrator alone, changed before it is served.
func small(change func(o *org.Org, admin org.Row)) (e *engine.Engine, admin string) {
	o := org.Empty(3, time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC))
	row := o.Rows["User"][0]
	if change != nil {
		change(o, row)
	}
	return engine.New(o, oracleNow), row.Text("Id")
}

// created makes a record that must be made.
func created(t *testing.T, e *engine.Engine, user, object string, values map[string]any) string {
	t.Helper()
	id, err := e.Create(user, object, values)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// told writes what a query finds on one line a row: names and values, parents in braces, children in brackets.
func told(t *testing.T, e *engine.Engine, user, query string) []string {
	t.Helper()
	result, err := e.Query(user, query)
	if err != nil {
		t.Fatalf("%s\n%v", query, err)
	}
	return lines(result)
}

func lines(result *engine.Result) (out []string) {
	var record func(*engine.Record) string
	record = func(r *engine.Record) string {
		var members []string
		for _, v := range r.Values {
			text := fmt.Sprint(v.Value)
			switch value := v.Value.(type) {
			case *engine.Record:
				text = value.Type + "{" + record(value) + "}"
			case *engine.Result:
				text = fmt.Sprint(lines(value))
			}
			members = append(members, v.Name+"="+text)
		}
		return strings.Join(members, " ")
	}
	for _, r := range result.Records {
		out = append(out, record(r))
	}
	return out
}

func holds(t *testing.T, e *engine.Engine, user, query string, want ...string) {
	t.Helper()
	if got := told(t, e, user, query); !slices.Equal(got, want) {
		t.Errorf("%s\ngot  %q\nwant %q", query, got, want)
	}
}

// TestFunctions reads every function off a calendar: 29 March 2026 is a Sunday, the 88th day, in the fiscal year that
// began in April 2025; in Auckland it is the 30th.
func TestFunctions(t *testing.T) {
	e, admin := small(func(o *org.Org, row org.Row) {
		row["TimeZoneSidKey"] = "Pacific/Auckland"
		o.Rows["Organization"][0]["FiscalYearStartMonth"] = 4.0
	})
	created(t, e, admin, "Event", map[string]any{"Subject": "Fair", "StartDateTime": "2026-03-29T14:30:00Z", "EndDateTime": "2026-03-29T15:30:00Z"})
	created(t, e, admin, "Opportunity", map[string]any{"Name": "Rope", "StageName": "Prospecting", "CloseDate": "2026-03-29", "Amount": 1234567.5})
	created(t, e, admin, "Opportunity", map[string]any{"Name": "Sail", "StageName": "Closed Lost", "CloseDate": "2026-04-01", "Amount": -20.0})
	created(t, e, admin, "Opportunity", map[string]any{"Name": "Tar", "StageName": "Qualification", "CloseDate": "2025-12-31"})
	for function, want := range map[string]int{
		"CALENDAR_YEAR": 2026, "CALENDAR_QUARTER": 1, "CALENDAR_MONTH": 3, "FISCAL_YEAR": 2026, "FISCAL_QUARTER": 4, "FISCAL_MONTH": 12,
		"DAY_IN_MONTH": 29, "DAY_IN_WEEK": 1, "DAY_IN_YEAR": 88, "WEEK_IN_MONTH": 5, "WEEK_IN_YEAR": 13, "HOUR_IN_DAY": 14,
	} {
		call := function + "(StartDateTime)"
		holds(t, e, admin, "SELECT "+call+" FROM Event GROUP BY "+call, fmt.Sprintf("expr0=%d", want))
		holds(t, e, admin, fmt.Sprintf("SELECT Subject FROM Event WHERE %s = %d", call, want), "Subject=Fair")
		holds(t, e, admin, fmt.Sprintf("SELECT Subject FROM Event WHERE %s != %d", call, want))
	}
	for query, want := range map[string][]string{
		"SELECT DAY_ONLY(StartDateTime) d, HOUR_IN_DAY(convertTimezone(StartDateTime)) h FROM Event GROUP BY DAY_ONLY(StartDateTime), HOUR_IN_DAY(convertTimezone(StartDateTime))": {"d=2026-03-29 h=3"},
		"SELECT Subject FROM Event WHERE DAY_ONLY(convertTimezone(StartDateTime)) = 2026-03-30":                                                                                    {"Subject=Fair"},
		"SELECT Subject FROM Event WHERE DAY_ONLY(StartDateTime) = 2026-03-30":                                                                                                     nil,
		"SELECT FISCAL_YEAR(CloseDate) y, FISCAL_QUARTER(CloseDate) q, SUM(Amount) s FROM Opportunity GROUP BY FISCAL_YEAR(CloseDate), FISCAL_QUARTER(CloseDate) ORDER BY FISCAL_YEAR(CloseDate) DESC, FISCAL_QUARTER(CloseDate)": {
			"y=2027 q=1 s=-20", "y=2026 q=3 s=<nil>", "y=2026 q=4 s=1.2345675e+06"},
		"SELECT Name FROM Opportunity WHERE CloseDate = LAST_FISCAL_YEAR ORDER BY Name": {"Name=Rope", "Name=Tar"},
		"SELECT Name FROM Opportunity WHERE CloseDate = THIS_FISCAL_YEAR":               {"Name=Sail"},
		"SELECT Name FROM Opportunity WHERE CloseDate = N_FISCAL_QUARTERS_AGO:3":        {"Name=Rope"},
		"SELECT Amount, FORMAT(Amount) a, FORMAT(convertCurrency(Amount)) b, FORMAT(CloseDate) c FROM Opportunity ORDER BY Name": {
			"Amount=1.2345675e+06 a=$1,234,567.50 b=$1,234,567.50 c=3/29/2026", "Amount=-20 a=-$20.00 b=-$20.00 c=4/1/2026", "Amount=<nil> a=<nil> b=<nil> c=12/31/2025"},
		"SELECT toLabel(StageName), convertCurrency(Amount) x, Owner.Name, toLabel(Owner.Title) FROM Opportunity WHERE toLabel(StageName) = 'prospecting'": {
			"StageName=Prospecting x=1.2345675e+06 Owner=User{Name=" + e.Profile(admin).Text("Name") + " Title=CRM Administrator}"},
		"SELECT FORMAT(StartDateTime), FORMAT(Owner.IsActive) on, FORMAT(ActivityDate) d FROM Event": {"StartDateTime=3/30/2026, 3:30 AM on=true d=3/29/2026"},
		"SELECT FORMAT(MIN(closedate)) Amt, FORMAT(SUM(Probability)) p FROM opportunity":             {"Amt=12/31/2025 p=30%"},
		"SELECT Name FROM Opportunity WHERE Amount > USD1000":                                        {"Name=Rope"},
		"SELECT StageName FROM Opportunity ORDER BY StageName":                                       {"StageName=Prospecting", "StageName=Qualification", "StageName=Closed Lost"},
		"SELECT MIN(StageName) a, MAX(StageName) z FROM Opportunity":                                 {"a=Prospecting z=Closed Lost"},
	} {
		holds(t, e, admin, query, want...)
	}
}

func TestWeeksBeginWithTheLocale(t *testing.T) {
	for locale, sunday := range map[string]string{"en_US": "THIS_WEEK", "en_GB": "LAST_WEEK", "ar_EG": "THIS_WEEK", "de_DE_EURO": "LAST_WEEK"} {
		e, admin := small(func(_ *org.Org, row org.Row) { row["LocaleSidKey"] = locale })
		created(t, e, admin, "Task", map[string]any{"Subject": "Row", "ActivityDate": "2026-11-22"})
		holds(t, e, admin, "SELECT Subject FROM Task WHERE ActivityDate = "+sunday, "Subject=Row")
	}
}

func TestRollup(t *testing.T) {
	e, admin := small(nil)
	for _, v := range [][3]any{{"Web", "Renewal", 1.0}, {"Web", "Expansion", 2.0}, {nil, "Renewal", 4.0}, {"Web", "Renewal", 8.0}} {
		created(t, e, admin, "Opportunity", map[string]any{"Name": "x", "StageName": "Prospecting", "CloseDate": "2026-01-01", "LeadSource": v[0], "Type": v[1], "Amount": v[2]})
	}
	const from = "SELECT LeadSource, Type, GROUPING(LeadSource) l, GROUPING(Type) t, SUM(Amount) s FROM Opportunity GROUP BY "
	detail := []string{"LeadSource=Web Type=Renewal l=0 t=0 s=9", "LeadSource=Web Type=Expansion l=0 t=0 s=2", "LeadSource=<nil> Type=Renewal l=0 t=0 s=4"}
	bySource := []string{"LeadSource=Web Type=<nil> l=0 t=1 s=11", "LeadSource=<nil> Type=<nil> l=0 t=1 s=4"}
	byType := []string{"LeadSource=<nil> Type=Renewal l=1 t=0 s=13", "LeadSource=<nil> Type=Expansion l=1 t=0 s=2"}
	all := []string{"LeadSource=<nil> Type=<nil> l=1 t=1 s=15"}
	holds(t, e, admin, from+"ROLLUP(LeadSource, Type)", slices.Concat(detail, bySource, all)...)
	holds(t, e, admin, from+"CUBE(LeadSource, Type)", slices.Concat(detail, byType, bySource, all)...)
	holds(t, e, admin, from+"ROLLUP(LeadSource, Type) HAVING SUM(Amount) > 10 ORDER BY SUM(Amount) DESC LIMIT 2", all[0], "LeadSource=Web Type=<nil> l=0 t=1 s=11")
}

func TestParentsOfSeveralKinds(t *testing.T) {
	e, admin := small(nil)
	account := created(t, e, admin, "Account", map[string]any{"Name": "Harborline", "Phone": "+1 555 0100"})
	deal := created(t, e, admin, "Opportunity", map[string]any{"Name": "Rope", "AccountId": account, "StageName": "Prospecting", "CloseDate": "2026-01-01", "Amount": 5.0})
	contact := created(t, e, admin, "Contact", map[string]any{"LastName": "Vale", "FirstName": "Ines", "AccountId": account, "Email": "ines@harborline.example"})
	created(t, e, admin, "Task", map[string]any{"Subject": "a", "WhatId": account})
	created(t, e, admin, "Task", map[string]any{"Subject": "b", "WhatId": deal, "WhoId": contact})
	created(t, e, admin, "Task", map[string]any{"Subject": "c"})
	for query, want := range map[string][]string{
		"SELECT Subject, TYPEOF What WHEN Account THEN Phone WHEN Opportunity THEN Amount, Account.Name END FROM Task ORDER BY Subject": {
			"Subject=a What=Account{Phone=+1 555 0100}", "Subject=b What=Opportunity{Amount=5 Account=Account{Name=Harborline}}", "Subject=c What=<nil>"},
		"SELECT TYPEOF What WHEN Account THEN Phone ELSE Name, Email END FROM Task ORDER BY Subject": {
			"What=Account{Phone=+1 555 0100}", "What=Opportunity{Name=Rope Email=<nil>}", "What=<nil>"},
		"SELECT TYPEOF What WHEN Opportunity THEN Amount END FROM Task WHERE Subject = 'a'": {"What=<nil>"},
		"SELECT What.Type, Who.Email, Who.FirstName FROM Task WHERE Who.LastName = 'vale'":  {"What=Opportunity{Type=Opportunity} Who=Contact{Email=ines@harborline.example FirstName=Ines}"},
		"SELECT a.Name, c.LastName FROM Contact c, c.Account a, a.Owner o WHERE a.Name LIKE 'harbor%' AND o.IsActive = true": {
			"Account=Account{Name=Harborline} LastName=Vale"},
		"SELECT Account.Name, (SELECT Contact.LastName, (SELECT Subject FROM Tasks) FROM Account.Contacts) FROM Account": {
			"Name=Harborline Contacts=[LastName=Vale Tasks=[Subject=b]]"},
		"SELECT Subject FROM Task WHERE WhatId IN (SELECT Id FROM Account)":                              {"Subject=a"},
		"SELECT Subject FROM Task WHERE What.Id NOT IN (SELECT AccountId FROM Contact) ORDER BY Subject": {"Subject=b", "Subject=c"},
	} {
		holds(t, e, admin, query, want...)
	}
	const deep = "(SELECT Id, (SELECT Id, (SELECT Id, (SELECT Id, (SELECT Id FROM ManagedUsers) FROM ManagedUsers) FROM ManagedUsers) FROM ManagedUsers) FROM ManagedUsers)"
	if _, err := e.Query(admin, "SELECT "+deep+" FROM User"); err == nil || !strings.Contains(err.Error(), "4 levels") {
		t.Errorf("five levels below: %v", err)
	}
}

func TestScopes(t *testing.T) {
	w := theOracle()
	count := func(scope, where string) int {
		t.Helper()
		result, err := w.engine.Query(w.admin, "SELECT COUNT() FROM Opportunity USING SCOPE "+scope+where)
		if err != nil {
			t.Fatal(err)
		}
		return result.Total
	}
	all := len(w.org.Rows["Opportunity"])
	for scope, want := range map[string]int{"everything": all, "mine": 0, "mine_and_my_groups": 0, "Team": 0, "my_territory": 0, "my_team_territory": 0, "MRU": 0} {
		if got := count(scope, ""); got != want {
			t.Errorf("%s: %d deals, want %d", scope, got, want)
		}
	}
	if made, given := count("everything", " WHERE CreatedById = '"+w.admin+"'"), count("delegated", ""); made != given {
		t.Errorf("delegated: %d, want %d", given, made)
	}
}

// extend gives a company what the samples name: objects with fields, and relationships.
func extend(o *org.Org, _ org.Row) {
	field := func(name string) org.Field {
		name, kind, typed := strings.Cut(name, ":")
		if !typed {
			kind = "string"
		}
		f := org.Field{Name: name, Type: org.FieldType(kind), Nillable: true}
		if to, refers := strings.CutPrefix(kind, "->"); refers {
			to, children, _ := strings.Cut(to, "/")
			f.Type, f.ReferenceTo, f.ChildRelationshipName, f.RelationshipName = org.Reference, []string{to}, children, strings.TrimSuffix(name, "Id")
		}
		return f
	}
	for object, names := range map[string]string{
		"Account": "RecordTypeId:->RecordType/ Foo:datetime bar:boolean Format Invoice_Type__c", "Contact": "MailingCity",
		"RecordType": "IsActive:boolean SobjectType DeveloperName Description:textarea", "Lead": "LeadSource Rating Status",
		"Note": "ParentId:->Account/Notes CreatedById:->User/", "LoginHistory": "UserId LoginTime:datetime", "Dashboard": "Title Type",
		"Merchandise__c": "", "Line_Item__c": "Merchandise__c:->Merchandise__c/Line_Items__r", "Product2": "ProductCode",
		"PricebookEntry": "UnitPrice:currency", "OpportunityLineItem": "Quantity:double ListPrice:currency OpportunityId:->Opportunity/OpportunityLineItems PricebookEntryId:->PricebookEntry/",
		"KnowledgeArticleVersion": "Title Summary PublishStatus Language UrlName", "Question": "Title LastReplyDate:datetime",
		"Offer__kav": "Title PublishStatus Language", "FAQ__kav": "",
	} {
		if o.Object(object) == nil {
			o.Objects = append(o.Objects, org.Object{Name: object, Sharing: org.PublicRead, Fields: []org.Field{{Name: "Id", Type: org.ID}, field("Name"), field("OwnerId:->User/")}})
			o.Profiles[0].Objects[object] = org.Access{Read: true}
		}
		ob := o.Object(object)
		for _, name := range strings.Fields(names) {
			ob.Fields = append(ob.Fields, field(name))
		}
	}
}

// TestSamples runs the valid queries that other parsers were tried with. The company lacks most of their objects and
// fields, so it is given whatever they name.
func TestSamples(t *testing.T) {
	text, err := os.ReadFile("../../soql/testdata/sample.json")
	if err != nil {
		t.Fatal(err)
	}
	var samples []struct {
		SOQL  string
		Valid bool
	}
	if err := json.Unmarshal(text, &samples); err != nil {
		t.Fatal(err)
	}
	e, admin := small(extend)
	refused := map[string]string{ // what Salesforce would refuse too, or is left out here
		"WITH DATA CATEGORY": "not supported by this sandbox",
		"UPDATE VIEWSTAT":    "not supported by this sandbox",
		"UPDATE TRACKING":    "not supported by this sandbox",
		"Location":           "No such column", // of a type that the sandbox lacks
		"allPrivate":         "not supported by this sandbox",
		"null, 1, 'media'":   "should be enclosed in quotes",
		"'12345'":            "invalid ID field",
		"Description = ":     "can not be filtered",
		"FIELDS(ALL)":        "LIMIT",
		"COUNT(Name)cnt":     "Field must be grouped",
		"Foo = ":             "must be of type", // of three types in three samples
	}
	ran, valid := 0, 0 // so many of them
	for _, s := range samples {
		_, err := e.Query(admin, s.SOQL)
		if !s.Valid {
			if err == nil {
				t.Errorf("answered: %s", s.SOQL)
			}
			continue
		}
		valid++
		if err == nil {
			ran++
			continue
		}
		if !slices.ContainsFunc(slices.Collect(maps.Keys(refused)), func(part string) bool {
			return strings.Contains(s.SOQL, part) && strings.Contains(err.Error(), refused[part])
		}) {
			t.Errorf("%s\n%v", s.SOQL, err)
		}
	}
	t.Logf("%d of %d valid samples run", ran, valid)
}
