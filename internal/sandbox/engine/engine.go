// Package engine answers: what may this user read and change in the sandbox company? It knows objects,
// permissions, sharing and SOQL; it doesn't know HTTP, versions, tokens on the wire, or paging.
package engine

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stewardhq/steward/internal/sandbox/org"
)

// Error is a refusal in Salesforce's terms.
type Error struct {
	Status  int // of the HTTP reply
	Code    string
	Message string
	Fields  []string // fields it complains about, may be empty
}

// Error gives code and message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

func refuse(status int, code, format string, args ...any) *Error {
	return &Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

func notFound() *Error {
	return refuse(http.StatusNotFound, "NOT_FOUND", "The requested resource does not exist")
}

// Engine serves one company. It owns the org's rows from New on, and is safe for concurrent use.
type Engine struct {
	now     func() time.Time // UTC
	mu      *sync.RWMutex
	org     *org.Org
	byID    map[string]place     // every record
	refs    map[string][]org.Row // by refKey, in order of creation: the records that point at another
	deleted map[string]bool
	bin     map[string][]org.Row // deleted records, by object
	stamp   time.Time            // of the last write, so that two writes never carry the same
	undo    *undo                // within a transaction
}

// place is a record and what it is a record of.
type place struct {
	object *org.Object
	row    org.Row
}

// New indexes a company by id and by every reference. now is the company's present, in UTC.
func New(o *org.Org, now func() time.Time) *Engine {
	e := &Engine{
		now: now, org: o, mu: new(sync.RWMutex),
		byID: map[string]place{}, refs: map[string][]org.Row{}, deleted: map[string]bool{}, bin: map[string][]org.Row{},
	}
	e.reindex()
	return e
}

func (e *Engine) reindex() {
	clear(e.byID)
	clear(e.refs)
	for i := range e.org.Objects {
		for _, row := range e.org.Rows[e.org.Objects[i].Name] {
			e.index(&e.org.Objects[i], row)
		}
	}
}

func refKey(object, field, id string) string { return object + "." + field + "=" + id }

func (e *Engine) index(ob *org.Object, row org.Row) {
	e.byID[row.Text("Id")] = place{ob, row}
	for i := range ob.Fields {
		if key := pointer(ob, &ob.Fields[i], row); key != "" {
			e.refs[key] = append(e.refs[key], row)
		}
	}
}

// pointer is the key of what a field points at, "" for nothing.
func pointer(ob *org.Object, f *org.Field, row org.Row) string {
	if f.Type == org.Reference {
		if id := row.Text(f.Name); id != "" {
			return refKey(ob.Name, f.Name, id)
		}
	}
	return ""
}

func without(rows []org.Row, id string) []org.Row {
	return slices.DeleteFunc(rows, func(r org.Row) bool { return r.Text("Id") == id })
}

// OrgID is the company's own id.
func (e *Engine) OrgID() string { return e.org.ID }

// ObjectOf names the object that an id's prefix stands for; "" for none.
func (e *Engine) ObjectOf(id string) string {
	if ob := e.org.ObjectOf(id); ob != nil {
		return ob.Name
	}
	return ""
}

// User is somebody who can sign in.
type User struct {
	ID, Username, Name string
	Role               string // admin, manager or representative
	AccessToken        string
}

// The roles of users, as a User names them.
const (
	Admin          = "admin"
	Manager        = "manager"
	Representative = "representative"
)

// Users lists active users: administrators first, then managers, then representatives.
func (e *Engine) Users() []User {
	e.mu.RLock()
	defer e.mu.RUnlock()
	leads := map[string]bool{} // roles with a role below them
	for _, role := range e.org.Rows["UserRole"] {
		leads[role.Text("ParentRoleId")] = true
	}
	var users []User
	for _, row := range e.org.Rows["User"] {
		if !row.True("IsActive") {
			continue
		}
		u := User{
			ID: row.Text("Id"), Username: row.Text("Username"), Name: row.Text("Name"),
			Role: Representative, AccessToken: e.org.AccessToken(row.Text("Id")),
		}
		switch p := e.org.Profile(row.Text("ProfileId")); {
		case p != nil && p.ModifyAll:
			u.Role = Admin
		case leads[row.Text("UserRoleId")]:
			u.Role = Manager
		}
		users = append(users, u)
	}
	slices.SortStableFunc(users, func(a, b User) int {
		return cmp.Compare(strings.Index("amr", a.Role[:1]), strings.Index("amr", b.Role[:1]))
	})
	return users
}

// SignedIn finds the active user a token belongs to; "" where there is none.
func (e *Engine) SignedIn(token string) string {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, row := range e.org.Rows["User"] {
		if id := row.Text("Id"); row.True("IsActive") && e.org.AccessToken(id) == token {
			return id
		}
	}
	return ""
}

// Profile gives the fields of a user's own record, which everybody may read about themselves.
func (e *Engine) Profile(user string) org.Row {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return maps.Clone(e.byID[user].row)
}

// Administers says whether a user may modify all data.
func (e *Engine) Administers(user string) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.as(user).profile.ModifyAll
}
