package soql

import (
	_ "embed"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// sample holds queries marked valid or invalid, from the tests of soql-parser-js (see testdata/LICENSE).
//
//go:embed testdata/sample.json
var sample []byte

func samples(tb testing.TB) (valid, invalid []string) {
	tb.Helper()
	var all []struct {
		SOQL  string
		Valid bool
	}
	if err := json.Unmarshal(sample, &all); err != nil {
		tb.Fatal(err)
	}
	for _, s := range all {
		if s.Valid {
			valid = append(valid, s.SOQL)
		} else {
			invalid = append(invalid, s.SOQL)
		}
	}
	if len(valid) < 100 || len(invalid) < 10 {
		tb.Fatalf("the sample has %d valid and %d invalid queries", len(valid), len(invalid))
	}
	return valid, invalid
}

func mustParse(tb testing.TB, src string) *Query {
	tb.Helper()
	q, err := Parse(src)
	if err != nil {
		tb.Fatalf("%s\n%v", src, err)
	}
	return q
}

// withoutPositions zeroes every Pos below v, which is a pointer or holds pointers.
func withoutPositions(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			withoutPositions(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			withoutPositions(v.Index(i))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).Name == "Pos" {
				v.Field(i).SetInt(0)
			} else {
				withoutPositions(v.Field(i))
			}
		}
	}
}

// roundTrip fails unless q's own text reads as q again.
func roundTrip(tb interface {
	Fatalf(string, ...any)
}, q *Query) {
	text := q.String()
	again, err := Parse(text)
	if err != nil {
		tb.Fatalf("printed as %s\n%v", text, err)
	}
	withoutPositions(reflect.ValueOf(q))
	withoutPositions(reflect.ValueOf(again))
	if !reflect.DeepEqual(q, again) {
		tb.Fatalf("printed as %s\nwhich reads as %s", text, again)
	}
}

func TestSample(t *testing.T) {
	valid, invalid := samples(t)
	for _, src := range valid {
		q, err := Parse(src)
		if err != nil {
			t.Errorf("refused: %s\n%v", src, err)
			continue
		}
		roundTrip(t, q)
	}
	for _, src := range invalid {
		if q, err := Parse(src); err == nil {
			t.Errorf("accepted: %s\nas: %s", src, q)
		}
	}
}

// TestCanonical reads what the reference documents and compares it with its canonical form, which shows
// what was understood.
func TestCanonical(t *testing.T) {
	for src, want := range map[string]string{
		"select id from account":                                              "SELECT id FROM account",
		"SELECT\n\tId ,Name\r\nFROM Account":                                  "SELECT Id, Name FROM Account",
		"SELECT count() FROM Contact c, c.Account a":                          "SELECT COUNT() FROM Contact c, c.Account a",
		"SELECT Name n, MAX(Amount) max FROM X":                               "SELECT Name n, MAX(Amount) max FROM X",
		"SELECT c.Name FROM Contact c":                                        "SELECT c.Name FROM Contact c",
		"SELECT Id FROM Order ORDER BY Name":                                  "SELECT Id FROM Order ORDER BY Name",
		"SELECT Id FROM Group WHERE Type='Queue'":                             "SELECT Id FROM Group WHERE Type = 'Queue'",
		"SELECT fields(standard) FROM A LIMIT 200":                            "SELECT FIELDS(STANDARD) FROM A LIMIT 200",
		"SELECT Id FROM A WHERE B<>NULL":                                      "SELECT Id FROM A WHERE B != NULL",
		"SELECT Id FROM A WHERE ((B=1))":                                      "SELECT Id FROM A WHERE B = 1",
		"SELECT Id FROM A WHERE NOT B=1":                                      "SELECT Id FROM A WHERE NOT B = 1",
		"SELECT Id FROM A WHERE B=1 AND (NOT C=2)":                            "SELECT Id FROM A WHERE B = 1 AND (NOT C = 2)",
		"SELECT Id FROM A WHERE (B=1 OR C=2) AND D=3":                         "SELECT Id FROM A WHERE (B = 1 OR C = 2) AND D = 3",
		"SELECT Id FROM A WHERE B=1 AND C=2 AND D=3":                          "SELECT Id FROM A WHERE B = 1 AND C = 2 AND D = 3",
		"SELECT Id FROM A WHERE B not in ('x', 'y')":                          "SELECT Id FROM A WHERE B NOT IN ('x', 'y')",
		"SELECT Id FROM A WHERE B includes ('x;y','z')":                       "SELECT Id FROM A WHERE B INCLUDES ('x;y', 'z')",
		"SELECT Id FROM A WHERE B EXCLUDES ('x')":                             "SELECT Id FROM A WHERE B EXCLUDES ('x')",
		"SELECT Id FROM A WHERE Id NOT IN (SELECT AId FROM B WHERE C = true)": "SELECT Id FROM A WHERE Id NOT IN (SELECT AId FROM B WHERE C = TRUE)",
		"SELECT Id FROM A WHERE B > 2026-02-28 AND C = 2026-01-01T01:00:00.50000000000+0130": "SELECT Id FROM A WHERE B > 2026-02-28 " +
			"AND C = 2025-12-31T23:30:00.5Z",
		"SELECT Id FROM A WHERE B >= last_n_days : 30":     "SELECT Id FROM A WHERE B >= LAST_N_DAYS:30",
		"SELECT Id FROM A WHERE B = n_months_ago:2":        "SELECT Id FROM A WHERE B = N_MONTHS_AGO:2",
		"SELECT Id FROM A WHERE B > usd5000.50":            "SELECT Id FROM A WHERE B > USD5000.5",
		"SELECT Id FROM A WHERE B > EUR-3":                 "SELECT Id FROM A WHERE B > EUR-3",
		"SELECT Id FROM A WHERE B IN (-1, +2.50, .5)":      "SELECT Id FROM A WHERE B IN (-1, 2.5, 0.5)",
		`SELECT Id FROM A WHERE B = 'O\'Brien \u0041\\\N'`: `SELECT Id FROM A WHERE B = 'O\'Brien A\\\n'`,
		`SELECT Id FROM A WHERE B = '\ud83d\ude00 10\%'`:   `SELECT Id FROM A WHERE B = '😀 10%'`,
		`SELECT Id FROM A WHERE B LIKE '10\%\_\\_%'`:       `SELECT Id FROM A WHERE B LIKE '10\%\_\\_%'`,
		`SELECT Id FROM A WHERE B LIKE '\u005c%\u005C'`:    `SELECT Id FROM A WHERE B LIKE '\\%\\'`,
		"SELECT FORMAT(convertCurrency(Amount)) a FROM O":  "SELECT FORMAT(CONVERTCURRENCY(Amount)) a FROM O",
		"SELECT StageName, SUM(Amount) Total FROM O GROUP BY StageName HAVING SUM(Amount) > 1000 ORDER BY SUM(Amount) DESC": "SELECT StageName, SUM(Amount) Total " +
			"FROM O GROUP BY StageName HAVING SUM(Amount) > 1000 ORDER BY SUM(Amount) DESC",
		"SELECT A, COUNT(Id) FROM L GROUP BY cube(A, B)":   "SELECT A, COUNT(Id) FROM L GROUP BY CUBE(A, B)",
		"SELECT Id FROM A ORDER BY B asc nulls first, C.D": "SELECT Id FROM A ORDER BY B, C.D",
		"SELECT Id FROM A ORDER BY B DESC NULLS LAST":      "SELECT Id FROM A ORDER BY B DESC NULLS LAST",
		"SELECT Id FROM A LIMIT 0 OFFSET 2000 all rows":    "SELECT Id FROM A LIMIT 0 OFFSET 2000 ALL ROWS",
		"SELECT Id FROM A FOR VIEW, REFERENCE":             "SELECT Id FROM A FOR VIEW FOR REFERENCE",
		"SELECT Id FROM A UPDATE TRACKING, VIEWSTAT":       "SELECT Id FROM A UPDATE TRACKING, VIEWSTAT",
		"SELECT Id FROM A WITH user_mode":                  "SELECT Id FROM A WITH USER_MODE",
		"SELECT Id FROM A USING SCOPE mine":                "SELECT Id FROM A USING SCOPE mine",
		"SELECT T FROM Q WITH DATA CATEGORY G AT (a) AND P BELOW (b, c) WITH SYSTEM_MODE": "SELECT T FROM Q WITH SYSTEM_MODE " +
			"WITH DATA CATEGORY G AT a AND P BELOW (b, c)",
		"SELECT TYPEOF What WHEN A THEN B, C.D ELSE E END, Id FROM Task":   "SELECT TYPEOF What WHEN A THEN B, C.D ELSE E END, Id FROM Task",
		"SELECT Id, (SELECT Id, (SELECT Id FROM C) FROM B LIMIT 1) FROM A": "SELECT Id, (SELECT Id, (SELECT Id FROM C) FROM B LIMIT 1) FROM A",
		"SELECT Id FROM W WHERE DISTANCE(L__c, GEOLOCATION(37.7, -122.4), 'mi') < 20": "SELECT Id FROM W WHERE " +
			"DISTANCE(L__c, GEOLOCATION(37.7, -122.4), 'mi') < 20",
	} {
		q := mustParse(t, src)
		if got := q.String(); got != want {
			t.Errorf("%s\n got %s\nwant %s", src, got, want)
		}
		roundTrip(t, q)
	}
}

func TestSyntaxErrors(t *testing.T) {
	long := "'" + strings.Repeat("x", maxString) + "'"
	for _, c := range []struct {
		src, near, msg string
		row, column    int
	}{
		{"", "<EOF>", "unexpected token: '<EOF>'", 1, 1},
		{"SELECT Id FROM Account WHERE", "<EOF>", "unexpected token: '<EOF>'", 1, 29},
		{"SELECT Id\nFROM Account WHRE Name = 'x'", "Name", "unexpected token: 'Name'", 2, 19},
		{"SELECT Id FROM A WHERE N = 'é' B = 1", "B", "unexpected token: 'B'", 1, 32},
		{"SELECT Id FROM A WHERE B = 1 AND C = 2 OR D = 3", "OR", "unexpected token: 'OR'", 1, 40},
		{"SELECT Id FROM A WHERE B = 1 OR C = 2 AND D = 3", "AND", "unexpected token: 'AND'", 1, 39},
		{"SELECT Id FROM A WHERE B = 1 AND NOT (C = 2)", "NOT", "unexpected token: 'NOT'", 1, 34},
		{"SELECT Id FROM A WHERE NOT B = 1 AND C = 2", "AND", "unexpected token: 'AND'", 1, 34},
		{"SELECT Id FROM A WHERE B NOT LIKE 'x'", "NOT", "unexpected token: 'NOT'", 1, 26},
		{"SELECT Id FROM A WHERE B = C", "C", "unexpected token: 'C'", 1, 28},
		{"SELECT Id FROM A WHERE B IN ()", ")", "unexpected token: ')'", 1, 30},
		{"SELECT Id FROM A WHERE B = :x", ":", "unexpected token: ':'", 1, 28},
		{"SELECT Id FROM A WHERE B = LAST_N_DAYS", "<EOF>", "unexpected token: '<EOF>'", 1, 39},
		{"SELECT Id FROM A WHERE B = LAST_N_DAYS:-1", "-1", "unexpected token: '-1'", 1, 40},
		{"SELECT Id FROM A WHERE B = TODAY:1", ":", "unexpected token: ':'", 1, 33},
		{"SELECT Id FROM A WHERE B = 2026-02-30", "2026-02-30", "unexpected token: '2026-02-30'", 1, 28},
		{"SELECT Id FROM A WHERE B = 1699-12-31", "1699-12-31", "unexpected token: '1699-12-31'", 1, 28},
		{"SELECT Id FROM A WHERE B = 2026-01-01T00:00:00", "2026-01-01T00:00:00", "unexpected token: '2026-01-01T00:00:00'", 1, 28},
		{"SELECT Id FROM A WHERE B = 4000-12-31T23:00:00-05:00", "4000-12-31T23:00:00-05:00", "unexpected token: '4000-12-31T23:00:00-05:00'", 1, 28},
		{"SELECT Id FROM A WHERE B = 1.2.3", "1.2.3", "unexpected token: '1.2.3'", 1, 28},
		{"SELECT Id FROM A WHERE B = 'x", "'x", "the string has no closing quote", 1, 28},
		{`SELECT Id FROM A WHERE B = 'x\'`, `'x\'`, "the string has no closing quote", 1, 28},
		{`SELECT Id FROM A WHERE B = 'a\q'`, `'a\q'`, `illegal character sequence '\q' in string literal`, 1, 30},
		{"SELECT Id FROM A WHERE B = " + long[:1] + "x" + long[1:], "'" + strings.Repeat("x", 39) + "…", "the string is longer than 4000 characters", 1, 28},
		{"SELECT Id FROM A LIMIT -1", "-1", "unexpected token: '-1'", 1, 24},
		{"SELECT Id FROM A LIMIT 99999999999", "99999999999", "unexpected token: '99999999999'", 1, 24},
		{"SELECT Id FROM A OFFSET 1 LIMIT 1", "LIMIT", "unexpected token: 'LIMIT'", 1, 27},
		{"SELECT Id FROM ORDER BY Name", "BY", "unexpected token: 'BY'", 1, 22},
		{"SELECT COUNT Id) FROM A", ")", "unexpected token: ')'", 1, 16},
		{"SELECT Id FROM A UPDATE VIEWSTAT UPDATE TRACKING", "UPDATE", "unexpected token: 'UPDATE'", 1, 34},
		{"SELECT Id FROM A ALL ROWS ALL ROWS", "ALL", "unexpected token: 'ALL'", 1, 27},
		{"SELECT Id FROM A WITH USER_MODE WITH SYSTEM_MODE", "WITH", "unexpected token: 'WITH'", 1, 33},
		{"SELECT Id FROM A WITH DATA CATEGORY B AT c WITH DATA CATEGORY B AT c", "DATA", "unexpected token: 'DATA'", 1, 49},
		{"SELECT COUNT(), Id FROM A", ",", "unexpected token: ','", 1, 15},
		{"SELECT Id, COUNT() FROM A", ")", "unexpected token: ')'", 1, 18},
		{"SELECT upper(Id) FROM A", "(", "unexpected token: '('", 1, 13},
		{"SELECT * FROM A", "*", "unexpected token: '*'", 1, 8},
		{"SELECT A..B FROM A", "A..B", "unexpected token: 'A..B'", 1, 8},
		{"SELECT TYPEOF What ELSE Id END FROM A", "ELSE", "unexpected token: 'ELSE'", 1, 20},
		{"SELECT Id FROM A; SELECT Id FROM B", ";", "unexpected token: ';'", 1, 17},
		{"DELETE FROM A", "DELETE", "unexpected token: 'DELETE'", 1, 1},
		{"SELECT Id FROM A WHERE B = '\xff'", "", "the query is not valid UTF-8", 1, 1},
	} {
		q, err := Parse(c.src)
		if err == nil {
			t.Errorf("%s\nis read as %s", c.src, q)
			continue
		}
		e, ok := errors.AsType[*SyntaxError](err)
		if !ok {
			t.Errorf("%s\nfails with a %T", c.src, err)
			continue
		}
		if e.Near != c.near || e.Msg != c.msg || e.Row != c.row || e.Column != c.column {
			t.Errorf("%s\n got %+v\nwant %+v", c.src, *e, c)
		}
		if row, col := Position(c.src, e.Pos); row != e.Row || col != e.Column {
			t.Errorf("%s\nPos %d is at %d:%d, the error says %d:%d", c.src, e.Pos, row, col, e.Row, e.Column)
		}
	}
	if got, want := (&SyntaxError{Row: 2, Column: 7, Msg: "unexpected token: 'x'"}).Error(), "ERROR at Row:2:Column:7\nunexpected token: 'x'"; got != want {
		t.Errorf("an error reads %q, not %q", got, want)
	}
}

func TestLimits(t *testing.T) {
	longest := "SELECT Id FROM A WHERE B IN ('" + strings.Repeat("é", maxString) + "')"
	mustParse(t, longest)
	mustParse(t, longest+strings.Repeat(" ", maxSource-utf8.RuneCountInString(longest)))
	if _, err := Parse(longest + strings.Repeat(" ", maxSource-utf8.RuneCountInString(longest)+1)); err == nil {
		t.Error("a query of 100,001 characters is read")
	}
}

// TestDepth nests everything that nests as deep as the length of a query allows.
func TestDepth(t *testing.T) {
	for what, nest := range map[string]func(n int) string{
		"parentheses": func(n int) string {
			return "SELECT Id FROM A WHERE " + strings.Repeat("(", n) + "B = 1" + strings.Repeat(")", n)
		},
		"NOT": func(n int) string {
			return "SELECT Id FROM A WHERE " + strings.Repeat("NOT (", n) + "B = 1" + strings.Repeat(")", n)
		},
		"functions": func(n int) string {
			return "SELECT " + strings.Repeat("FORMAT(", n) + "B" + strings.Repeat(")", n) + " FROM A"
		},
		"subqueries": func(n int) string {
			return strings.Repeat("SELECT Id, (", n) + "SELECT Id FROM A" + strings.Repeat(") FROM A", n)
		},
		"semi-joins": func(n int) string {
			return strings.Repeat("SELECT Id FROM A WHERE Id IN (", n) + "SELECT Id FROM A" + strings.Repeat(")", n)
		},
	} {
		mustParse(t, nest(40))
		_, err := Parse(nest(3000))
		if err == nil || !strings.Contains(err.Error(), "nests more than 100 levels deep") {
			t.Errorf("3000 levels of %s: %v", what, err)
		}
	}
}

// TestPositions points at each part of a query that a later error may be about.
func TestPositions(t *testing.T) {
	const src = "SELECT Id, Owner.Name n, SUM(Amount)\nFROM Deal d USING SCOPE mine WHERE Stage IN ('x', 'y') AND (NOT A = 1) LIMIT 5"
	q := mustParse(t, src)
	columns := q.Select
	and := q.Where.(*And)
	in := and.Terms[0].(*Comparison)
	for want, pos := range map[string]int{
		"SELECT Id": q.Pos, "Id,": columns[0].(*Column).Expr.At(), "Owner": columns[1].(*Column).Expr.At(),
		"SUM": columns[2].(*Column).Expr.At(), "Amount": columns[2].(*Column).Expr.(*Call).Args[0].At(),
		"Deal": q.From.Pos, "mine": q.Scope.Pos, "Stage": in.Left.At(), "IN (": in.Pos, "'x'": in.Values[0].Pos,
		"'y'": in.Values[1].At(), "NOT A": and.Terms[1].(*Not).Pos, "5": q.Limit.Pos,
	} {
		if !strings.HasPrefix(src[pos:], want) {
			t.Errorf("%q is said to be at %q", want, src[pos:])
		}
	}
	if row, col := Position(src, q.From.Pos); row != 2 || col != 6 {
		t.Errorf("Deal is said to be at %d:%d", row, col)
	}
	if row, col := Position("é\né", 1000); row != 2 || col != 2 {
		t.Errorf("the end is said to be at %d:%d", row, col)
	}
}
