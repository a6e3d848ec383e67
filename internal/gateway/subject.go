package gateway

import (
	"context"
	"slices"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/identity"
)

// Subject is somebody to be forgotten: their records, and the values that free text may mention them by.
// It holds personal values: it is used at once and never stored.
type Subject struct {
	Records []steward.Ref
	Values  []string
}

// Subject finds a person named by a record (“salesforce:Contact:003…”), or as a system writes it by an e-mail address,
// a phone number or a full name, in every system that the caller is connected to, and reads what they are called. Without a connection of the caller's own a record can still be
// forgotten, but free text can't be searched for names that nobody may read: Values is empty then.
func (g *Gateway) Subject(ctx context.Context, caller identity.Caller, spec string) (Subject, error) {
	ref, isRecord := steward.ParseRef(spec)
	span := spec
	switch {
	case isRecord && !g.isPerson(ref):
		return Subject{}, steward.Errorf(steward.Invalid, "%s isn't a person; name a contact or a user, such as salesforce:Contact:003…, or an e-mail address", spec)
	case isRecord:
		span = ref.ID
	case len(strings.Fields(spec)) < 2 && !strings.Contains(spec, "@") && !strings.ContainsAny(spec, "0123456789"), len(spec) > 200:
		return Subject{}, steward.Errorf(steward.Invalid, "name the person by record, such as salesforce:Contact:003…, by e-mail address, by phone number or by full name")
	}
	var s Subject
	var unconnected error
	for system, c := range g.Connectors {
		if isRecord && string(ref.Connection) != system {
			continue
		}
		if _, err := g.session(ctx, caller, steward.ConnectionID(system)); steward.KindOf(err) == steward.Unauthenticated {
			unconnected = err
			continue
		} else if err != nil {
			return Subject{}, err
		}
		for _, lookup := range c.Finder().FindPeople([]string{span}) {
			found, err := g.Do(ctx, caller, Call{Tool: lookup.Tool, real: lookup.Args})
			if err != nil {
				return Subject{}, err
			}
			for _, record := range found.Records {
				s.add(steward.Ref{Connection: steward.ConnectionID(system), Object: record.Object, ID: record.ID}, record)
			}
		}
	}
	switch {
	case isRecord && len(s.Records) == 0:
		// Not there any more, or not for the caller to see: what is kept of them can go all the same.
		s.Records = []steward.Ref{ref}
	case len(s.Records) == 0 && unconnected != nil:
		return s, unconnected
	case len(s.Records) == 0:
		return s, steward.Errorf(steward.NotFound, "nobody was found by this; name the record, such as salesforce:Contact:003…")
	case len(s.Records) > 1:
		return s, steward.Errorf(steward.Conflict, "%d people are found by this; name one by record: %s", len(s.Records), listed(s.Records))
	}
	return s, nil
}

// listed names the first records.
func listed(records []steward.Ref) string {
	var names []string
	for _, ref := range records[:min(len(records), 10)] {
		names = append(names, ref.String())
	}
	if len(records) > len(names) {
		names = append(names, "and others")
	}
	return strings.Join(names, ", ")
}

// Recorded gives the name under which the ledger speaks of a record, such as salesforce:Opportunity:006…: its
// own, or where it is a person their blinded one. Of a person who isn't known, or not any more, it can't speak.
func (g *Gateway) Recorded(ctx context.Context, ws steward.WorkspaceID, spec string) (name string, known bool, err error) {
	ref, ok := steward.ParseRef(spec)
	switch {
	case !ok:
		return "", false, steward.Errorf(steward.Invalid, "name the record as the system, the object and the id, such as salesforce:Opportunity:006…")
	case g.isPerson(ref):
		return g.Privacy.Blinded(ctx, ws, ref)
	}
	return ref.Record().String(), true, nil
}

func (s *Subject) add(ref steward.Ref, record steward.Record) {
	if !slices.Contains(s.Records, ref) {
		s.Records = append(s.Records, ref)
	}
	for _, f := range record.Fields {
		// A first or last name alone would find too many others.
		if v, ok := f.Value.(string); ok && f.Sensitivity == steward.Personal && f.Of.Field != "FirstName" && f.Of.Field != "LastName" && !slices.Contains(s.Values, v) && v != "" {
			s.Values = append(s.Values, v)
		}
	}
}
