package identity_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/store"
)

// house is a Directory on real SQLite with a real keyring, with one workspace and a clock that stands
// until it is moved.
type house struct {
	*identity.Directory
	t    *testing.T
	dir  string
	now  time.Time
	keys *keyring.Keyring
	ws   steward.WorkspaceID
}

func open(t *testing.T) *house {
	t.Helper()
	ctx := context.Background()
	h := &house{t: t, dir: t.TempDir(), now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	data, err := store.OpenData(ctx, h.dir)
	h.must(err)
	t.Cleanup(func() { _ = data.Close() })
	keys, err := store.OpenKeyring(ctx, h.dir)
	h.must(err)
	t.Cleanup(func() { _ = keys.Close() })
	keeper := keyring.FileKeeper{Dir: filepath.Join(h.dir, "keeper")}
	h.must(keeper.Create(rand.Reader))
	h.keys, err = keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: keys}, Keeper: keeper, Rand: rand.Reader})
	h.must(err)
	s := store.Identity{DB: data}
	h.Directory = &identity.Directory{
		Workspaces: s, Members: s, Tokens: s, Sealer: h.keys, Now: func() time.Time { return h.now }, Rand: rand.Reader,
	}
	h.ws = h.workspace("acme").ID
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) workspace(name string) identity.Workspace {
	h.t.Helper()
	w, err := h.CreateWorkspace(context.Background(), name)
	h.must(err)
	return w
}

func (h *house) member(ws steward.WorkspaceID, email string, role steward.Role) identity.Member {
	h.t.Helper()
	m, err := h.AddMember(context.Background(), ws, email, role)
	h.must(err)
	return m
}

func (h *house) token(m identity.Member, ttl time.Duration) (string, identity.APIToken) {
	h.t.Helper()
	secret, token, err := h.IssueToken(context.Background(), h.ws, m.ID, ttl)
	h.must(err)
	return secret, token
}

// files is every byte that lies in the data folder, the write-ahead log included.
func (h *house) files() (all []byte) {
	h.t.Helper()
	h.must(filepath.WalkDir(h.dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		all = append(all, content...)
		return err
	}))
	return all
}

// refusal holds err to a kind and to words of what may be shown.
func refusal(t *testing.T, err error, kind steward.Kind, words string) {
	t.Helper()
	if err == nil || steward.KindOf(err) != kind || !strings.Contains(steward.Message(err), words) {
		t.Errorf("got %v (%v: %q), want kind %v and %q", err, steward.KindOf(err), steward.Message(err), kind, words)
	}
}

const notValid = "this token is not valid here"

func TestTokenBecomesItsMember(t *testing.T) {
	ctx := context.Background()
	h := open(t)
	for _, role := range steward.Roles() {
		m := h.member(h.ws, string(role)+"@acme.example", role)
		secret, token := h.token(m, time.Hour)
		c, err := h.Authenticate(ctx, secret)
		if err != nil {
			t.Fatal(err)
		}
		if !c.Valid() || c.Workspace() != h.ws || c.Member() != m.ID || c.Role() != role || c.Agent() != "" ||
			c.Method() != identity.ByAPIToken || c.Token() != token.ID || c.Name() != string(m.ID) {
			t.Errorf("%s signs in as %+v", role, c)
		}
		if !strings.HasPrefix(secret, identity.TokenPrefix) {
			t.Errorf("a scanner doesn't recognise %q", secret)
		}
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(secret, identity.TokenPrefix))
		if err != nil || len(raw) != 32 {
			t.Errorf("a token of %d bytes, %v", len(raw), err)
		}
	}
}

func TestRefusedTokens(t *testing.T) {
	ctx := context.Background()
	h := open(t)
	ana, bo := h.member(h.ws, "ana@acme.example", steward.Admin), h.member(h.ws, "bo@acme.example", steward.Plain)
	good, _ := h.token(ana, 2*time.Hour)
	revoked, revokedToken := h.token(ana, 2*time.Hour)
	expired, expiredToken := h.token(ana, time.Hour)
	both, bothToken := h.token(ana, time.Hour)
	removed, removedToken := h.token(bo, 2*time.Hour)
	h.must(h.Tokens.RevokeToken(ctx, h.ws, revokedToken.ID, h.now))
	h.must(h.Tokens.RevokeToken(ctx, h.ws, bothToken.ID, h.now))
	h.must(h.Members.RemoveMember(ctx, h.ws, bo.ID, h.now))
	h.now = h.now.Add(time.Hour)

	if _, err := h.Authenticate(ctx, good); err != nil {
		t.Fatal(err)
	}
	digest := []byte(good)
	digest[len(digest)-2] ^= 1
	garbage := map[string]string{
		"nothing": "", "the prefix": identity.TokenPrefix, "another prefix": "xxx_" + good[4:], "without prefix": good[4:],
		"one character off": string(digest), "cut": good[:len(good)-1], "longer": good + "A", "upper case": strings.ToUpper(good),
		"with a space": " " + good, "with a newline": good + "\n", "with a nul": good + "\x00", "not UTF-8": identity.TokenPrefix + "\xff\xfe",
		"SQL": identity.TokenPrefix + "' OR 1=1 --", "too long": identity.TokenPrefix + strings.Repeat("A", 1<<20), "just too long": good + strings.Repeat("A", 101-len(good)),
	}
	for name, secret := range garbage {
		c, err := h.Authenticate(ctx, secret)
		refusal(t, err, steward.Unauthenticated, notValid)
		var refused *identity.Refused
		if c.Valid() || errors.As(err, &refused) {
			t.Errorf("%s: %+v, %+v", name, c, refused)
		}
	}
	for _, test := range []struct {
		secret  string
		token   identity.APIToken
		why     string
		message string
	}{
		{revoked, revokedToken, "revoked", notValid},
		{both, bothToken, "revoked", notValid},
		{expired, expiredToken, "expired", "expired on 2026-11-23"},
		{removed, removedToken, "revoked", notValid},
	} {
		c, err := h.Authenticate(ctx, test.secret)
		refusal(t, err, steward.Unauthenticated, test.message)
		var refused *identity.Refused
		want := identity.Refused{Workspace: h.ws, Member: test.token.Member, Token: test.token.ID, Why: test.why}
		if c.Valid() || !errors.As(err, &refused) || *refused != want {
			t.Errorf("%+v, %+v; want %+v", c, refused, want)
		}
		if shown := err.Error() + steward.Message(err); strings.Contains(shown, test.secret) || strings.Contains(shown, test.secret[4:]) {
			t.Errorf("the error gives the token away: %s", shown)
		}
		if strings.Contains(steward.Message(err), string(test.token.ID)) {
			t.Errorf("what is shown names the token: %s", steward.Message(err))
		}
	}
}

// TestTokenWithoutItsMember is a token that was issued while its member was being removed: it is not
// revoked, and is no use.
func TestTokenWithoutItsMember(t *testing.T) {
	ctx := context.Background()
	h := open(t)
	bo := h.member(h.ws, "bo@acme.example", steward.Admin)
	secret, token := h.token(bo, time.Hour)
	row, err := h.Members.MemberByID(ctx, h.ws, bo.ID)
	h.must(err)
	h.must(h.Members.RemoveMember(ctx, h.ws, bo.ID, h.now))
	_, _, err = h.IssueToken(ctx, h.ws, bo.ID, time.Hour)
	refusal(t, err, steward.NotFound, "no such member")
	// The check above came too early: the token is there after the removal.
	h.Tokens = late{h.Tokens}
	c, err := h.Authenticate(ctx, secret)
	refusal(t, err, steward.Unauthenticated, notValid)
	var refused *identity.Refused
	if c.Valid() || !errors.As(err, &refused) || refused.Why != "member removed" || refused.Token != token.ID {
		t.Errorf("%+v, %+v", c, refused)
	}
	// Whoever has the address next is somebody else, and the token isn't theirs.
	again := h.member(h.ws, "bo@acme.example", steward.Plain)
	if again.ID == row.ID || again.Person == row.Person {
		t.Errorf("%+v came back as %+v", row, again)
	}
	if c, err := h.Authenticate(ctx, secret); err == nil {
		t.Errorf("the old token signs in %+v", c)
	}
}

// late is a store in which no token was revoked yet.
type late struct{ identity.TokenStore }

func (s late) TokenByHash(ctx context.Context, hash [32]byte) (identity.TokenRow, error) {
	row, err := s.TokenStore.TokenByHash(ctx, hash)
	row.Revoked = time.Time{}
	return row, err
}

func TestExpiryToTheMicrosecond(t *testing.T) {
	ctx := context.Background()
	h := open(t)
	ana := h.member(h.ws, "ana@acme.example", steward.Admin)
	issued := h.now
	for _, ttl := range []time.Duration{time.Microsecond, time.Hour, identity.DefaultTTL, 366 * 24 * time.Hour} {
		h.now = issued
		secret, token := h.token(ana, ttl)
		if !token.Created.Equal(issued) || !token.Expires.Equal(issued.Add(ttl)) {
			t.Errorf("issued for %v: %+v", ttl, token)
		}
		for after, good := range map[time.Duration]bool{0: true, ttl - time.Microsecond: true, ttl - time.Nanosecond: true, ttl: false, ttl + time.Nanosecond: false, 2 * ttl: false} {
			h.now = issued.Add(after)
			if _, err := h.Authenticate(ctx, secret); (err == nil) != good {
				t.Errorf("%v after a token for %v: %v", after, ttl, err)
			}
		}
	}
	for _, ttl := range []time.Duration{0, -time.Hour, 366*24*time.Hour + 1} {
		secret, _, err := h.IssueToken(ctx, h.ws, ana.ID, ttl)
		refusal(t, err, steward.Invalid, "366 days")
		if secret != "" {
			t.Errorf("a token for %v", ttl)
		}
	}
}

func TestNoTokenWithoutARecordOfIt(t *testing.T) {
	ctx := context.Background()
	h := open(t)
	ana := h.member(h.ws, "ana@acme.example", steward.Admin)
	h.Tokens = broken{h.Tokens}
	if secret, token, err := h.IssueToken(ctx, h.ws, ana.ID, time.Hour); err == nil || secret != "" || token != (identity.APIToken{}) {
		t.Errorf("%q, %+v, %v", secret, token, err)
	}
	_, err := h.Authenticate(ctx, identity.TokenPrefix+"anything")
	refusal(t, err, steward.Unavailable, "full") // not "unknown token": its owner would throw it away
	h.Rand = strings.NewReader("too short")
	if secret, _, err := h.IssueToken(ctx, h.ws, ana.ID, time.Hour); err == nil || secret != "" {
		t.Errorf("%q without randomness, %v", secret, err)
	}
}

type broken struct{ identity.TokenStore }

func (broken) AddToken(context.Context, identity.TokenRow) error {
	return steward.Errorf(steward.Unavailable, "full")
}

func (broken) TokenByHash(context.Context, [32]byte) (identity.TokenRow, error) {
	return identity.TokenRow{}, steward.Errorf(steward.Unavailable, "full")
}

func TestTokensAreNeverStored(t *testing.T) {
	h := open(t)
	ana := h.member(h.ws, "ana@acme.example", steward.Admin)
	secret, token := h.token(ana, time.Hour)
	raw, err := base64.RawURLEncoding.DecodeString(secret[len(identity.TokenPrefix):])
	h.must(err)
	files := h.files()
	if !bytes.Contains(files, []byte(token.ID)) {
		t.Fatal("the search doesn't find what is there, so it proves nothing")
	}
	for name, form := range map[string][]byte{
		"token": []byte(secret), "without prefix": []byte(secret[4:]), "bytes": raw, "hex": []byte(hex.EncodeToString(raw)),
		"half": []byte(secret[len(secret)/2:]), "standard base64": []byte(base64.StdEncoding.EncodeToString(raw)),
	} {
		if bytes.Contains(files, form) {
			t.Errorf("the %s is on disk", name)
		}
	}
}

func TestResume(t *testing.T) {
	ctx := context.Background()
	h := open(t)
	ana, bo := h.member(h.ws, "ana@acme.example", steward.Manager), h.member(h.ws, "bo@acme.example", steward.Plain)
	c, err := h.Resume(ctx, h.ws, ana.ID, steward.BuiltinAgent)
	h.must(err)
	if !c.Valid() || c.Workspace() != h.ws || c.Member() != ana.ID || c.Role() != steward.Manager || c.Agent() != steward.BuiltinAgent ||
		c.Method() != identity.ByResume || c.Token() != "" || c.Name() != string(steward.BuiltinAgent) {
		t.Errorf("resumed as %+v", c)
	}
	h.must(h.Members.RemoveMember(ctx, h.ws, bo.ID, h.now))
	other := h.workspace("other").ID
	for _, test := range []struct {
		ws steward.WorkspaceID
		m  steward.MemberID
	}{{h.ws, bo.ID}, {other, ana.ID}, {"", ana.ID}, {h.ws, ""}, {"ws_none", ana.ID}} {
		c, err := h.Resume(ctx, test.ws, test.m, steward.BuiltinAgent)
		refusal(t, err, steward.NotFound, "no such member")
		if c.Valid() || c != (identity.Caller{}) {
			t.Errorf("%v resumes as %+v", test, c)
		}
	}
}

func TestAddresses(t *testing.T) {
	ctx := context.Background()
	h := open(t)
	ana := h.member(h.ws, "Ana.Lima@Acme.example", steward.Admin)
	for _, spelled := range []string{"ana.lima@acme.example", "ANA.LIMA@ACME.EXAMPLE", " Ana.Lima@acme.example\t"} {
		got, err := h.MemberByEmail(ctx, h.ws, spelled)
		if err != nil || got.ID != ana.ID || got.Email != "Ana.Lima@Acme.example" || got.Person != ana.Person || got.Role != steward.Admin || !got.Created.Equal(h.now) {
			t.Errorf("%q finds %+v, %v", spelled, got, err)
		}
		_, err = h.AddMember(ctx, h.ws, spelled, steward.Plain)
		refusal(t, err, steward.Conflict, "member already")
	}
	if other := h.workspace("other").ID; h.member(other, "ana.lima@acme.example", steward.Plain).ID == ana.ID {
		t.Error("one member in two workspaces")
	}
	_, err := h.MemberByEmail(ctx, h.ws, "nobody@acme.example")
	refusal(t, err, steward.NotFound, "no such member")
	for _, bad := range []string{
		"", " ", "ana", "@acme.example", "ana@", "ana@acme.example, bo@acme.example", "Ana <ana@acme.example>", "<ana@acme.example>",
		"ana@acme.example (Ana)", "ana@acme.example\nBcc: x@y.example", "ana lima@acme.example", strings.Repeat("a", 250) + "@acme.example",
	} {
		_, err := h.AddMember(ctx, h.ws, bad, steward.Plain)
		refusal(t, err, steward.Invalid, "e-mail address")
	}
	for _, role := range []steward.Role{"", "root", "Admin"} {
		_, err := h.AddMember(ctx, h.ws, "bo@acme.example", role)
		refusal(t, err, steward.Invalid, "choose admin")
	}
	_, err = h.AddMember(ctx, "ws_none", "bo@acme.example", steward.Plain)
	refusal(t, err, steward.NotFound, "workspace")
	all, err := h.AllMembers(ctx, h.ws)
	if err != nil || len(all) != 1 {
		t.Errorf("what was refused was added: %+v, %v", all, err)
	}
}

func TestAddressesAreSealed(t *testing.T) {
	ctx := context.Background()
	h := open(t)
	const local, domain = "zenobia.quartermain", "unmistakable.example"
	m := h.member(h.ws, local+"@"+domain, steward.Admin)
	if got, err := h.MemberByEmail(ctx, h.ws, local+"@"+domain); err != nil || got.Email != local+"@"+domain {
		t.Fatal(got, err)
	}
	files := bytes.ToLower(h.files())
	if !bytes.Contains(files, []byte(m.ID)) {
		t.Fatal("the search doesn't find what is there, so it proves nothing")
	}
	for _, part := range []string{local, domain, "zenobia", "quartermain"} {
		if bytes.Contains(files, []byte(part)) {
			t.Errorf("%q is on disk", part)
		}
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("added", slog.Any("member", m))
	if shown := log.String(); strings.Contains(shown, "zenobia") || !strings.Contains(shown, string(m.ID)) {
		t.Errorf("the log says %s", shown)
	}
}

func TestForgottenMemberKeepsAnID(t *testing.T) {
	ctx := context.Background()
	h := open(t)
	h.now = h.now.Add(time.Second)
	ana := h.member(h.ws, "ana@acme.example", steward.Admin)
	h.now = h.now.Add(time.Second)
	bo := h.member(h.ws, "bo@acme.example", steward.Plain)
	secret, _ := h.token(ana, time.Hour)
	h.must(h.keys.Shred(ctx, h.ws, steward.PersonScope(ana.Person)))

	all, err := h.AllMembers(ctx, h.ws)
	if err != nil || len(all) != 2 || all[1] != bo {
		t.Fatalf("%+v, %v", all, err)
	}
	if want := (identity.Member{ID: ana.ID, Person: ana.Person, Role: steward.Admin, Created: ana.Created}); all[0] != want {
		t.Errorf("forgotten: %+v, want %+v", all[0], want)
	}
	if c, err := h.Authenticate(ctx, secret); err != nil || c.Member() != ana.ID {
		t.Errorf("forgetting an address is not removing a member: %+v, %v", c, err)
	}
}

// TestSealedAddressStaysInItsPlace: a row that was moved to another member doesn't open as theirs.
func TestSealedAddressStaysInItsPlace(t *testing.T) {
	ctx := context.Background()
	h := open(t)
	ana := h.member(h.ws, "ana@acme.example", steward.Admin)
	row, err := h.Members.MemberByID(ctx, h.ws, ana.ID)
	h.must(err)
	row.ID, row.Email = "mem_moved", []byte("another digest")
	h.must(h.Members.AddMember(ctx, h.ws, row))
	if all, err := h.AllMembers(ctx, h.ws); err == nil || steward.KindOf(err) != steward.Internal || strings.Contains(err.Error(), "ana@") {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestOneAddressManyAtOnce(t *testing.T) {
	ctx := context.Background()
	h := open(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var won []identity.Member
	for i := range 8 {
		wg.Go(func() {
			m, err := h.AddMember(ctx, h.ws, []string{"ana@acme.example", "ANA@acme.example"}[i%2], steward.Plain)
			if err != nil {
				refusal(t, err, steward.Conflict, "member already")
				if m != (identity.Member{}) {
					t.Errorf("refused, and given %+v", m)
				}
				return
			}
			mu.Lock()
			won = append(won, m)
			mu.Unlock()
		})
	}
	wg.Wait()
	all, err := h.AllMembers(ctx, h.ws)
	if err != nil || len(won) != 1 || len(all) != 1 || all[0] != won[0] {
		t.Errorf("%+v won, %+v are members, %v", won, all, err)
	}
}

func TestWorkspaceNames(t *testing.T) {
	ctx := context.Background()
	h := open(t)
	for name, good := range map[string]bool{
		"a": true, "7": true, "acme-emea": true, "a--b": true, "2026": true, strings.Repeat("a", 63): true,
		"": false, "-": false, "-acme": false, "acme-": false, strings.Repeat("a", 64): false, "Acme": false, "acme emea": false, "acme_emea": false,
		"acme.example": false, "acme/emea": false, "acmé": false, "acme\n": false, "acme\x00": false, "../acme": false, "%61": false, "'--": false,
	} {
		w, err := h.CreateWorkspace(ctx, name)
		if !good {
			refusal(t, err, steward.Invalid, "1 to 63 lower-case letters, digits or dashes")
			if _, err := h.FindWorkspace(ctx, name); steward.KindOf(err) != steward.NotFound {
				t.Errorf("%q was refused and is there: %v", name, err)
			}
			continue
		}
		if err != nil || w.Name != name || !w.Created.Equal(h.now) {
			t.Errorf("%q: %+v, %v", name, w, err)
		}
		for _, by := range []string{name, string(w.ID)} {
			if found, err := h.FindWorkspace(ctx, by); err != nil || found != w {
				t.Errorf("%q finds %+v, %v", by, found, err)
			}
		}
		again, err := h.CreateWorkspace(ctx, name)
		refusal(t, err, steward.Conflict, fmt.Sprintf("%q exists already", name))
		if again != (identity.Workspace{}) {
			t.Errorf("refused, and given %+v", again)
		}
	}
}

func TestAdministrators(t *testing.T) {
	ctx := context.Background()
	h := open(t)
	other := h.workspace("other").ID
	count := func(ws steward.WorkspaceID, want int) {
		t.Helper()
		if n, err := h.Administrators(ctx, ws); err != nil || n != want {
			t.Errorf("%d administrators, %v; want %d", n, err, want)
		}
	}
	count(h.ws, 0)
	for i, role := range append(steward.Roles(), steward.Admin) {
		h.member(h.ws, fmt.Sprintf("m%d@acme.example", i), role)
	}
	h.member(other, "x@acme.example", steward.Admin)
	count(h.ws, 2)
	count(other, 1)
}

func TestZeroCallerIsNobody(t *testing.T) {
	var nobody identity.Caller
	if nobody.Valid() || nobody.Through(steward.BuiltinAgent).Valid() || nobody.Workspace() != "" || nobody.Role() != "" {
		t.Errorf("the zero caller is %+v", nobody)
	}
}

func TestThroughAnAgentThereIsNoWayBack(t *testing.T) {
	ctx := context.Background()
	h := open(t)
	ana := h.member(h.ws, "ana@acme.example", steward.Admin)
	secret, _ := h.token(ana, time.Hour)
	c, err := h.Authenticate(ctx, secret)
	h.must(err)
	through := c.Through(steward.BuiltinAgent)
	if through.Agent() != steward.BuiltinAgent || through.Name() != string(steward.BuiltinAgent) || through.Member() != ana.ID || through.Role() != steward.Admin || !through.Valid() {
		t.Errorf("through an agent: %+v", through)
	}
	if c.Agent() != "" {
		t.Error("the caller itself was changed")
	}
	if through.Through("").Agent() != steward.BuiltinAgent {
		t.Error("an agent became its member")
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("asked", slog.Any("caller", through))
	if want := fmt.Sprintf(`"caller":{"workspace":"%s","caller":"agent/steward"}`, h.ws); !strings.Contains(log.String(), want) {
		t.Errorf("the log says %s, want %s", log.String(), want)
	}
}

// TestCallersAreMadeHereOnly: another package can set no field of a Caller, and what is exported gives
// one only for a token, a stored run, or another Caller.
func TestCallersAreMadeHereOnly(t *testing.T) {
	caller := reflect.TypeFor[identity.Caller]()
	if caller.NumField() == 0 {
		t.Fatal("there is nothing to protect")
	}
	for i := range caller.NumField() {
		if f := caller.Field(i); f.IsExported() || f.Anonymous {
			t.Errorf("others can set %s", f.Name)
		}
	}
	if pointer := reflect.PointerTo(caller); pointer.NumMethod() != caller.NumMethod() {
		t.Error("a method of *Caller could change one")
	}
	// Decoding must not be a way around it.
	for _, decoder := range []string{"UnmarshalJSON", "UnmarshalText", "UnmarshalBinary", "GobDecode", "Scan"} {
		if _, has := reflect.PointerTo(caller).MethodByName(decoder); has {
			t.Errorf("a Caller can be made by %s", decoder)
		}
	}
	made := map[string]bool{}
	for _, from := range []reflect.Type{caller, reflect.TypeFor[*identity.Directory]()} {
		for i := range from.NumMethod() {
			for o := range from.Method(i).Type.NumOut() {
				if from.Method(i).Type.Out(o) == caller {
					made[from.Method(i).Name] = true
				}
			}
		}
	}
	if want := map[string]bool{"Through": true, "Authenticate": true, "Resume": true}; !reflect.DeepEqual(made, want) {
		t.Errorf("callers are made by %v, want %v", made, want)
	}
}
