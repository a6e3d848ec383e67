package soql

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Quote writes s as a SOQL string literal, quotes included, that reads back as exactly s. For LIKE see
// QuoteLike.
func Quote(s string) string {
	return "'" + escapes.Replace(s) + "'"
}

// LikeEscape writes s as a Pattern that matches s alone, such as 100\% for 100%. It goes into a query
// by way of QuoteLike, not Quote:
//
//	"Name LIKE " + QuoteLike("%"+LikeEscape(s)+"%")
func LikeEscape(s string) string {
	return likeEscapes.Replace(s)
}

// QuoteLike writes a Pattern as a SOQL string literal, quotes included. A backslash that escapes
// nothing is taken for itself.
func QuoteLike(pattern string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for i := 0; i < len(pattern); i++ {
		if pattern[i] == '\\' && i+1 < len(pattern) && strings.IndexByte(`\%_`, pattern[i+1]) >= 0 {
			b.WriteString(pattern[i : i+2])
			i++
			continue
		}
		b.WriteString(escapes.Replace(pattern[i : i+1]))
	}
	b.WriteByte('\'')
	return b.String()
}

var (
	escapes     = strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\b", `\b`, "\f", `\f`)
	likeEscapes = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)
)

// String writes the query in one canonical form on one line: keywords in upper case, names as they
// were, no parentheses but the needed ones. Parse reads the same tree from it, positions aside.
func (q *Query) String() string {
	var b strings.Builder
	b.WriteString("SELECT ")
	join(&b, ", ", q.Select, selectionText)
	b.WriteString(" FROM ")
	join(&b, ", ", append([]Source{q.From}, q.Aliases...), sourceText)
	if q.Scope != nil {
		b.WriteString(" USING SCOPE " + q.Scope.Text)
	}
	if q.Where != nil {
		b.WriteString(" WHERE " + conditionText(q.Where))
	}
	if q.Mode != nil {
		b.WriteString(" WITH " + q.Mode.Text)
	}
	if q.Categories != nil {
		b.WriteString(" WITH DATA CATEGORY ")
		join(&b, " AND ", q.Categories, categoryText)
	}
	if q.GroupBy != nil {
		b.WriteString(" GROUP BY ")
		if q.Grouping != "" {
			b.WriteString(q.Grouping + "(")
		}
		join(&b, ", ", q.GroupBy, Expr.String)
		if q.Grouping != "" {
			b.WriteByte(')')
		}
	}
	if q.Having != nil {
		b.WriteString(" HAVING " + conditionText(q.Having))
	}
	if q.OrderBy != nil {
		b.WriteString(" ORDER BY ")
		join(&b, ", ", q.OrderBy, orderText)
	}
	if q.Limit != nil {
		fmt.Fprintf(&b, " LIMIT %d", q.Limit.N)
	}
	if q.Offset != nil {
		fmt.Fprintf(&b, " OFFSET %d", q.Offset.N)
	}
	if q.AllRows != nil {
		b.WriteString(" ALL ROWS")
	}
	for _, w := range q.For {
		b.WriteString(" FOR " + w.Text)
	}
	if q.Update != nil {
		b.WriteString(" UPDATE ")
		join(&b, ", ", q.Update, func(w Word) string { return w.Text })
	}
	return b.String()
}

// String writes Owner.Name.
func (f *Field) String() string { return strings.Join(f.Path, ".") }

// String writes COUNT(Id).
func (c *Call) String() string {
	var b strings.Builder
	b.WriteString(c.Name + "(")
	join(&b, ", ", c.Args, Expr.String)
	b.WriteByte(')')
	return b.String()
}

// String writes the literal as SOQL. A Value of a type that Literal doesn't list is written as NULL.
func (l *Literal) String() string {
	switch v := l.Value.(type) {
	case bool:
		return strings.ToUpper(strconv.FormatBool(v))
	case float64:
		return formatNumber(v)
	case string:
		return Quote(v)
	case Pattern:
		return QuoteLike(string(v))
	case Date:
		return v.String()
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case DateLiteral:
		return v.String()
	case Money:
		return v.Currency + formatNumber(v.Amount)
	}
	return "NULL"
}

func formatNumber(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func selectionText(s Selection) string {
	switch s := s.(type) {
	case *Column:
		return withAlias(s.Expr.String(), s.Alias)
	case *Fields:
		return "FIELDS(" + s.Set + ")"
	case *Subquery:
		return "(" + s.Query.String() + ")"
	case *TypeOf:
		var b strings.Builder
		b.WriteString("TYPEOF " + s.Of.String())
		for _, w := range s.Whens {
			b.WriteString(" WHEN " + w.Object + " THEN ")
			join(&b, ", ", w.Fields, (*Field).String)
		}
		if s.Else != nil {
			b.WriteString(" ELSE ")
			join(&b, ", ", s.Else, (*Field).String)
		}
		b.WriteString(" END")
		return b.String()
	}
	return ""
}

func sourceText(s Source) string { return withAlias(strings.Join(s.Path, "."), s.Alias) }

func withAlias(text, alias string) string {
	if alias == "" {
		return text
	}
	return text + " " + alias
}

func conditionText(c Condition) string {
	var b strings.Builder
	switch c := c.(type) {
	case *And:
		join(&b, " AND ", c.Terms, termText)
	case *Or:
		join(&b, " OR ", c.Terms, termText)
	case *Not:
		b.WriteString("NOT " + termText(c.Term))
	case *Comparison:
		b.WriteString(c.Left.String() + " " + string(c.Op) + " ")
		switch {
		case c.Query != nil:
			b.WriteString("(" + c.Query.String() + ")")
		case c.Op.takesList():
			b.WriteByte('(')
			join(&b, ", ", c.Values, (*Literal).String)
			b.WriteByte(')')
		default:
			join(&b, ", ", c.Values, (*Literal).String)
		}
	}
	return b.String()
}

// termText puts everything but a comparison in parentheses, which the language wants wherever two
// logical operators meet.
func termText(c Condition) string {
	if _, simple := c.(*Comparison); simple {
		return conditionText(c)
	}
	return "(" + conditionText(c) + ")"
}

func categoryText(f CategoryFilter) string {
	if len(f.Names) == 1 {
		return f.Group + " " + f.Selector + " " + f.Names[0]
	}
	return f.Group + " " + f.Selector + " (" + strings.Join(f.Names, ", ") + ")"
}

func orderText(o Order) string {
	s := o.Expr.String()
	if o.Desc {
		s += " DESC"
	}
	if o.NullsLast {
		s += " NULLS LAST"
	}
	return s
}

func join[T any](b *strings.Builder, separator string, list []T, text func(T) string) {
	for i, item := range list {
		if i > 0 {
			b.WriteString(separator)
		}
		b.WriteString(text(item))
	}
}
