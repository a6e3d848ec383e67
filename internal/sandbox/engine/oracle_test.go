package engine_test

import (
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the oracle
	"pgregory.net/rapid"

	"github.com/stewardhq/steward/internal/sandbox/engine"
	"github.com/stewardhq/steward/internal/sandbox/org"
)

// The oracle's world: its users live 5½ hours ahead of UTC, where it is the 24th already, weeks start on Monday, and
// the fiscal year starts in April.
const (
	oracleToday  = "2026-11-24"
	oracleOffset = "330 minutes"
)

func oracleNow() time.Time { return time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC) }

// oracle is one company twice: in the engine and in SQLite.
type oracle struct {
	engine *engine.Engine
	db     *sql.DB
	org    *org.Org
	admin  string
	seller string // sees their own
}

var theOracle = sync.OnceValue(func() *oracle {
	o := org.Acme(11, time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC))
	account := o.Object("Account")
	account.Fields = append(account.Fields, org.Field{Name: "Interests__c", Type: org.MultiPicklist, Nillable: true, Custom: true,
		Picklist: []string{"Price", "Speed", "Support"}})
	for i, row := range o.Rows["Account"] {
		row["Interests__c"] = []any{nil, "Price", "Speed;Support", "Price;Speed", "support"}[i%5]
		if i%7 == 0 {
			row["Industry"], row["NumberOfEmployees"] = nil, nil
		}
		if i%11 == 0 {
			row["Name"] = strings.ToUpper(row.Text("Name"))
		}
	}
	for i, row := range o.Rows["Opportunity"] {
		if i%9 == 0 {
			row["Amount"], row["Type"] = nil, nil
		}
		if i%13 == 0 {
			row["AccountId"] = nil
		}
	}
	for _, row := range o.Rows["User"] {
		row["TimeZoneSidKey"], row["LocaleSidKey"] = "Asia/Kolkata", "en_GB"
	}
	o.Rows["Organization"][0]["FiscalYearStartMonth"] = 4.0

	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		panic(err)
	}
	db.SetMaxOpenConns(1)
	exec := func(text string, args ...any) {
		if _, err := db.Exec(text, args...); err != nil {
			panic(err)
		}
	}
	for _, name := range []string{"Account", "Contact", "Opportunity", "User"} {
		ob := o.Object(name)
		var columns, marks []string
		for _, f := range ob.Fields {
			columns = append(columns, `"`+f.Name+`" COLLATE NOCASE`)
			marks = append(marks, "?")
		}
		exec("CREATE TABLE " + name + " (" + strings.Join(columns, ", ") + ")")
		exec("BEGIN")
		for _, row := range o.Rows[name] {
			var values []any
			for _, f := range ob.Fields {
				v := row[f.Name]
				if s, ok := v.(string); ok && f.Type == org.DateTime {
					v = strings.Replace(s, "+0000", "Z", 1)
				}
				values = append(values, v)
			}
			exec("INSERT INTO "+name+" VALUES ("+strings.Join(marks, ",")+")", values...)
		}
		exec("COMMIT")
		exec("CREATE INDEX " + name + "_id ON " + name + "(Id)")
	}
	w := &oracle{engine: engine.New(o, oracleNow), db: db, org: o}
	for _, u := range w.engine.Users() {
		switch u.Role {
		case engine.Admin:
			w.admin = u.ID
		case engine.Representative:
			w.seller = u.ID
		}
	}
	return w
})

// term is one thing said in both languages.
type term struct{ soql, sql string }

// column is a field in both languages, and what it can be compared with.
type column struct {
	term
	kind string // text, picklist, choices, number, flag, date, datetime, id
}

// writer draws queries against one object, whose SQL alias is t.
type writer struct {
	*rapid.T
	w      *oracle
	object string
}

func (g writer) pick(what string, from ...string) string {
	return rapid.SampledFrom(from).Draw(g.T, what)
}

func (g writer) chance(what string, percent int) bool {
	return rapid.IntRange(1, 100).Draw(g.T, what) <= percent
}

func own(kind string, names ...string) (out []column) {
	for _, n := range names {
		out = append(out, column{term{n, "t." + n}, kind})
	}
	return out
}

// columns are an object's fields, and some of its parents'.
func (g writer) columns() []column {
	parent := func(soql, kind string) column { // a path of ids, each looked up in a table of its own
		names := strings.Split(soql, ".")
		sql := "t"
		for _, n := range names[:len(names)-1] {
			table := map[string]string{"Account": "Account", "Owner": "User", "Manager": "User"}[n]
			column := n + "Id"
			if sql == "t" {
				sql = "SELECT %s FROM " + table + " WHERE Id = t." + column
			} else {
				sql = "SELECT %s FROM " + table + " WHERE Id = (" + fmt.Sprintf(sql, column) + ")"
			}
		}
		return column{term{soql, "((" + fmt.Sprintf(sql, names[len(names)-1]) + ") COLLATE NOCASE)"}, kind}
	}
	switch g.object {
	case "Account":
		return slices.Concat(own("text", "Name", "BillingCity"), own("picklist", "Industry", "Type"), own("choices", "Interests__c"),
			own("number", "NumberOfEmployees"), own("datetime", "CreatedDate"), own("id", "OwnerId"),
			[]column{parent("Owner.Name", "text"), parent("Owner.Manager.Name", "text"), parent("Owner.IsActive", "flag")})
	case "Contact":
		return slices.Concat(own("text", "LastName", "Title", "Email"), own("datetime", "CreatedDate"), own("id", "AccountId"),
			[]column{parent("Account.Name", "text"), parent("Account.NumberOfEmployees", "number"), parent("Account.Owner.Name", "text")})
	}
	return slices.Concat(own("text", "Name", "NextStep"), own("picklist", "StageName", "Type"), own("number", "Amount", "Probability"),
		own("flag", "IsClosed", "IsWon"), own("date", "CloseDate", "LastActivityDate"), own("datetime", "CreatedDate"), own("id", "AccountId", "OwnerId"),
		[]column{parent("Account.Name", "text"), parent("Account.Industry", "picklist"), parent("Account.Owner.Title", "text")})
}

func (g writer) column(what string, kinds ...string) column {
	var fit []column
	for _, c := range g.columns() {
		if len(kinds) == 0 || slices.Contains(kinds, c.kind) {
			fit = append(fit, c)
		}
	}
	return rapid.SampledFrom(fit).Draw(g.T, what)
}

// sample is a value that a row holds.
func (g writer) sample(c column) string {
	var v sql.NullString
	n := rapid.IntRange(0, 300).Draw(g.T, "row")
	_ = g.w.db.QueryRow("SELECT " + c.sql + " FROM " + g.object + " t WHERE " + c.sql + " IS NOT NULL LIMIT 1 OFFSET " + fmt.Sprint(n)).Scan(&v)
	return v.String
}

func upper(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r - 32
		}
		return r
	}, s)
}

// quoted writes a text in both languages.
func quoted(s string) term {
	return term{"'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'", "'" + strings.ReplaceAll(s, "'", "''") + "'"}
}

// day gives a function in SQL over a column's date, in UTC.
func dateFunction(name, x string) (sql string) {
	part := func(format string) string { return "CAST(strftime('" + format + "', " + x + ") AS INTEGER)" }
	switch name {
	case "CALENDAR_YEAR":
		return part("%Y")
	case "CALENDAR_QUARTER":
		return "(" + part("%m") + " + 2) / 3"
	case "CALENDAR_MONTH":
		return part("%m")
	case "FISCAL_YEAR":
		return part("%Y") + " + (" + part("%m") + " >= 4)"
	case "FISCAL_QUARTER":
		return "((" + part("%m") + " + 8) % 12) / 3 + 1"
	case "FISCAL_MONTH":
		return "(" + part("%m") + " + 8) % 12 + 1"
	case "DAY_IN_MONTH":
		return part("%d")
	case "DAY_IN_WEEK":
		return part("%w") + " + 1"
	case "DAY_IN_YEAR":
		return part("%j")
	case "WEEK_IN_YEAR":
		return "(" + part("%j") + " + 6) / 7"
	case "WEEK_IN_MONTH":
		return "(" + part("%d") + " + 6) / 7"
	}
	return part("%H")
}

// part is a date function over a column.
func (g writer) part() column {
	names := []string{"CALENDAR_YEAR", "CALENDAR_QUARTER", "CALENDAR_MONTH", "FISCAL_YEAR", "FISCAL_QUARTER", "FISCAL_MONTH",
		"DAY_IN_MONTH", "DAY_IN_WEEK", "DAY_IN_YEAR", "WEEK_IN_YEAR", "WEEK_IN_MONTH"}
	c := g.column("date", "date", "datetime")
	soql, sql := c.soql, c.sql
	if c.kind == "datetime" {
		names = append(names, "HOUR_IN_DAY")
		if g.chance("local", 50) {
			soql, sql = "convertTimezone("+soql+")", "datetime("+sql+", '+"+oracleOffset+"')"
		}
	}
	name := g.pick("function", names...)
	return column{term{name + "(" + soql + ")", dateFunction(name, sql)}, "number"}
}

// span is a date literal as SQL for its first day and the day after it.
func (g writer) span() (soql, from, to string) {
	n := rapid.IntRange(1, 5).Draw(g.T, "n")
	date := func(modifiers ...string) string {
		return "date('" + oracleToday + "', '" + strings.Join(modifiers, "', '") + "')"
	}
	at := func(base []string, offset int, unit string) string {
		return date(append(slices.Clone(base), fmt.Sprintf("%+d %s", offset, unit))...)
	}
	type unit struct {
		name string
		base []string
		size int
		in   string
	}
	month := []int{0, 1, 2}[(11-1)%3] // how far November is into its quarter
	u := rapid.SampledFrom([]unit{
		{"WEEK", []string{"weekday 0", "-6 days"}, 7, "days"},
		{"MONTH", []string{"start of month"}, 1, "months"},
		{"QUARTER", []string{"start of month", fmt.Sprintf("-%d months", month)}, 3, "months"},
		{"YEAR", []string{"start of year"}, 12, "months"},
		{"FISCAL_QUARTER", []string{"start of month", fmt.Sprintf("-%d months", month)}, 3, "months"},
		{"FISCAL_YEAR", []string{"start of year", "+3 months"}, 12, "months"},
	}).Draw(g.T, "unit")
	switch rapid.IntRange(0, 9).Draw(g.T, "literal") {
	case 0:
		return "TODAY", date("+0 days"), date("+1 days")
	case 1:
		return "YESTERDAY", date("-1 days"), date("+0 days")
	case 2:
		return fmt.Sprintf("LAST_N_DAYS:%d", n), at(nil, -n, "days"), date("+1 days")
	case 3:
		return fmt.Sprintf("NEXT_N_DAYS:%d", n), date("+1 days"), at(nil, n+1, "days")
	case 4:
		return "LAST_" + u.name, at(u.base, -u.size, u.in), at(u.base, 0, u.in)
	case 5:
		return "NEXT_" + u.name, at(u.base, u.size, u.in), at(u.base, 2*u.size, u.in)
	case 6:
		return fmt.Sprintf("LAST_N_%sS:%d", u.name, n), at(u.base, -n*u.size, u.in), at(u.base, 0, u.in)
	case 7:
		return fmt.Sprintf("NEXT_N_%sS:%d", u.name, n), at(u.base, u.size, u.in), at(u.base, (n+1)*u.size, u.in)
	case 8:
		return fmt.Sprintf("N_%sS_AGO:%d", u.name, n), at(u.base, -n*u.size, u.in), at(u.base, (1-n)*u.size, u.in)
	}
	return "THIS_" + u.name, at(u.base, 0, u.in), at(u.base, u.size, u.in)
}

// compared puts a column in an order with a range of SQL values: the first, and the first beyond.
func compared(x, op, from, to string) string {
	switch op {
	case "=":
		return fmt.Sprintf("coalesce(%s >= %s AND %s < %s, 0)", x, from, x, to)
	case "!=":
		return fmt.Sprintf("NOT coalesce(%s >= %s AND %s < %s, 0)", x, from, x, to)
	case "<":
		return fmt.Sprintf("coalesce(%s < %s, 0)", x, from)
	case "<=":
		return fmt.Sprintf("coalesce(%s < %s, 0)", x, to)
	case ">":
		return fmt.Sprintf("coalesce(%s >= %s, 0)", x, to)
	}
	return fmt.Sprintf("coalesce(%s >= %s, 0)", x, from)
}

func (g writer) comparison() term {
	c := g.column("column")
	if g.chance("part", 20) && g.object != "Contact" {
		c = g.part()
	}
	if g.chance("null", 10) {
		if g.chance("not", 50) {
			return term{c.soql + " != null", c.sql + " IS NOT NULL"}
		}
		return term{c.soql + " = null", c.sql + " IS NULL"}
	}
	order := g.pick("operator", "=", "!=", "<", "<=", ">", ">=")
	equal := g.pick("equality", "=", "!=")
	plain := func(op string, v term) term {
		if op == "!=" {
			return term{c.soql + " != " + v.soql, fmt.Sprintf("(%s IS NULL OR %s <> %s)", c.sql, c.sql, v.sql)}
		}
		return term{c.soql + " " + op + " " + v.soql, fmt.Sprintf("coalesce(%s %s %s, 0)", c.sql, op, v.sql)}
	}
	switch c.kind {
	case "flag":
		v := g.pick("flag", "TRUE", "FALSE")
		return plain(equal, term{v, v})
	case "number":
		v := g.sample(c)
		if v == "" || g.chance("other", 30) {
			v = g.pick("number", "0", "3", "11", "2026", "50000.5", "-1")
		}
		if g.chance("list", 30) {
			return g.list(c, []term{{v, v}, {"4", "4"}})
		}
		return plain(order, term{v, v})
	case "date", "datetime":
		name, from, to := g.span()
		if c.kind == "datetime" {
			utc := func(day string) string { return "strftime('%Y-%m-%dT%H:%M:%fZ', " + day + ", '-" + oracleOffset + "')" }
			from, to = utc(from), utc(to)
		} else if v := g.sample(c); v != "" && g.chance("day", 40) {
			name, from, to = v, "'"+v+"'", "date('"+v+"', '+1 day')"
		}
		return term{c.soql + " " + order + " " + name, compared(c.sql, order, from, to)}
	case "choices":
		switch op := g.pick("choices", "INCLUDES", "EXCLUDES"); op {
		case "INCLUDES":
			return term{c.soql + " INCLUDES ('speed', 'PRICE')", "coalesce(" + c.sql + " LIKE '%speed%' OR " + c.sql + " LIKE '%price%', 0)"}
		default:
			return term{c.soql + " EXCLUDES ('Price;Speed')", "NOT coalesce(" + c.sql + " LIKE '%price%' AND " + c.sql + " LIKE '%speed%', 0)"}
		}
	}
	v := g.sample(c)
	switch {
	case c.kind == "id" && g.chance("list", 50):
		return g.list(c, []term{quoted(v), quoted(g.sample(c))})
	case c.kind == "id":
		return plain(equal, quoted(v))
	case g.chance("upper", 30):
		v = upper(v)
	}
	switch rapid.IntRange(0, 2).Draw(g.T, "text") {
	case 0:
		return g.list(c, []term{quoted(v), quoted("none such"), quoted(g.sample(c))})
	case 1:
		runes := []rune(v)
		if len(runes) > 4 {
			runes[2] = '_'
			runes = runes[:rapid.IntRange(3, len(runes)).Draw(g.T, "prefix")]
		}
		like := quoted(g.pick("before", "", "%") + string(runes) + "%")
		return term{c.soql + " LIKE " + like.soql, "coalesce(" + c.sql + " LIKE " + like.sql + ", 0)"}
	}
	return plain(order, quoted(v))
}

// list writes IN and NOT IN, at times with null.
func (g writer) list(c column, values []term) term {
	var soql, sql []string
	for _, v := range values {
		soql, sql = append(soql, v.soql), append(sql, v.sql)
	}
	in := "(" + c.sql + " IN (" + strings.Join(sql, ", ") + "))"
	null := g.chance("null in list", 20) && c.kind != "number"
	if null {
		soql = append(soql, "null")
		in = "(" + in + " OR " + c.sql + " IS NULL)"
	}
	values2 := "(" + strings.Join(soql, ", ") + ")"
	if g.chance("not in", 40) {
		return term{c.soql + " NOT IN " + values2, "NOT coalesce(" + in + ", 0)"}
	}
	return term{c.soql + " IN " + values2, "coalesce(" + in + ", 0)"}
}

// condition nests comparisons with parentheses wherever operators meet.
func (g writer) condition(depth int) term {
	if depth == 0 || g.chance("leaf", 30) {
		return g.comparison()
	}
	if g.chance("not", 20) {
		t := g.condition(depth - 1)
		return term{"(NOT (" + t.soql + "))", "NOT (" + t.sql + ")"}
	}
	by := g.pick("join", " AND ", " OR ")
	a, b := g.condition(depth-1), g.condition(depth-1)
	return term{"((" + a.soql + ")" + by + "(" + b.soql + "))", "((" + a.sql + ")" + by + "(" + b.sql + "))"}
}

// where is the whole of WHERE: conditions, a semi-join at times, and in SQL what sharing adds.
func (g writer) where(user string) term {
	t := term{"", "1"}
	add := func(c term) {
		if t.soql != "" {
			t.soql += " AND "
		}
		t.soql, t.sql = t.soql+c.soql, t.sql+" AND "+c.sql
	}
	mine := func(object, alias string) string {
		switch {
		case user == g.w.admin:
			return "1"
		case object == "Contact":
			return "(SELECT OwnerId FROM Account WHERE Id = " + alias + ".AccountId) = '" + user + "'"
		}
		return alias + ".OwnerId = '" + user + "'"
	}
	if g.chance("conditions", 85) {
		c := g.condition(2)
		add(term{"(" + c.soql + ")", "(" + c.sql + ")"})
	}
	if g.chance("semi-join", 20) {
		left, from, select_ := "Id", "Opportunity", "AccountId"
		if g.object != "Account" {
			left, from, select_ = "AccountId", "Account", "Id"
		}
		inner := writer{g.T, g.w, from}.condition(1)
		not := g.pick("anti", "", "NOT ")
		sql := "coalesce(t." + left + " IN (SELECT t." + select_ + " FROM " + from + " t WHERE t." + select_ + " IS NOT NULL AND " + mine(from, "t") + " AND " + inner.sql + "), 0)"
		add(term{left + " " + not + "IN (SELECT " + select_ + " FROM " + from + " WHERE " + inner.soql + ")", not + sql})
	}
	if t.soql != "" {
		t.soql = " WHERE " + t.soql
	}
	t.sql = " WHERE " + t.sql + " AND " + mine(g.object, "t")
	return t
}

// sortable is a column as SQL orders it: a picklist by its place in the list.
func (g writer) sortable(c column) string {
	if c.kind != "picklist" {
		return c.sql
	}
	name := c.soql[strings.LastIndex(c.soql, ".")+1:]
	object := g.object
	if strings.HasPrefix(c.soql, "Account.") {
		object = "Account"
	}
	return "nullif(instr('|" + strings.Join(g.w.org.Object(object).Field(name).Picklist, "|") + "|', '|' || " + c.sql + " || '|'), 0)"
}

func (g writer) direction() (soql, sql string) {
	switch rapid.IntRange(0, 3).Draw(g.T, "direction") {
	case 0:
		return "", " ASC NULLS FIRST"
	case 1:
		return " DESC", " DESC NULLS FIRST"
	case 2:
		return " ASC NULLS LAST", " ASC NULLS LAST"
	}
	return " DESC NULLS LAST", " DESC NULLS LAST"
}

// rows draws a query for records.
func (g writer) rows(user string) term {
	q := term{"SELECT Id", "SELECT t.Id"}
	used := map[string]bool{}
	for range rapid.IntRange(0, 3).Draw(g.T, "columns") {
		if c := g.column("selected"); !used[c.soql] {
			used[c.soql] = true
			q.soql, q.sql = q.soql+", "+c.soql, q.sql+", "+c.sql
		}
	}
	w := g.where(user)
	q.soql, q.sql = q.soql+" FROM "+g.object+w.soql+" ORDER BY ", q.sql+" FROM "+g.object+" t"+w.sql+" ORDER BY "
	for range rapid.IntRange(0, 2).Draw(g.T, "order") {
		c := g.column("order", "text", "picklist", "number", "flag", "date", "datetime", "id")
		soql, sql := g.direction()
		q.soql, q.sql = q.soql+c.soql+soql+", ", q.sql+g.sortable(c)+sql+", "
	}
	bounds := fmt.Sprintf(" LIMIT %d OFFSET %d", rapid.IntRange(0, 50).Draw(g.T, "limit"), rapid.IntRange(0, 20).Draw(g.T, "offset"))
	q.soql, q.sql = q.soql+"Id"+bounds, q.sql+"t.Id COLLATE NOCASE"+bounds
	return q
}

// groups draws a query that aggregates.
func (g writer) groups(user string) term {
	var keys []column
	for range rapid.IntRange(0, 3).Draw(g.T, "keys") {
		c := g.column("key", "text", "picklist", "flag", "date", "id")
		if g.chance("key part", 40) && g.object == "Opportunity" {
			c = g.part()
		}
		if !slices.ContainsFunc(keys, func(k column) bool { return k.soql == c.soql }) {
			keys = append(keys, c)
		}
	}
	aggregate := func() (soql, sql string) {
		switch c := g.column("aggregated", "number", "date", "text", "flag", "datetime"); {
		case c.kind == "number" && g.chance("sum", 70):
			f := g.pick("aggregate", "SUM", "AVG", "MIN", "MAX", "COUNT")
			return f + "(" + c.soql + ")", f + "(" + c.sql + ")"
		case c.kind == "date" || c.kind == "datetime" || c.kind == "number":
			f := g.pick("extreme", "MIN", "MAX", "COUNT")
			return f + "(" + c.soql + ")", f + "(" + c.sql + ")"
		default:
			return "COUNT_DISTINCT(" + c.soql + ")", "COUNT(DISTINCT " + c.sql + ")"
		}
	}
	var soql, values, by []string
	rollup := len(keys) > 0 && g.chance("rollup", 30)
	for i, k := range keys {
		soql = append(soql, k.soql)
		if !strings.Contains(k.soql, "(") && !strings.Contains(k.soql, ".") {
			continue
		}
		soql[i] += fmt.Sprintf(" k%d", i)
	}
	var totals []string
	for i := range rapid.IntRange(1, 3).Draw(g.T, "aggregates") {
		a, b := aggregate()
		soql, totals = append(soql, fmt.Sprintf("%s a%d", a, i)), append(totals, b)
	}
	w := g.where(user)
	having, havingSQL := "", ""
	if len(keys) > 0 && g.chance("having", 40) {
		n := rapid.IntRange(0, 30).Draw(g.T, "least")
		having, havingSQL = fmt.Sprintf(" HAVING COUNT(Id) > %d", n), fmt.Sprintf(" HAVING COUNT(t.Id) > %d", n)
	}
	sets := [][]bool{make([]bool, len(keys))} // which keys are rolled up
	if rollup {
		for i := len(keys) - 1; i >= 0; i-- {
			set := slices.Clone(sets[len(sets)-1])
			set[i] = true
			sets = append(sets, set)
		}
	}
	var parts []string
	for _, set := range sets {
		values, by = nil, nil
		for i, k := range keys {
			if set[i] {
				values = append(values, "NULL")
			} else {
				values, by = append(values, k.sql), append(by, k.sql)
			}
		}
		part := "SELECT " + strings.Join(append(values, totals...), ", ") + " FROM " + g.object + " t" + w.sql
		switch {
		case len(by) > 0:
			part += " GROUP BY " + strings.Join(by, ", ") + havingSQL
		case len(keys) > 0: // the grand total, of which there is none where nothing matches
			part += " GROUP BY 'all'" + havingSQL
		}
		parts = append(parts, part)
	}
	q := term{"SELECT " + strings.Join(soql, ", ") + " FROM " + g.object + w.soql, strings.Join(parts, " UNION ALL ")}
	if len(keys) > 0 {
		var names []string
		for _, k := range keys {
			names = append(names, k.soql)
		}
		list := strings.Join(names, ", ")
		if rollup {
			list = "ROLLUP(" + list + ")"
		}
		q.soql += " GROUP BY " + list + having
	}
	return q
}

// shown writes a value so that both sides' can be compared.
func shown(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		if v {
			return "1"
		}
		return "0"
	case int64:
		return shown(float64(v))
	case float64:
		if v == math.Trunc(v) {
			return fmt.Sprintf("%.0f", v)
		}
		return fmt.Sprintf("%.9g", v)
	case string:
		return strings.ToLower(strings.Replace(v, "+0000", "Z", 1))
	case []byte:
		return shown(string(v))
	}
	return fmt.Sprint(v)
}

// flat lists a record's values in the order of the query's columns, parents' in their place.
func flat(columns []string, rec *engine.Record) string {
	var out []string
	for _, name := range columns {
		at, leaf := rec, name
		for at != nil {
			first, rest, deeper := strings.Cut(leaf, ".")
			i := slices.IndexFunc(at.Values, func(v engine.Value) bool { return v.Name == first })
			if !deeper {
				out = append(out, shown(at.Values[i].Value))
				break
			}
			at, _ = at.Values[i].Value.(*engine.Record)
			leaf = rest
		}
		if at == nil {
			out = append(out, "null")
		}
	}
	return strings.Join(out, "|")
}

func (w *oracle) sqlRows(t *rapid.T, text string) (out []string) {
	rows, err := w.db.Query(text)
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values, to := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			to[i] = &values[i]
		}
		if err := rows.Scan(to...); err != nil {
			t.Fatal(err)
		}
		var row []string
		for _, v := range values {
			row = append(row, shown(v))
		}
		out = append(out, strings.Join(row, "|"))
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	return out
}

// TestOracle asks the engine and SQLite the same random questions, each in its own language, as an administrator and
// as somebody who sees their own records only.
func TestOracle(t *testing.T) {
	w := theOracle()
	rapid.Check(t, func(t *rapid.T) {
		g := writer{t, w, rapid.SampledFrom([]string{"Opportunity", "Account", "Contact"}).Draw(t, "object")}
		user := rapid.SampledFrom([]string{w.admin, w.seller}).Draw(t, "user")
		grouped := g.chance("grouped", 50)
		q := term{}
		if grouped {
			q = g.groups(user)
		} else {
			q = g.rows(user)
		}
		result, err := w.engine.Query(user, q.soql)
		if err != nil {
			if strings.Contains(err.Error(), "queryMore") {
				t.Skip("too many groups")
			}
			t.Fatalf("%s\n%v", q.soql, err)
		}
		var got []string
		for _, rec := range result.Records {
			var names []string
			if grouped {
				for _, v := range rec.Values {
					names = append(names, v.Name)
				}
			} else {
				list, _, _ := strings.Cut(strings.TrimPrefix(q.soql, "SELECT "), " FROM ")
				names = strings.Split(list, ", ")
			}
			got = append(got, flat(names, rec))
		}
		want := w.sqlRows(t, q.sql)
		if grouped { // in no order
			slices.Sort(got)
			slices.Sort(want)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s\n%s\n%d rows, want %d\ngot  %.600q\nwant %.600q", q.soql, q.sql, len(got), len(want), got, want)
		}
	})
}
