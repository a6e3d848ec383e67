package salesforce

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/connector"
	"github.com/stewardhq/steward/internal/soql"
)

// query finds records.
func (v *visit) query(ctx context.Context, a queryArgs) (connector.Reply, error) {
	o, err := v.object(ctx, a.Object)
	if err != nil {
		return connector.Reply{}, err
	}
	paths, err := v.paths(ctx, o, a.Fields, a.SkipHidden)
	if err != nil {
		return connector.Reply{}, err
	}
	q, err := v.soql(ctx, o, paths, a)
	if err != nil {
		return connector.Reply{}, err
	}
	q.Limit = &soql.Count{N: *a.Limit}
	rows, err := v.rows(ctx, q)
	if err != nil {
		return connector.Reply{}, err
	}
	reply := connector.Reply{Total: len(rows)}
	for _, row := range rows {
		record, err := v.record(o, paths, row)
		if err != nil {
			return connector.Reply{}, err
		}
		reply.Records = append(reply.Records, record)
	}
	if len(rows) == *a.Limit { // there may be more
		reply.Total, err = v.count(ctx, q)
	}
	return reply, err
}

// getRecord reads one record. It is a query too, since only a query reaches parents' fields.
func (v *visit) getRecord(ctx context.Context, a getArgs) (connector.Reply, error) {
	o, err := v.object(ctx, a.Object)
	if err != nil {
		return connector.Reply{}, err
	}
	paths, err := v.paths(ctx, o, a.Fields, false)
	if err != nil {
		return connector.Reply{}, err
	}
	record, err := v.one(ctx, o, a.ID, paths)
	if err != nil {
		return connector.Reply{}, err
	}
	return connector.Reply{Records: []steward.Record{record}, Total: 1}, nil
}

// one reads the record with an id, which is an error where the member sees none.
func (v *visit) one(ctx context.Context, o *object, id string, paths []path) (steward.Record, error) {
	q, err := v.soql(ctx, o, paths, queryArgs{})
	if err != nil {
		return steward.Record{}, err
	}
	q.Limit = &soql.Count{N: 1}
	q.Where = &soql.Comparison{Left: &soql.Field{Path: []string{"Id"}}, Op: soql.Equal, Values: []*soql.Literal{{Value: id}}}
	rows, err := v.rows(ctx, q)
	if err != nil {
		return steward.Record{}, err
	}
	if len(rows) == 0 {
		return steward.Record{}, v.fail(steward.NotFound, "there is no "+o.Name+" with this id, or you may not see it", connector.Error{Code: "NOT_FOUND"})
	}
	return v.record(o, paths, rows[0])
}

// paths finds the fields asked for; none asked for means the usual ones, as far as they can be seen.
func (v *visit) paths(ctx context.Context, o *object, fields []string, skipHidden bool) ([]path, error) {
	usual := fields == nil
	if usual {
		fields = defaultFields(o)
	}
	var paths []path
	for i, name := range fields {
		p, err := v.path(ctx, o, name, fmt.Sprintf("fields[%d]", i))
		if (usual || skipHidden) && (errors.Is(err, errHidden) || err != nil && steward.KindOf(err) == steward.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		paths = append(paths, p)
	}
	return paths, nil
}

// soql builds the query as a tree, so that no value is ever text of the language.
func (v *visit) soql(ctx context.Context, o *object, paths []path, a queryArgs) (*soql.Query, error) {
	q := &soql.Query{From: soql.Source{Path: []string{o.Name}}}
	selected := map[string]bool{}
	add := func(names []string) {
		if key := strings.Join(names, "."); !selected[key] {
			selected[key] = true
			q.Select = append(q.Select, &soql.Column{Expr: &soql.Field{Path: names}})
		}
	}
	add([]string{"Id"})
	for _, p := range paths {
		add(p.names)
		add(p.pathToID())
	}
	where, err := v.conditions(ctx, o, a.Where, "where")
	if err != nil {
		return nil, err
	}
	if len(where) == 1 {
		q.Where = where[0]
	} else if len(where) > 1 {
		q.Where = &soql.And{Terms: where}
	}
	for i, by := range a.OrderBy {
		at := fmt.Sprintf("order_by[%d]", i)
		p, err := v.path(ctx, o, by.Field, at)
		if err != nil {
			return nil, err
		}
		if p.field.Sortable != nil && !*p.field.Sortable {
			return nil, steward.Errorf(steward.Invalid, "%s can't be sorted by", at)
		}
		q.OrderBy = append(q.OrderBy, soql.Order{Expr: &soql.Field{Path: p.names}, Desc: by.Desc, NullsLast: true})
	}
	return q, nil
}

func (v *visit) conditions(ctx context.Context, o *object, list []condition, at string) ([]soql.Condition, error) {
	var terms []soql.Condition
	for i, c := range list {
		at := fmt.Sprintf("%s[%d]", at, i)
		if c.Any == nil {
			term, err := v.comparison(ctx, o, c, at)
			if err != nil {
				return nil, err
			}
			terms = append(terms, term)
			continue
		}
		either, err := v.conditions(ctx, o, c.Any, at+".any")
		if err != nil {
			return nil, err
		}
		if len(either) == 1 {
			terms = append(terms, either[0])
		} else {
			terms = append(terms, &soql.Or{Terms: either})
		}
	}
	return terms, nil
}

// operators are those a condition may have, and whether they compare by order.
var operators = map[string]struct {
	op      soql.Operator
	ordered bool
}{
	"=": {soql.Equal, false}, "!=": {soql.NotEqual, false}, "in": {soql.In, false}, "not in": {soql.NotIn, false},
	"like": {soql.Like, false},
	"<":    {soql.Less, true}, "<=": {soql.LessOrEqual, true}, ">": {soql.Greater, true}, ">=": {soql.GreaterOrEqual, true},
}

func (v *visit) comparison(ctx context.Context, o *object, c condition, at string) (soql.Condition, error) {
	p, err := v.path(ctx, o, c.Field, at+".field")
	if err != nil {
		return nil, err
	}
	if p.field.Filterable != nil && !*p.field.Filterable {
		return nil, steward.Errorf(steward.Invalid, "%s.field can't be used in conditions", at)
	}
	operator, ok := operators[strings.ToLower(c.Op)]
	if !ok {
		return nil, steward.Errorf(steward.Invalid, "%s.op must be one of = != < <= > >= like, in, not in", at)
	}
	term := &soql.Comparison{Left: &soql.Field{Path: p.names}, Op: operator.op}
	shape := p.field.shape()
	if operator.op == soql.Like && shape != text {
		return nil, steward.Errorf(steward.Invalid, "%s: like is for texts, and this field is of type %s", at, p.field.Type)
	}
	if operator.ordered && shape == boolean {
		return nil, steward.Errorf(steward.Invalid, "%s: true and false have no order; use =", at)
	}
	takesList := operator.op == soql.In || operator.op == soql.NotIn
	if c.Literal != nil {
		literal, err := dateLiteral(*c.Literal)
		if err != nil || takesList || (shape != date && shape != datetime) {
			return nil, steward.Errorf(steward.Invalid, "%s.literal must be a relative date such as THIS_QUARTER or LAST_N_DAYS:30, for a date field and one value", at)
		}
		term.Values = []*soql.Literal{{Value: literal}}
		return term, nil
	}
	list, isList, err := c.operands(at + ".value")
	if err != nil {
		return nil, err
	}
	if isList != takesList || len(list) == 0 {
		return nil, steward.Errorf(steward.Invalid, "%s.value must be an array with at least one value for in and not in, and a single value for other operators", at)
	}
	for _, one := range list {
		if one == nil && operator.op != soql.Equal && operator.op != soql.NotEqual {
			return nil, steward.Errorf(steward.Invalid, "%s: only = and != compare with null", at)
		}
		literal, err := literalOf(p.field, one, at+".value")
		if err != nil {
			return nil, err
		}
		if pattern, ok := literal.(string); ok && operator.op == soql.Like {
			literal = soql.Pattern(pattern)
		}
		term.Values = append(term.Values, &soql.Literal{Value: literal})
	}
	return term, nil
}

// literalOf gives a value the type that its field is compared in.
func literalOf(f *field, v any, at string) (any, error) {
	v, err := typed(f, v, at)
	s, ok := v.(string)
	if err != nil || !ok {
		return v, err
	}
	switch f.shape() {
	case date:
		day, _ := time.Parse(time.DateOnly, s) // typed has read it
		return soql.Date{Year: day.Year(), Month: day.Month(), Day: day.Day()}, nil
	case datetime:
		moment, _ := parseDatetime(s)
		return moment, nil
	}
	return s, nil
}

// typed holds a value against its field's type. Datetimes come back in Salesforce's own form, so that
// what was meant can be compared with what is read back.
func typed(f *field, v any, at string) (any, error) {
	if v == nil {
		return nil, nil
	}
	wants, ok := "a text", false
	switch f.shape() {
	case number:
		wants = "a number"
		_, ok = v.(float64)
	case boolean:
		wants = "true or false"
		_, ok = v.(bool)
	case date:
		wants = "a date written YYYY-MM-DD"
		if s, is := v.(string); is {
			day, err := time.Parse(time.DateOnly, s)
			ok = err == nil && inYears(day)
		}
	case datetime:
		wants = "a time written like 2026-11-23T09:30:00Z"
		if s, is := v.(string); is {
			if moment, read := parseDatetime(s); read && inYears(moment) {
				v, ok = moment.UTC().Format(datetimeLayout), true
			}
		}
	default:
		_, ok = v.(string)
	}
	if !ok {
		return nil, steward.Errorf(steward.Invalid, "%s must be %s: the field is of type %s", at, wants, f.Type)
	}
	return v, nil
}

// inYears says whether a time is within the years that Salesforce knows.
func inYears(t time.Time) bool { return t.UTC().Year() >= 1700 && t.UTC().Year() <= 4000 }

var dateLiteralForm = regexp.MustCompile(`^([A-Z_0-9]+?)(?::([0-9]{1,6}))?$`)

// dateLiteral reads "THIS_QUARTER" or "LAST_N_DAYS:30".
func dateLiteral(s string) (soql.DateLiteral, error) {
	s = strings.ToUpper(s)
	parts := dateLiteralForm.FindStringSubmatch(s)
	if parts == nil {
		return soql.DateLiteral{}, errors.New("not the form of a date literal")
	}
	n, _ := strconv.Atoi(parts[2]) // digits, or nothing
	l := soql.DateLiteral{Name: parts[1], N: n}
	// Any day will do to ask whether there is such a range.
	if _, _, err := l.Range(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)); err != nil {
		return l, err
	}
	if l.String() != s { // a number where none belongs, or none where one does
		return l, errors.New("number missing or too many")
	}
	return l, nil
}

// page is one answer to a query.
type page struct {
	TotalSize      int              `json:"totalSize"`
	Done           bool             `json:"done"`
	NextRecordsURL string           `json:"nextRecordsUrl"`
	Records        []map[string]any `json:"records"`
}

// rows runs a query and follows its pages, up to its limit.
func (v *visit) rows(ctx context.Context, q *soql.Query) ([]map[string]any, error) {
	var rows []map[string]any
	next := dataPath + "/query?q=" + url.QueryEscape(q.String())
	for {
		var p page
		if err := v.get(ctx, next, &p); err != nil {
			return nil, err
		}
		rows = append(rows, p.Records...)
		if p.Done || len(rows) >= q.Limit.N {
			return rows[:min(len(rows), q.Limit.N)], nil
		}
		// The path comes from the org: it must stay there, and lead on.
		if len(p.Records) == 0 || !strings.HasPrefix(p.NextRecordsURL, "/services/data/") {
			return nil, v.garbage()
		}
		next = p.NextRecordsURL
	}
}

// count asks how many rows a query would find without its limit.
func (v *visit) count(ctx context.Context, q *soql.Query) (int, error) {
	all := &soql.Query{From: q.From, Where: q.Where, Select: []soql.Selection{&soql.Column{Expr: &soql.Call{Name: "COUNT"}}}}
	var p page
	err := v.get(ctx, dataPath+"/query?q="+url.QueryEscape(all.String()), &p)
	return p.TotalSize, err
}

// record reads one row of a query.
func (v *visit) record(o *object, paths []path, row map[string]any) (steward.Record, error) {
	id, _ := row["Id"].(string)
	if !isID(id) {
		return steward.Record{}, v.garbage()
	}
	r := steward.Record{Object: o.Name, ID: id, URL: v.url(o.Name, id)}
	for _, p := range paths {
		of := steward.Ref{Connection: v.session.Connection, Object: p.object}
		of.ID, _ = dig(row, p.pathToID()).(string)
		found := dig(row, p.names)
		if found == nil {
			of.ID = "" // there is nothing to refer to
		} else if p.many {
			of.Object = objectOf(dig(row, p.names[:len(p.names)-1]), p.object)
		}
		r.Fields = append(r.Fields, value(p.asked, found, p.field, of))
	}
	return r, nil
}

// url is where a person opens a record in Lightning.
func (v *visit) url(object, id string) string {
	return v.session.InstanceURL + "/lightning/r/" + object + "/" + id + "/view"
}

// dig walks down parents; nil where one is missing, and for what is no plain value at the end.
func dig(row map[string]any, names []string) any {
	var at any = row
	for _, name := range names {
		inner, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = inner[name]
	}
	return at
}

// objectOf reads which object a parent that could be of several belongs to. Salesforce gives its type
// as "Name" where it doesn't want to say; the record's own path says it then:
// /services/data/v62.0/sobjects/Contact/003….
func objectOf(parent any, otherwise string) string {
	inner, _ := parent.(map[string]any)
	attributes, _ := inner["attributes"].(map[string]any)
	if name, _ := attributes["type"].(string); isWord(name) && name != "Name" {
		return name
	}
	path, _ := attributes["url"].(string)
	if parts := strings.Split(path, "/"); len(parts) >= 2 && isWord(parts[len(parts)-2]) {
		return parts[len(parts)-2]
	}
	return otherwise
}
