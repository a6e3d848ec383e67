package bulk

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stewardhq/steward/internal/sandbox/org"
	"github.com/stewardhq/steward/internal/soql"
)

// query makes a job of a query and answers it. What it finds is as of now, whenever it is fetched.
func (j *Jobs) query(w http.ResponseWriter, r *http.Request, user string) error {
	var ask request
	if err := decode(r.Body, &ask); err != nil {
		return err
	}
	if ask.Operation != "query" && ask.Operation != "queryAll" {
		return refuse("INVALIDJOB", "operation must be query or queryAll")
	}
	one, err := j.start("query", user, r, ask)
	if err != nil {
		return err
	}
	found, err := j.Company.Query(user, ask.Query, ask.Operation == "queryAll")
	if err != nil {
		return err
	}
	q, err := soql.Parse(ask.Query)
	if err != nil {
		return fmt.Errorf("query job: %w", err)
	}
	ob, err := j.Company.Object(user, strings.Join(q.From.Path, "."))
	if err != nil {
		return err
	}
	one.Object = ob.Name
	paths, err := columns(q, ob)
	if err != nil {
		return err
	}
	one.columns, one.rows = make([]string, len(paths)), make([][]string, len(found))
	for i, path := range paths {
		one.columns[i] = strings.Join(path, ".")
	}
	for n, row := range found {
		one.rows[n] = make([]string, len(paths))
		for i, path := range paths {
			name, value := row.Value(path)
			one.columns[i], one.rows[n][i] = name, cell(value)
		}
	}
	shown, err := j.keep(one, uploadComplete)
	if err != nil {
		return err
	}
	return send(w, shown)
}

// columns are the paths of what a query selects. It refuses what has no place in a table of records.
// Source: "Bulk API 2.0 Query Jobs" of the Bulk API 2.0 and Bulk API Developer Guide.
func columns(q *soql.Query, ob *org.Object) ([][]string, error) {
	if q.GroupBy != nil || q.Offset != nil {
		return nil, refuse("API_ERROR", "GROUP BY and OFFSET are not supported in Bulk V2 Query")
	}
	var paths [][]string
	for _, member := range q.Select {
		switch member := member.(type) {
		case *soql.Fields:
			for _, f := range ob.Fields {
				if member.Set == "ALL" || f.Custom == (member.Set == "CUSTOM") {
					paths = append(paths, []string{f.Name})
				}
			}
		case *soql.Column:
			x := member.Expr
			for call, ok := x.(*soql.Call); ok; call, ok = x.(*soql.Call) {
				if len(call.Args) == 0 || slices.Contains([]string{"COUNT", "COUNT_DISTINCT", "SUM", "AVG", "MIN", "MAX"}, call.Name) {
					return nil, refuse("API_ERROR", "Aggregate Relationships not supported in Bulk V2 Query with CSV content type")
				}
				x = call.Args[0]
			}
			f, ok := x.(*soql.Field)
			switch {
			case !ok:
				return nil, refuse("API_ERROR", "%s not supported in Bulk V2 Query", member.Expr)
			case member.Alias != "":
				paths = append(paths, []string{member.Alias})
			case len(f.Path) > 1 && (strings.EqualFold(f.Path[0], ob.Name) || strings.EqualFold(f.Path[0], q.From.Alias)):
				paths = append(paths, f.Path[1:])
			default:
				paths = append(paths, f.Path)
			}
		default:
			return nil, refuse("API_ERROR", "Subqueries and TYPEOF not supported in Bulk V2 Query with CSV content type")
		}
	}
	return paths, nil
}

// cell writes a value as Salesforce does in CSV.
func cell(value any) string {
	switch value := value.(type) {
	case string:
		if at, err := time.Parse(org.DateTimeLayout, value); err == nil {
			return at.Format("2006-01-02T15:04:05.000Z")
		}
		return value
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(value)
	}
	return ""
}

// send answers with a table, in the job's own dialect.
func (one *job) send(w http.ResponseWriter, columns []string, rows [][]string) error {
	between, end := string(delimiters[one.Delimiter]), map[string]string{"LF": "\n", "CRLF": "\r\n"}[one.LineEnding]
	var b bytes.Buffer
	for _, row := range slices.Concat([][]string{columns}, rows) {
		for i, text := range row {
			if i > 0 {
				b.WriteString(between)
			}
			b.WriteString(`"` + strings.ReplaceAll(text, `"`, `""`) + `"`)
		}
		b.WriteString(end)
	}
	return write(w, "text/csv", b.Bytes())
}

// check refuses an ingest job that can't be worked off, whatever is uploaded.
func (j *Jobs) check(one *job) error {
	switch one.Operation {
	case "insert", "update", "upsert", "delete":
	case "hardDelete":
		return refuse("FEATURENOTENABLED", "hardDelete operation requires special user profile permission, please contact your system administrator")
	default:
		return refuse("INVALIDJOB", "operation must be insert, update, upsert or delete")
	}
	ob, err := j.Company.Object(one.user, one.Object)
	if err != nil {
		return refuse("INVALIDENTITY", "Unable to find object: %s", one.Object)
	}
	one.Object = ob.Name
	if one.Operation != "upsert" {
		one.ExternalID = ""
		return nil
	}
	switch f := ob.Field(one.ExternalID); {
	case one.ExternalID == "":
		return refuse("INVALIDJOB", "External ID was blank for %s. An External ID must be specified for upsert.", ob.Name)
	case f == nil || !f.Keys():
		return refuse("INVALIDJOB", "Field name provided, %s does not match an External ID, Salesforce Id, or indexed field for %s", one.ExternalID, ob.Name)
	default:
		one.ExternalID = f.Name
	}
	return nil
}

// load says that a job's upload is complete, and then works it off. The job is inProgress already.
func (j *Jobs) load(one *job, w http.ResponseWriter) error {
	shown := j.look(one)
	shown.State = uploadComplete
	if err := send(w, shown); err != nil {
		return err
	}
	done := &loading{Jobs: j, job: one, key: map[string]string{"insert": "", "update": "Id", "upsert": one.ExternalID, "delete": "Id"}[one.Operation]}
	fault := done.run()
	j.mu.Lock()
	defer j.mu.Unlock()
	one.columns, one.written, one.refused = done.header, done.written, done.refused
	if one.State, one.Error = failed, fault; fault == "" {
		one.State, one.upload = jobComplete, nil
	}
	one.Processed, one.Failed = len(done.written)+len(done.refused), len(done.refused)
	one.Modified = j.Now().Format(org.DateTimeLayout)
	return nil
}

// loading is an ingest job at work.
type loading struct {
	*Jobs
	*job
	object           *org.Object
	header           []string
	fields           []column
	key              string // the field that tells which record is meant, "" where all are new
	written, refused [][]string
}

// column is what the cells below a heading are for.
type column struct {
	field  *org.Field
	parent *org.Object // where cells name a record to refer to by another field than its id
	key    *org.Field
}

// run tries every record. It says what is wrong, and tries none, if the upload as a whole makes no sense.
func (l *loading) run() (fault string) {
	const batch = "InvalidBatch : "
	var err error
	if l.object, err = l.Company.Object(l.user, l.Object); err != nil {
		return batch + "Unable to find object: " + l.Object
	}
	text := bytes.TrimPrefix(l.upload, []byte("\ufeff"))
	first, _, _ := bytes.Cut(text, []byte("\n"))
	switch {
	case !utf8.Valid(text):
		return batch + "the data is not UTF-8"
	case len(text) > 0 && bytes.HasSuffix(first, []byte("\r")) != (l.LineEnding == "CRLF"):
		return "ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is " + l.LineEnding
	}
	in := csv.NewReader(bytes.NewReader(text))
	in.Comma = delimiters[l.Delimiter]
	records, err := in.ReadAll() // all as wide as the first
	switch {
	case err != nil:
		return batch + "the CSV can't be read: " + err.Error()
	case len(records) == 0:
		return ""
	}
	for _, name := range records[0] {
		c, ok := l.column(strings.TrimSpace(name))
		switch {
		case !ok:
			return batch + "Field name not found : " + name
		case l.Operation == "delete" && c.field.Name != "Id":
			return batch + "delete batch must contain only ids"
		case slices.ContainsFunc(l.fields, func(other column) bool { return other.field.Name == c.field.Name }):
			return batch + "Field name stands twice : " + name
		}
		l.fields = append(l.fields, c)
	}
	l.header = records[0]
	for _, record := range records[1:] {
		id, created, err := l.write(record)
		if err != nil {
			l.refused = append(l.refused, append([]string{id, err.Error()}, record...))
		} else {
			l.written = append(l.written, append([]string{id, strconv.FormatBool(created)}, record...))
		}
	}
	return ""
}

// column finds what a heading stands for: a field, or "Owner.Username", or "Account:What.Id" where the reference
// may point at records of several objects.
func (l *loading) column(name string) (c column, ok bool) {
	relationship, key, deep := strings.Cut(name, ".")
	if !deep {
		c.field = l.object.Field(name)
		return c, c.field != nil
	}
	object, after, typed := strings.Cut(relationship, ":")
	if typed {
		relationship = after
	}
	for i := range l.object.Fields {
		f := &l.object.Fields[i]
		if !strings.EqualFold(f.RelationshipName, relationship) || !typed && len(f.ReferenceTo) != 1 {
			continue
		}
		for _, to := range f.ReferenceTo {
			if typed && !strings.EqualFold(to, object) {
				continue
			}
			if parent, err := l.Company.Object(l.user, to); err == nil {
				if k := parent.Field(key); k != nil && k.Keys() {
					return column{f, parent, k}, true
				}
			}
		}
	}
	return c, false
}

// write tries one record, and gives its id as far as it has one, and whether it is new.
func (l *loading) write(record []string) (id string, created bool, err error) {
	values, match := map[string]any{}, ""
	for i, c := range l.fields {
		text := record[i]
		if c.parent == nil && c.field.Name == l.key {
			if match = text; l.key == "Id" {
				continue
			}
		}
		if text == "" { // leaves the field as it is
			continue
		}
		if values[c.field.Name], err = l.value(c, text); err != nil {
			return "", false, err
		}
	}
	object, create := l.object.Name, l.key == "" || l.key == "Id" && l.Operation == "upsert" && match == ""
	switch {
	case create:
	case match == "":
		return "", false, refuse("MISSING_ARGUMENT", "%s not specified", l.key)
	case l.key != "Id":
		if id, err = l.lookUp(l.object, l.object.Field(l.key), match); err != nil {
			return "", false, err
		}
		create = id == ""
	default:
		id = match
	}
	switch {
	case create:
		id, err = l.Company.Create(l.user, object, values)
	case l.Operation == "delete":
		err = l.Company.Delete(l.user, object, id)
	default:
		err = l.Company.Update(l.user, object, id, values)
	}
	var f *Fault
	if errors.As(err, &f) && f.Status == http.StatusNotFound {
		err = refuse("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
	}
	return id, create && err == nil, err
}

var number = regexp.MustCompile(`^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$`)

// value reads a cell. Source: "Valid Data Types" of the Bulk API 2.0 and Bulk API Developer Guide.
func (l *loading) value(c column, text string) (any, error) {
	bad := func(code, format string, args ...any) error {
		err := refuse(code, format, args...)
		err.Fields = []string{c.field.Name}
		return err
	}
	switch {
	case text == "#N/A":
		return nil, nil
	case c.parent != nil:
		id, err := l.lookUp(c.parent, c.key, text)
		if err == nil && id == "" {
			err = bad("INVALID_FIELD", "Foreign key external ID: %s not found for field %s in entity %s", text, c.key.Name, c.parent.Name)
		}
		return id, err
	case c.field.Type.IsNumber():
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || !number.MatchString(text) {
			return nil, bad("INVALID_TYPE_ON_FIELD_IN_RECORD", "%s: value not of required type: %s", c.field.Label, text)
		}
		return n, nil
	case c.field.Type == org.Boolean:
		switch strings.ToLower(text) {
		case "true", "yes", "y", "on", "1":
			return true, nil
		case "false", "no", "n", "off", "0":
			return false, nil
		}
		return nil, bad("INVALID_TYPE_ON_FIELD_IN_RECORD", "%s: value not of required type: %s", c.field.Label, text)
	}
	return text, nil
}

// lookUp finds the record that a key's value names among what the user sees; "" for none.
func (l *loading) lookUp(of *org.Object, key *org.Field, text string) (string, error) {
	found, err := l.Company.Query(l.user, "SELECT Id FROM "+of.Name+" WHERE "+key.Name+" = "+soql.Quote(text)+" LIMIT 2", false)
	switch {
	case err != nil || len(found) == 0:
		return "", err
	case len(found) > 1:
		return "", refuse("DUPLICATE_EXTERNAL_ID", "%s: more than one record found for external id field: %s", key.Name, text)
	}
	_, id := found[0].Value([]string{"Id"})
	name, _ := id.(string)
	return name, nil
}
