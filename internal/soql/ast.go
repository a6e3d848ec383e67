// Package soql answers: what does this text say in Salesforce's query language? It knows the grammar
// only, and neither which objects and fields exist nor what a query finds.
package soql

import (
	"fmt"
	"time"
)

// Query is one SELECT, be it the whole text, a child subquery or the subselect of a semi-join.
// Names stand as they were written: they are compared without regard to case.
//
// Every Pos in the tree is a byte offset into the source; Position turns it into row and column.
type Query struct {
	Pos        int
	Select     []Selection
	From       Source
	Aliases    []Source         // "FROM Contact c, c.Account a": what follows the first comma
	Scope      *Word            // USING SCOPE
	Where      Condition        // nil for none
	Mode       *Word            // WITH SECURITY_ENFORCED, USER_MODE or SYSTEM_MODE, in upper case
	Categories []CategoryFilter // WITH DATA CATEGORY a AT b AND …
	GroupBy    []Expr
	Grouping   string    // "ROLLUP" or "CUBE" around all of GroupBy, else ""
	Having     Condition // nil for none; its comparisons may have aggregates
	OrderBy    []Order
	Limit      *Count
	Offset     *Count
	AllRows    *Word  // ALL ROWS
	For        []Word // VIEW, REFERENCE, UPDATE
	Update     []Word // TRACKING, VIEWSTAT
}

// Source is what a query selects from: an object, in a subquery the name of a child relationship, and
// in Query.Aliases a path of parents that starts with an alias.
type Source struct {
	Pos   int
	Path  []string // one name, seldom more: "Account.Contacts"
	Alias string
}

// Word is a name or keyword standing where only one is possible.
type Word struct {
	Pos  int
	Text string
}

// Count is the number of rows of a LIMIT or OFFSET.
type Count struct {
	Pos int
	N   int
}

// Selection is one member of the SELECT list: *Column, *Fields, *Subquery or *TypeOf.
type Selection interface{ selection() }

// Column selects one value a row.
type Column struct {
	Expr  Expr // *Field or *Call
	Alias string
}

// Fields is FIELDS(ALL), FIELDS(STANDARD) or FIELDS(CUSTOM).
type Fields struct {
	Pos int
	Set string // in upper case
}

// Subquery selects the rows of a child relationship.
type Subquery struct {
	Pos   int
	Query *Query
}

// TypeOf selects fields by the object that a polymorphic relationship points to.
type TypeOf struct {
	Pos   int
	Of    *Field
	Whens []When
	Else  []*Field
}

// When is one branch of a TypeOf.
type When struct {
	Pos    int
	Object string
	Fields []*Field
}

// Expr is what can be selected, compared, grouped or ordered by: *Field or *Call, and as an argument of
// DISTANCE and GEOLOCATION also *Literal.
type Expr interface {
	fmt.Stringer // as SOQL
	// At is the byte offset of its first character.
	At() int
}

// Field names a field, through parents where Path has more than one name: Owner.Manager.Name.
type Field struct {
	Pos  int
	Path []string
}

// Call applies a function. Only COUNT() can have no arguments, and it is then the whole SELECT list.
type Call struct {
	Pos  int
	Name string // in upper case: "COUNT_DISTINCT", "CALENDAR_YEAR", "TOLABEL"
	Args []Expr
}

// Condition is *And, *Or, *Not or *Comparison.
type Condition interface{ condition() }

// And holds where all its terms hold. It has at least two.
type And struct{ Terms []Condition }

// Or holds where any of its terms holds. It has at least two.
type Or struct{ Terms []Condition }

// Not holds where its term doesn't.
type Not struct {
	Pos  int
	Term Condition
}

// Operator compares a field with values.
type Operator string

// The operators. "<>" is read as NotEqual.
const (
	Equal          Operator = "="
	NotEqual       Operator = "!="
	Less           Operator = "<"
	LessOrEqual    Operator = "<="
	Greater        Operator = ">"
	GreaterOrEqual Operator = ">="
	Like           Operator = "LIKE"
	In             Operator = "IN"
	NotIn          Operator = "NOT IN"
	Includes       Operator = "INCLUDES"
	Excludes       Operator = "EXCLUDES"
)

// Comparison sets a field or function against one value, a list (In, NotIn, Includes, Excludes) or, for
// In and NotIn, a subselect: a semi- or anti-join.
type Comparison struct {
	Pos    int // of the operator
	Left   Expr
	Op     Operator
	Values []*Literal // exactly one unless Op takes a list; none where Query is set
	Query  *Query
}

// Literal is a value as written in the query. Value is one of
//
//	nil          NULL
//	bool         TRUE, FALSE
//	float64      42, -1.5
//	string       'text', without its escapes
//	Pattern      'text' after LIKE
//	Date         2026-11-23
//	time.Time    2026-11-23T08:00:00Z, in UTC
//	DateLiteral  THIS_QUARTER, LAST_N_DAYS:30
//	Money        USD5000
type Literal struct {
	Pos   int
	Value any
}

// Pattern is what LIKE matches against: % stands for any text, _ for any one character, and a backslash
// takes the %, _ or backslash behind it for itself. No other use of the backslash occurs.
type Pattern string

// Date is a day without a time or zone.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// In is the day's first moment in a zone.
func (d Date) In(zone *time.Location) time.Time {
	return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, zone)
}

// String writes 2026-11-23.
func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day) }

// Money is an amount in a currency named by its ISO 4217 code, in upper case.
type Money struct {
	Currency string
	Amount   float64
}

// Order is one member of ORDER BY. NullsLast is false by default, also with Desc.
type Order struct {
	Expr      Expr
	Desc      bool
	NullsLast bool
}

// CategoryFilter is one condition of WITH DATA CATEGORY.
type CategoryFilter struct {
	Pos      int
	Group    string
	Selector string // AT, ABOVE, BELOW or ABOVE_OR_BELOW
	Names    []string
}

func (*Column) selection()   {}
func (*Fields) selection()   {}
func (*Subquery) selection() {}
func (*TypeOf) selection()   {}

func (*And) condition()        {}
func (*Or) condition()         {}
func (*Not) condition()        {}
func (*Comparison) condition() {}

// At is the offset of the field's first name.
func (f *Field) At() int { return f.Pos }

// At is the offset of the function's name.
func (c *Call) At() int { return c.Pos }

// At is the offset of the literal.
func (l *Literal) At() int { return l.Pos }

// takesList tells the operators that stand before a list from those before one value.
func (o Operator) takesList() bool {
	return o == In || o == NotIn || o == Includes || o == Excludes
}
