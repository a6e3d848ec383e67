package salesforce

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stewardhq/steward"
)

func TestClassification(t *testing.T) {
	for _, c := range []struct {
		object, field, kind string
		sensitivity         steward.Sensitivity
		token               steward.TokenType
		untrusted           bool
	}{
		{"Contact", "Name", "string", steward.Personal, steward.TokenPerson, false},
		{"Contact", "FirstName", "string", steward.Personal, steward.TokenPerson, false},
		{"Contact", "Email", "email", steward.Personal, steward.TokenEmail, false},
		{"Contact", "MobilePhone", "phone", steward.Personal, steward.TokenPhone, false},
		{"Contact", "Birthdate", "date", steward.Personal, steward.TokenDate, false},
		{"Contact", "MailingStreet", "textarea", steward.Personal, steward.TokenAddress, false},
		{"Contact", "OtherPostalCode", "string", steward.Personal, steward.TokenAddress, false},
		{"Contact", "MailingCity", "string", steward.Open, "", false},
		{"Contact", "Title", "string", steward.Open, "", false},
		{"Contact", "Department", "string", steward.Open, "", false},
		{"Contact", "Description", "textarea", steward.FreeText, "", true},
		{"Contact", "Nickname__c", "string", steward.FreeText, "", false},
		{"Contact", "Private_Email__c", "email", steward.Personal, steward.TokenEmail, false},
		{"User", "Name", "string", steward.Personal, steward.TokenPerson, false},
		{"User", "Username", "string", steward.Personal, steward.TokenEmail, false},
		{"Lead", "LastName", "string", steward.Personal, steward.TokenPerson, true},
		{"Lead", "Company", "string", steward.Open, "", true},
		{"Lead", "Status", "picklist", steward.Open, "", false},
		{"Lead", "Note__c", "string", steward.FreeText, "", true},
		{"Account", "Name", "string", steward.Open, "", false},
		{"Account", "Industry", "picklist", steward.Open, "", false},
		{"Account", "BillingCity", "string", steward.Open, "", false},
		{"Account", "BillingStreet", "textarea", steward.FreeText, "", false},
		{"Account", "Phone", "phone", steward.Personal, steward.TokenPhone, false},
		{"Opportunity", "Name", "string", steward.Open, "", false},
		{"Opportunity", "StageName", "picklist", steward.Open, "", false},
		{"Opportunity", "Amount", "currency", steward.Open, "", false},
		{"Opportunity", "NextStep", "string", steward.FreeText, "", false},
		{"Opportunity", "OwnerId", "reference", steward.Open, "", false},
		{"Opportunity", "Champion__c", "string", steward.FreeText, "", false},
		{"Task", "Subject", "combobox", steward.FreeText, "", false},
		{"Task", "Description", "textarea", steward.FreeText, "", true},
		{"Case", "Subject", "string", steward.FreeText, "", true},
		{"Case", "SuppliedEmail", "email", steward.Personal, steward.TokenEmail, true},
		{"EmailMessage", "TextBody", "textarea", steward.FreeText, "", true},
		{"EmailMessage", "FromAddress", "email", steward.Personal, steward.TokenEmail, true},
		{"Person__c", "Name", "string", steward.FreeText, "", false},
		{"Visit__c", "Website__c", "url", steward.FreeText, "", false},
		{"Visit__c", "Mood__c", "a type to be invented", steward.FreeText, "", false},
		{"Visit__c", "Secret__c", "encryptedstring", steward.FreeText, "", false},
	} {
		f := &field{Name: c.field, Type: c.kind}
		got := value(c.field, "x", f, steward.Ref{Object: c.object, ID: "1"})
		if got.Sensitivity != c.sensitivity || got.Type != c.token || got.Untrusted != c.untrusted {
			t.Errorf("%s.%s: %+v", c.object, c.field, got)
		}
		if (got.Subject.ID != "") != slices.Contains(people, c.object) {
			t.Errorf("%s.%s: subject %+v", c.object, c.field, got.Subject)
		}
	}
}

func TestDefaultsHoldNothingFreeOrForeign(t *testing.T) {
	for object, list := range defaults {
		for _, name := range list {
			if strings.Contains(name, ".") {
				continue // a parent's name: of an account, a deal, a user or a contact
			}
			// Of the types a field of unknown name could have, text is the strictest.
			kind := "picklist"
			if table[object+"."+name] != (class{}) || slices.Contains(people, object) && table["*."+name] != (class{}) {
				kind = "string"
			}
			if f := (&field{Name: name, Type: kind}); classify(object, f).sensitivity == steward.FreeText || untrusted(object, f) {
				t.Errorf("%s.%s", object, name)
			}
		}
	}
	lead := &object{Name: "Lead", Fields: []field{{Name: "Id", Type: "id"}, {Name: "LastName", Type: "string"}, {Name: "Status", Type: "picklist"}, {Name: "Description", Type: "textarea"}, {Name: "Address", Type: "address"}}}
	if got := defaultFields(lead); !slices.Equal(got, []string{"Status"}) {
		t.Errorf("Lead: %v", got)
	}
}

func TestFindPeople(t *testing.T) {
	f := (&Connector{}).Finder()
	if f.FindPeople(nil) != nil || f.ReadFields(nil) != nil {
		t.Error("nothing to find, and yet reads")
	}
	var asked []string
	for _, l := range f.FindPeople([]string{"Ana Silva", "ana@x.example", "+49 30 1234567", "Q3 2026"}) {
		q, err := parseQuery(l.Args)
		if err != nil || l.Tool != queryTool || !q.SkipHidden || len(q.Where) != 1 || q.Where[0].Op != "in" {
			t.Fatalf("%s %s: %v", l.Tool, l.Args, err)
		}
		asked = append(asked, q.Object+"."+q.Where[0].Field+string(q.Where[0].Value))
	}
	want := []string{
		`Contact.Name["Ana Silva","Q3 2026"]`, `Contact.Email["ana@x.example"]`, `Contact.Phone["+49 30 1234567"]`,
		`User.Name["Ana Silva","Q3 2026"]`, `User.Email["ana@x.example"]`,
	}
	if !slices.Equal(asked, want) {
		t.Errorf("%q", asked)
	}
	if n := len(f.FindPeople(slices.Repeat([]string{"Ana Silva"}, 61))); n != 4 {
		t.Errorf("61 spans in %d reads", n)
	}
	if !slices.Equal(f.PersonObjects(), []string{"Contact", "Lead", "User"}) {
		t.Errorf("%v", f.PersonObjects())
	}
}

func TestReadFields(t *testing.T) {
	ref := func(object, id, field string) steward.Ref {
		return steward.Ref{Connection: "salesforce", Object: object, ID: id, Field: field}
	}
	var got []string
	for _, l := range (&Connector{}).Finder().ReadFields([]steward.Ref{
		ref("Contact", contactID, "Name"), ref("User", userID, "Name"), ref("Contact", contactID, "Email"),
		ref("Contact", "003000000000002AAA", "Name"), ref("Task", "", "Subject"), ref("Contact", contactID, ""),
	}) {
		var args map[string]any
		json.Unmarshal(l.Args, &args)
		got = append(got, string(l.Args))
		if _, err := parseQuery(l.Args); err != nil {
			t.Error(err)
		}
	}
	want := []string{
		`{"fields":["Name","Email"],"limit":2,"object":"Contact","skip_hidden":true,"where":[{"field":"Id","op":"in","value":["` + contactID + `","003000000000002AAA"]}]}`,
		`{"fields":["Name"],"limit":1,"object":"User","skip_hidden":true,"where":[{"field":"Id","op":"in","value":["` + userID + `"]}]}`,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
}
