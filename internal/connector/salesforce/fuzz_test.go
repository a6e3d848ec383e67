package salesforce

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/soql"
)

// seen is a visit that has described the scripted org's objects already.
func seen(t testing.TB) *visit {
	v := (&Connector{}).visit(org(t, rows()).session())
	for name := range described {
		if _, err := v.object(context.Background(), name); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// FuzzArgumentsToSOQL holds that whatever arguments are let through make a query that parses, and that
// says of each value exactly that value: nothing put in can become part of the language.
func FuzzArgumentsToSOQL(f *testing.F) {
	for _, seed := range []string{
		`{"object":"Opportunity","fields":["Name","Owner.Name"],"where":[{"field":"Name","op":"=","value":"X' OR Name != '"}],"order_by":[{"field":"Amount","desc":true}],"limit":50}`,
		`{"object":"Contact","where":[{"any":[{"field":"Name","op":"like","value":"%\\' OR '%"},{"field":"Email","op":"in","value":["a@b","\\"]}]}]}`,
		`{"object":"Opportunity","where":[{"field":"CloseDate","op":"=","literal":"LAST_N_DAYS:30"},{"field":"Amount","op":">","value":1e300},{"field":"Kickoff__c","op":"<","value":"2026-11-23T08:00:00.123+0000"}]}`,
		`{"object":"Opportunity","where":[{"field":"IsClosed","op":"!=","value":true},{"field":"NextStep","op":"=","value":null},{"field":"Name","op":"not in","value":["a\nb","\u0000","\u2028"]}]}`,
	} {
		f.Add(seed)
	}
	v := seen(f)
	f.Fuzz(func(t *testing.T, raw string) {
		v := &visit{connector: v.connector, session: v.session, objects: maps.Clone(v.objects)}
		a, err := parseQuery(json.RawMessage(raw))
		if err != nil {
			if steward.KindOf(err) != steward.Invalid {
				t.Fatal(err)
			}
			return
		}
		o := v.objects[strings.ToLower(a.Object)]
		if o == nil {
			return
		}
		ctx := context.Background()
		paths, err := v.paths(ctx, o, a.Fields, a.SkipHidden)
		if err != nil {
			return
		}
		q, err := v.soql(ctx, o, paths, a)
		if err != nil {
			return
		}
		q.Limit = &soql.Count{N: *a.Limit}
		read, err := soql.Parse(q.String())
		if err != nil {
			if strings.Contains(err.Error(), "4000") || strings.Contains(err.Error(), "4,000") {
				return // a literal longer than the language allows: Salesforce refuses it as well
			}
			t.Fatalf("%s: %v", q, err)
		}
		meant, found := texts(q.Where), texts(read.Where)
		if !slices.Equal(meant, found) {
			t.Fatalf("%s\nmeant %q\nreads %q", q, meant, found)
		}
		if read.String() != q.String() {
			t.Fatalf("%s\nreads %s", q, read)
		}
	})
}

// texts are the string values of a condition, in order.
func texts(c soql.Condition) []string {
	var list []string
	switch c := c.(type) {
	case *soql.And:
		for _, term := range c.Terms {
			list = append(list, texts(term)...)
		}
	case *soql.Or:
		for _, term := range c.Terms {
			list = append(list, texts(term)...)
		}
	case *soql.Not:
		return texts(c.Term)
	case *soql.Comparison:
		for _, l := range c.Values {
			switch s := l.Value.(type) {
			case string:
				list = append(list, s)
			case soql.Pattern:
				list = append(list, "like "+unescaped(string(s)))
			}
		}
	}
	return list
}

// unescaped brings a pattern's two spellings of a lone backslash together.
func unescaped(pattern string) string { return soql.QuoteLike(pattern) }

// FuzzWriteArguments holds that arguments of writes are either refused as such or become assignments of
// plain values.
func FuzzWriteArguments(f *testing.F) {
	f.Add(updateTool, update(`{"NextStep":"x","Amount":1,"ContactId":null}`))
	f.Add(createTool, `{"object":"Task","values":{"Subject":"x"}}`)
	f.Add(logTool, `{"type":"call","subject":"x","who_id":"`+contactID+`","date":"2026-11-23"}`)
	v := seen(f)
	f.Fuzz(func(t *testing.T, tool, raw string) {
		w, err := v.parseWrite(tool, json.RawMessage(raw))
		if err != nil {
			if steward.KindOf(err) != steward.Invalid {
				t.Fatal(err)
			}
			return
		}
		if v.objects[strings.ToLower(w.object)] == nil {
			return
		}
		_, columns, err := v.columns(context.Background(), w)
		if err != nil {
			return
		}
		for _, c := range columns {
			switch c.value.(type) {
			case nil, string, bool, float64:
			default:
				t.Fatalf("%s becomes %T", c.field.Name, c.value)
			}
			if may := w.id == "" && c.field.Createable || w.id != "" && c.field.Updateable; !may {
				t.Fatalf("%s is written", c.field.Name)
			}
		}
	})
}
