package credential_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/credential"
	"github.com/stewardhq/steward/internal/identity"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/store"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

var (
	noon  = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	scope = []steward.Scope{"credential/crm/mem_1/cred_1"}
)

// safe is a keep over the real store and keyring, with one member's grant in it.
type safe struct {
	credential.Keep
	of    credential.Owner
	clock atomic.Int64 // seconds after noon
	ring  *keyring.Keyring
}

func open(t *testing.T, g credential.Grant) *safe {
	t.Helper()
	data, err := store.OpenData(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return openOn(t, data, g)
}

func openOn(t *testing.T, data *store.DB, g credential.Grant) *safe {
	t.Helper()
	ctx, dir := context.Background(), t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	keys, err := store.OpenKeyring(ctx, dir)
	must(err)
	t.Cleanup(func() { _, _ = data.Close(), keys.Close() })
	keeper := keyring.FileKeeper{Dir: filepath.Join(dir, "root")}
	must(keeper.Create(rand.Reader))
	s := &safe{of: credential.Owner{Workspace: "ws_1", Connection: "crm", Member: "mem_1"}}
	s.ring, err = keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: keys}, Keeper: keeper, Rand: rand.Reader})
	must(err)
	must(store.Identity{DB: data}.AddWorkspace(ctx, identity.Workspace{ID: "ws_1", Name: "acme", Created: noon}))
	must(store.Gateway{DB: data}.PutConnection(ctx, "ws_1", credential.Connection{ID: "crm", InstanceURL: g.InstanceURL, Created: noon}))
	s.Keep = credential.Keep{
		Store: store.Gateway{DB: data}, Sealer: s.ring, Now: func() time.Time { return noon.Add(time.Duration(s.clock.Load()) * time.Second) },
	}
	s.put(t, g)
	return s
}

func (s *safe) put(t *testing.T, g credential.Grant) {
	t.Helper()
	sealed, err := s.Seal(context.Background(), s.of, scope, g)
	if err != nil {
		t.Fatal(err)
	}
	s.replace(t, sealed)
}

func (s *safe) replace(t *testing.T, sealed steward.Sealed) {
	t.Helper()
	ctx := context.Background()
	if err := s.Store.DropCredential(ctx, "ws_1", "crm", "mem_1"); err != nil {
		t.Fatal(err)
	}
	if added, err := s.Store.AddCredential(ctx, "ws_1", "crm", "mem_1", sealed); err != nil || !added {
		t.Fatal(added, err)
	}
}

func (s *safe) get(t *testing.T) credential.Grant {
	t.Helper()
	sealed, err := s.Store.Credential(context.Background(), "ws_1", "crm", "mem_1")
	if err != nil {
		t.Fatal(err)
	}
	g, err := s.Open(context.Background(), s.of, sealed)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func grant(n int) credential.Grant {
	return credential.Grant{
		AccessToken: fmt.Sprint("access-", n), RefreshToken: fmt.Sprint("refresh-", n), InstanceURL: "https://crm.example", OrgID: "org", UserID: "usr", LoginURL: "https://login.example", ClientID: "app", Issued: noon,
	}
}

// TestOneOfFiftyRenews: fifty calls whose token ran out make one renewal, and all go on with what it brought.
func TestOneOfFiftyRenews(t *testing.T) {
	ctx, s := context.Background(), open(t, grant(1))
	var renewals atomic.Int64
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			g, turn, err := s.Turn(ctx, s.of, "access-1")
			if err != nil {
				t.Error(err)
				return
			}
			if turn == nil {
				if g != grant(2) {
					t.Errorf("it was given %+v", g)
				}
				return
			}
			renewals.Add(1)
			if turn.Grant != grant(1) {
				t.Errorf("the turn is for %+v", turn.Grant)
			}
			time.Sleep(100 * time.Millisecond) // the others come meanwhile
			if stands, err := turn.End(ctx, grant(2), nil); err != nil || !stands {
				t.Errorf("%v, %v", stands, err)
			}
		})
	}
	all.Wait()
	if renewals.Load() != 1 || s.get(t) != grant(2) {
		t.Errorf("%d renewals", renewals.Load())
	}
}

// TestOneOfTwoServersRenews: the same on two servers over one database.
func TestOneOfTwoServersRenews(t *testing.T) {
	ctx, url := context.Background(), postgres.Start(t).Database(t)
	var servers [2]*store.DB
	for i := range servers {
		var err error
		if servers[i], err = (store.Postgres{URL: url}).OpenData(ctx); err != nil {
			t.Fatal(err)
		}
	}
	s := openOn(t, servers[0], grant(1))
	t.Cleanup(func() { _ = servers[1].Close() })
	other := s.Keep
	other.Store = store.Gateway{DB: servers[1]}
	var renewals atomic.Int64
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			keep := []credential.Keep{s.Keep, other}[i%2]
			g, turn, err := keep.Turn(ctx, s.of, "access-1")
			if err != nil || turn == nil && g != grant(2) {
				t.Errorf("%+v, %v", g, err)
			}
			if turn != nil {
				renewals.Add(1)
				time.Sleep(100 * time.Millisecond)
				if stands, err := turn.End(ctx, grant(2), nil); err != nil || !stands {
					t.Errorf("%v, %v", stands, err)
				}
			}
		})
	}
	all.Wait()
	if renewals.Load() != 1 {
		t.Errorf("%d renewals", renewals.Load())
	}
}

func TestTurns(t *testing.T) {
	ctx, s := context.Background(), open(t, grant(1))
	take := func(refused string) *credential.Turn {
		t.Helper()
		_, turn, err := s.Turn(ctx, s.of, refused)
		if err != nil || turn == nil {
			t.Fatalf("%v, %v", turn, err)
		}
		return turn
	}
	// A failure that may pass leaves all as it was, and the next has its turn.
	if stands, err := take("access-1").End(ctx, grant(9), steward.Errorf(steward.Upstream, "down")); err != nil || !stands || s.get(t) != grant(1) {
		t.Errorf("%v, %v, %+v", stands, err, s.get(t))
	}
	// While it is somebody's turn, others wait, no longer than they can.
	turn := take("access-1")
	short, cancel := context.WithTimeout(ctx, 120*time.Millisecond)
	defer cancel()
	if _, other, err := s.Turn(short, s.of, "access-1"); !errors.Is(err, context.DeadlineExceeded) || other != nil {
		t.Errorf("%v, %v", other, err)
	}
	// Who died is not waited for, and if it lives after all, what it brings doesn't replace what came meanwhile.
	s.clock.Add(int64(credential.Patience/time.Second) + 1)
	if stands, err := take("access-1").End(ctx, grant(2), nil); err != nil || !stands {
		t.Errorf("%v, %v", stands, err)
	}
	if stands, err := turn.End(ctx, grant(3), nil); err != nil || stands || s.get(t) != grant(2) {
		t.Errorf("%v, %v, %+v", stands, err, s.get(t))
	}
	// Nor does it what somebody connected anew.
	turn = take("access-2")
	s.put(t, grant(7))
	if stands, err := turn.End(ctx, grant(3), nil); err != nil || stands || s.get(t) != grant(7) {
		t.Errorf("%v, %v, %+v", stands, err, s.get(t))
	}
	// A refusal for good is the last one.
	if stands, err := take("access-7").End(ctx, credential.Grant{}, steward.Errorf(steward.Unauthenticated, "no")); err != nil || !stands {
		t.Errorf("%v, %v", stands, err)
	}
	if g := s.get(t); g.RefreshToken != "" || g.AccessToken != "access-7" || g.Renewable() {
		t.Errorf("%+v", g)
	}
	_, turn, err := s.Turn(ctx, s.of, "access-7")
	if steward.KindOf(err) != steward.Unauthenticated || turn != nil || !strings.Contains(steward.Message(err), "steward connect crm") {
		t.Errorf("%v, %v", turn, err)
	}
	// Where somebody disconnected during a turn, nothing comes back.
	s.put(t, grant(1))
	turn = take("access-1")
	if err := s.ring.Shred(ctx, "ws_1", scope...); err != nil {
		t.Fatal(err)
	}
	if stands, err := turn.End(ctx, grant(2), nil); steward.KindOf(err) != steward.Gone || stands {
		t.Errorf("%v, %v", stands, err)
	}
	if err := s.Store.DropCredential(ctx, "ws_1", "crm", "mem_1"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Turn(ctx, s.of, "access-1"); steward.KindOf(err) != steward.NotFound {
		t.Error(err)
	}
}

// TestOldCredentialsOpen: what was sealed before there were refresh tokens opens, and can't be renewed.
func TestOldCredentialsOpen(t *testing.T) {
	ctx, s := context.Background(), open(t, grant(1))
	old, err := s.Sealer.Seal(ctx, s.of.Place(), scope, []byte(`{"access_token":"pasted","user_id":"usr","instance_url":"https://crm.example"}`))
	if err != nil {
		t.Fatal(err)
	}
	s.replace(t, old)
	if g := s.get(t); g != (credential.Grant{AccessToken: "pasted", UserID: "usr", InstanceURL: "https://crm.example"}) || g.Renewable() {
		t.Errorf("%#v", g.AccessToken)
	}
	if _, turn, err := s.Turn(ctx, s.of, "pasted"); steward.KindOf(err) != steward.Unauthenticated || turn != nil {
		t.Errorf("%v, %v", turn, err)
	}
}

func TestGrantsAreNeverPrinted(t *testing.T) {
	g := grant(1)
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", slog.Any("grant", g))
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s %q %d", g, g, g, g, g, g), fmt.Sprint(&g, []credential.Grant{g}, struct{ G credential.Grant }{g}), logged.String()} {
		if strings.Contains(text, "access-1") || strings.Contains(text, "refresh-1") || !strings.Contains(text, "crm.example") {
			t.Errorf("it prints %q", text)
		}
	}
}
