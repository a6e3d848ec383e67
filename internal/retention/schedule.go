package retention

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/stewardhq/steward"
)

// Span is how many days a class may be kept at least and at most.
type Span struct{ Least, Most int }

// spans are the limits of what a workspace can set, for the classes that something is kept of. The record's is the longest that a duty asks for here, and
// the least that an audit of a year needs.
var spans = map[steward.Class]Span{
	steward.ClassVault: {1, 365}, steward.ClassConversation: {1, 365}, steward.ClassRun: {1, 1096}, steward.ClassPrompt: {1, 1096},
	steward.ClassLedger: {366, 3653},
}

// Periods is the keyring's directory.
type Periods interface {
	// Live lists the scopes of some classes whose keys exist, in the order of their names.
	Live(ctx context.Context, ws steward.WorkspaceID, classes []steward.Class) ([]steward.Scope, error)
}

// Settings keeps what workspaces have set.
type Settings interface {
	// Days gives the classes that the workspace keeps for other than the default days.
	Days(ctx context.Context, ws steward.WorkspaceID) (map[steward.Class]int, error)
	// SetDays keeps a class so long from now on.
	SetDays(ctx context.Context, ws steward.WorkspaceID, class steward.Class, days int) error
	// Seen gives the last time at which the workspace's purger trusted the clock: Restored once its data was put
	// back from a backup; known is false where it never did.
	Seen(ctx context.Context, ws steward.WorkspaceID) (at time.Time, known bool, err error)
	// See keeps that.
	See(ctx context.Context, ws steward.WorkspaceID, at time.Time) error
}

// Schedule knows when what must go.
type Schedule struct {
	Periods  Periods
	Settings Settings
	Now      func() time.Time
}

// Held is what is kept of a class, and how long.
type Held struct {
	Class   steward.Class `json:"class"`
	Days    int           `json:"days"`
	Least   int           `json:"least"` // the limits of Days
	Most    int           `json:"most"`
	Periods int           `json:"periods"`          // whose keys exist
	Oldest  string        `json:"oldest,omitempty"` // of them: a day, or a month
	Next    *time.Time    `json:"next,omitempty"`   // when the oldest goes
	Due     int           `json:"due"`              // periods that should be gone
}

// Show tells what a workspace keeps, class by class.
func (s *Schedule) Show(ctx context.Context, ws steward.WorkspaceID) ([]Held, error) {
	var all []Held
	err := s.each(ctx, ws, func(h Held, live []steward.Scope, goes func(steward.Scope) time.Time) {
		h.Periods = len(live)
		for i, scope := range live {
			at := goes(scope)
			if i == 0 {
				h.Oldest, h.Next = string(scope)[len(h.Class)+1:], &at
			}
			if !s.Now().Before(at) {
				h.Due++
			}
		}
		all = append(all, h)
	})
	return all, err
}

// due lists the scopes whose time has passed, and the others that have keys; entries older than old needn't be on
// record any more.
func (s *Schedule) due(ctx context.Context, ws steward.WorkspaceID) (due, kept []steward.Scope, old time.Time, err error) {
	err = s.each(ctx, ws, func(h Held, live []steward.Scope, goes func(steward.Scope) time.Time) {
		if h.Class == steward.ClassLedger {
			old = s.Now().UTC().AddDate(0, 0, -h.Days)
		}
		for _, scope := range live {
			if !s.Now().Before(goes(scope)) {
				due = append(due, scope)
			} else {
				kept = append(kept, scope)
			}
		}
	})
	return due, kept, old, err
}

// each calls f with each class that is kept by periods, those that there are, and when one goes: once its
// whole period is older than the class is kept.
func (s *Schedule) each(ctx context.Context, ws steward.WorkspaceID, f func(h Held, live []steward.Scope, goes func(steward.Scope) time.Time)) error {
	set, err := s.Settings.Days(ctx, ws)
	if err != nil {
		return err
	}
	live, err := s.Periods.Live(ctx, ws, slices.Collect(maps.Keys(spans)))
	if err != nil {
		return err
	}
	periods := map[steward.Class][]steward.Scope{}
	for _, scope := range live {
		if class, _, ok := scope.Period(); ok {
			periods[class] = append(periods[class], scope)
		}
	}
	for _, rule := range steward.Classes() {
		span, ok := spans[rule.Class]
		if !ok {
			continue
		}
		h := Held{Class: rule.Class, Days: rule.Days, Least: span.Least, Most: span.Most}
		if days, ok := set[rule.Class]; ok {
			h.Days = min(max(days, span.Least), span.Most)
		}
		f(h, periods[rule.Class], func(scope steward.Scope) time.Time {
			_, end, _ := scope.Period()
			return end.AddDate(0, 0, h.Days)
		})
	}
	return nil
}

// Set keeps a class for other than the default days from now on, what is kept already included.
func (s *Schedule) Set(ctx context.Context, ws steward.WorkspaceID, class steward.Class, days int) error {
	if err := CheckDays(class, days); err != nil {
		return err
	}
	return s.Settings.SetDays(ctx, ws, class, days)
}

// CheckDays refuses what a class can't be kept for.
func CheckDays(class steward.Class, days int) error {
	span, ok := spans[class]
	if !ok {
		return steward.Errorf(steward.Invalid, "nothing is kept by days under that name; the classes are vault, conversation, run, prompt and ledger")
	}
	if days < span.Least || days > span.Most {
		return steward.Errorf(steward.Invalid, "%s can be kept for %d to %d days", class, span.Least, span.Most)
	}
	return nil
}
