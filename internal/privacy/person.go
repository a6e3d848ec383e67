package privacy

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/privacy/recognise"
)

// digest names a record in the index of persons: nobody without the workspace's secret can tell which
// records are in it.
func (v *Vault) digest(ctx context.Context, ws steward.WorkspaceID, record steward.Ref) (string, error) {
	key, err := v.Sealer.Derive(ctx, ws, steward.WorkspaceScope, "person-index")
	if err != nil {
		return "", err
	}
	return keyed(key, record), nil
}

func keyed(key [32]byte, record steward.Ref) string {
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte(record.Record().String()))
	return hex.EncodeToString(mac.Sum(nil))
}

// Person is the person a record is about, if one is known.
func (v *Vault) Person(ctx context.Context, ws steward.WorkspaceID, record steward.Ref) (steward.PersonID, bool, error) {
	digest, err := v.digest(ctx, ws, record)
	if err != nil {
		return "", false, err
	}
	known, err := v.Persons.People(ctx, ws, []string{digest})
	if err != nil {
		return "", false, err
	}
	person, ok := known[digest]
	return person, ok, nil
}

// people gives the persons of records, and makes those that are new.
func (v *Vault) people(ctx context.Context, ws steward.WorkspaceID, records []steward.Ref) (map[steward.Ref]steward.PersonID, error) {
	people := make(map[steward.Ref]steward.PersonID, len(records))
	if len(records) == 0 {
		return people, nil
	}
	digestOf, all := map[steward.Ref]string{}, []string{}
	for _, record := range records {
		if digestOf[record] != "" {
			continue
		}
		digest, err := v.digest(ctx, ws, record)
		if err != nil {
			return nil, err
		}
		digestOf[record] = digest
		all = append(all, digest)
	}
	known, err := v.Persons.People(ctx, ws, all)
	if err != nil {
		return nil, err
	}
	fresh := map[string]steward.PersonID{}
	for _, digest := range all {
		person, ok := known[digest]
		if ok {
			// A row may outlive its person: a crash came while they were forgotten, or an old row was restored.
			forgotten, err := v.forgotten(ctx, ws, person)
			if err != nil {
				return nil, err
			}
			if forgotten {
				if err := v.Persons.DropPerson(ctx, ws, person); err != nil {
					return nil, err
				}
			}
			ok = !forgotten
		}
		if !ok {
			fresh[digest] = steward.PersonID(steward.NewID(v.Rand, "per"))
		}
	}
	if len(fresh) > 0 {
		added, err := v.Persons.AddPeople(ctx, ws, fresh)
		if err != nil {
			return nil, err
		}
		for digest, person := range added {
			known[digest] = person
		}
	}
	for record, digest := range digestOf {
		people[record] = known[digest]
	}
	return people, nil
}

// forgotten tells whether a person's key was destroyed.
func (v *Vault) forgotten(ctx context.Context, ws steward.WorkspaceID, person steward.PersonID) (bool, error) {
	_, err := v.Sealer.Derive(ctx, ws, steward.PersonScope(person), "blind")
	if err != nil && steward.KindOf(err) == steward.Gone {
		return true, nil
	}
	return false, err
}

// Blind names a person's record without its id, "salesforce:Contact:~<24 hex>": the same each time for
// as long as the person is known, and nothing that could be computed again once they are forgotten. A
// person not known yet becomes known.
func (v *Vault) Blind(ctx context.Context, ws steward.WorkspaceID, record steward.Ref) (string, error) {
	people, err := v.people(ctx, ws, []steward.Ref{record.Record()})
	if err != nil {
		return "", err
	}
	return v.blind(ctx, ws, people[record.Record()], record)
}

// Blinded is Blind for whoever only asks: somebody who isn't known, or not any more, stays so.
func (v *Vault) Blinded(ctx context.Context, ws steward.WorkspaceID, record steward.Ref) (name string, known bool, err error) {
	person, known, err := v.Person(ctx, ws, record)
	if err != nil || !known {
		return "", false, err
	}
	name, err = v.blind(ctx, ws, person, record)
	if err != nil && steward.KindOf(err) == steward.Gone {
		return "", false, nil
	}
	return name, err == nil, err
}

func (v *Vault) blind(ctx context.Context, ws steward.WorkspaceID, person steward.PersonID, record steward.Ref) (string, error) {
	key, err := v.Sealer.Derive(ctx, ws, steward.PersonScope(person), "blind")
	if err != nil {
		return "", err
	}
	record = record.Record()
	record.ID = "~" + keyed(key, record)[:24]
	return record.String(), nil
}

// Mentions finds what forgetting a person would destroy: all that is sealed under their scope, and
// every kept value and text in which one of the values stands (names by their words, whatever the
// case; numbers by their digits; the rest as it is, whatever the case). It opens every kept value of
// the workspace; what no longer opens is passed over. Give it all that the person is known by. For
// somebody of whom no record was met, person is "": then only the values are searched for.
func (v *Vault) Mentions(ctx context.Context, ws steward.WorkspaceID, person steward.PersonID, values []string) (Mention, error) {
	m := Mention{Person: person}
	if person != "" {
		m.Scopes = []steward.Scope{steward.PersonScope(person)}
	}
	for _, value := range values {
		if !utf8.ValidString(value) || len(words(value)) == 0 {
			return Mention{}, steward.Errorf(steward.Invalid, "there is nothing to search for in one of the values; leave it out")
		}
	}
	err := v.Store.WalkTokens(ctx, ws, Wanted{Person: person}, func(row Row) error {
		theirs := person != "" && row.Person() == person
		if !theirs {
			s, err := v.unseal(ctx, ws, row)
			if steward.KindOf(err) == steward.Gone {
				return nil
			}
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(values, func(value string) bool { return Mentions(s.Value, value) }) {
				return nil
			}
		}
		switch row.Kind {
		case Text:
			m.Texts++
		case Value:
			m.Values++
		default:
			m.References++
		}
		if row.Kind == Linked || !theirs {
			// A linked token's first key is destroyed when it is linked; here again, for a crash between.
			m.Scopes = append(m.Scopes, steward.ItemScope(row.ID))
		}
		m.Tokens = append(m.Tokens, row.ID)
		return nil
	})
	if err != nil {
		return Mention{}, err
	}
	return m, nil
}

// Opens tries to open tokens by their ids: how many still hold something, and how many of those open.
func (v *Vault) Opens(ctx context.Context, ws steward.WorkspaceID, ids []string) (there, opened int, err error) {
	if len(ids) == 0 {
		return 0, 0, nil
	}
	err = v.Store.WalkTokens(ctx, ws, Wanted{IDs: ids}, func(row Row) error {
		there++
		_, err := v.unseal(ctx, ws, row)
		if err == nil {
			opened++
		} else if steward.KindOf(err) == steward.Gone {
			err = nil
		}
		return err
	})
	return there, opened, err
}

// Mentions says that a value stands in a text: a name as whole words, whatever the case, a phone number however it is
// written, an e-mail address.
func Mentions(text, value string) bool {
	if d := recognise.Digits(value); len(d) >= recognise.MinPhone && !strings.ContainsFunc(value, unicode.IsLetter) {
		return strings.Contains(runTogether(text), d[max(0, len(d)-10):])
	}
	if strings.ContainsRune(value, '@') {
		return strings.Contains(strings.ToLower(text), strings.ToLower(value))
	}
	want, have := words(value), words(text)
	for i := 0; i+len(want) <= len(have); i++ {
		if slices.Equal(have[i:i+len(want)], want) {
			return true
		}
	}
	return false
}

// runTogether leaves out of a text what may stand between the digits of a number.
func runTogether(text string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -./()\u00a0", r) {
			return -1
		}
		return r
	}, text)
}

// Forget empties the rows of what was mentioned and drops the links from records to the person, so that
// the same record met again is about somebody new. Shred m.Scopes first: until Forget is done Person
// still finds the person, so after a crash Mentions, the shredding and Forget done again finish it;
// the other way round a crash would leave keys that nobody could find.
func (v *Vault) Forget(ctx context.Context, ws steward.WorkspaceID, person steward.PersonID, m Mention) error {
	if m.Person != person {
		return steward.Errorf(steward.Internal, "what was found belongs to another person; nothing was forgotten")
	}
	if err := v.Store.EmptyTokens(ctx, ws, m.Tokens); err != nil {
		return err
	}
	// Whom a run has met again meanwhile is somebody new, and stays.
	if forgotten, err := v.forgotten(ctx, ws, person); err != nil || !forgotten {
		return err
	}
	return v.Persons.DropPerson(ctx, ws, person)
}
