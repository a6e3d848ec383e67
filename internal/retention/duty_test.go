package retention_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/tlog"
	"github.com/stewardhq/steward/internal/retention"
	"github.com/stewardhq/steward/internal/retention/custody"
	"github.com/stewardhq/steward/internal/store/storetest/postgres"
)

// duties gives all of the workspace's.
func (h *house) duties() []retention.Duty {
	h.t.Helper()
	all, err := h.List(context.Background(), ws)
	h.must(err)
	return all
}

// certificates gives those issued, each found signed by the log's key, without anything personal, and on record.
func (h *house) certificates() []retention.Signed {
	h.t.Helper()
	ctx := context.Background()
	all, err := h.Issuer.Certificates.Certificates(ctx, ws)
	h.must(err)
	cp, err := h.Ledger.Checkpoint(ctx, ws)
	h.must(err)
	for _, s := range all {
		text, err := tlog.CheckAttested(s.Note, cp.Key)
		h.must(err)
		c, err := retention.ParseCertificate(text)
		h.must(err)
		want, err := json.Marshal(s.Certificate)
		h.must(err)
		if got, err := json.Marshal(c); err != nil || string(got) != string(want) {
			h.t.Errorf("it says\n%s and is signed as\n%s, %v", want, got, err)
		}
		if _, err := tlog.CheckAttested(strings.Replace(s.Note, string(c.Requester), "mem_eve", 1), cp.Key); err == nil {
			h.t.Error("somebody else's name passes for signed")
		}
		if _, err := tlog.CheckSigned(s.Note, cp.Key); err == nil {
			h.t.Error("a certificate passes for a checkpoint")
		}
		for _, value := range append([]string{"Maria", "golf", maria.ID}, names...) {
			if strings.Contains(s.Note, value) && !strings.Contains(s.Note, "person/"+value) { // the drawers' persons are named like their records
				h.t.Errorf("it holds %q:\n%s", value, s.Note)
			}
		}
		onRecord := 0
		h.must(h.Ledger.Read(ctx, ws, ledger.Query{Kind: ledger.CertificateIssued, Target: "sha256:" + s.Digest()}, func(ledger.Header) error {
			onRecord++
			return nil
		}))
		if onRecord != 1 {
			h.t.Errorf("it is on record %d times", onRecord)
		}
	}
	return all
}

func TestACertificate(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		h := openOn(t, on)
		asked := h.now
		erasure, err := h.Erase(context.Background(), request(maria))
		h.must(err)
		all := h.certificates()
		if len(all) != 1 || all[0].Certificate.ID != erasure.Certificate || erasure.State != retention.Complete || !erasure.Due.Equal(asked.AddDate(0, 0, 21)) {
			t.Fatalf("%+v\n%+v", erasure, all)
		}
		c := all[0].Certificate
		if c.Of != string(erasure.ID) || c.Requester != "mem_ada" || c.Approver != "" || !c.Asked.Equal(asked) || !c.Unreadable.Equal(asked) || !c.Complete.Equal(asked) ||
			!slices.Equal(c.Scopes, []steward.Scope{"person/003MARIA"}) || c.Verified != (retention.Verified{Boxes: 2, Scopes: 1}) ||
			!slices.Equal(c.Elsewhere, []steward.ConnectionID{"salesforce"}) || !strings.Contains(c.Method, "NIST SP 800-88") || c.Version != "v1.2.3" ||
			!slices.Contains(c.Found, retention.Count{What: "drawer values", Number: 1}) {
			t.Errorf("%+v", c)
		}
		if duties := h.duties(); len(duties) != 1 || duties[0].State != retention.Complete || duties[0].About != nil || len(duties[0].Sealed.Box) > 0 {
			t.Errorf("%+v", duties)
		}
		if alive, err := h.Keyring.Alive(context.Background(), ws, steward.DutyScope(erasure.ID)); err != nil || alive {
			t.Errorf("whom it was about can still be opened: %v", err)
		}
		h.must(h.CarryOut(context.Background(), ws))
		if again := h.certificates(); len(again) != 1 {
			t.Errorf("%d certificates", len(again))
		}
	})
}

// With a keeper of which there are backups, the certificate waits for them to be gone, by a clock that is trusted.
func TestACertificateWaitsForTheKeeper(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		ctx := context.Background()
		h := openOn(t, on)
		h.horizon = 7 * 24 * time.Hour
		erasure, err := h.Erase(ctx, request(maria))
		h.must(err)
		if erasure.Status != "forgotten" || erasure.State != retention.Removed || erasure.Certificate != "" || h.drawers[0].reads(maria) {
			t.Errorf("%+v", erasure)
		}
		h.now = h.now.Add(h.horizon - time.Second)
		h.must(h.CarryOut(ctx, ws))
		if all := h.certificates(); len(all) > 0 {
			t.Errorf("certified early: %+v", all)
		}
		h.now = h.now.Add(time.Second)
		h.stopped = errors.New("the clock is ahead")
		if err := h.CarryOut(ctx, ws); !errors.Is(err, h.stopped) || len(h.certificates()) > 0 {
			t.Errorf("certified by a clock that isn't trusted: %v", err)
		}
		h.stopped = nil
		h.must(h.CarryOut(ctx, ws))
		if all := h.certificates(); len(all) != 1 || !all[0].Certificate.Complete.Equal(all[0].Certificate.Unreadable.Add(h.horizon)) {
			t.Errorf("%+v", all)
		}
	})
}

// Who was forgotten and is met again is forgotten again, though the first time isn't certified yet.
func TestWhoIsMetAgainBeforeTheCertificate(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		ctx := context.Background()
		h := openOn(t, on)
		h.horizon = 7 * 24 * time.Hour
		first, err := h.Erase(ctx, request(maria))
		h.must(err)
		h.drawers[0].keepAs("met_again", maria, "Maria is back")
		second, err := h.Erase(ctx, request(maria))
		h.must(err)
		if second.Status != "forgotten" || second.ID == first.ID || second.Found.Values != 1 || h.drawers[0].reads(maria) {
			t.Errorf("she is said to be forgotten, and reads %v: %+v", h.drawers[0].reads(maria), second)
		}
		h.now = h.now.Add(h.horizon)
		h.must(h.CarryOut(ctx, ws))
		if all := h.certificates(); len(all) != 2 || all[0].Certificate.Of == all[1].Certificate.Of {
			t.Errorf("%+v", all)
		}
	})
}

func TestAnErasureUnderAHoldIsCarriedOutOnceItIsReleased(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		ctx := context.Background()
		h := openOn(t, on)
		for i, id := range []string{"hold_1", "hold_2"} {
			h.must(h.Custody.Place(ctx, ws, custody.Hold{ID: id, On: custody.OnWorkspace, Ground: fmt.Sprint("case-", i), By: "mem_ada", Since: h.now.Add(time.Duration(i))}, custody.Matter{}))
		}
		erasure, err := h.Erase(ctx, request(maria))
		h.must(err)
		if erasure.Status != "deferred" || erasure.Deferred.Hold != "hold_1" || erasure.Deferred.Ground != "case-0" || erasure.Keys != 0 || !h.drawers[0].reads(maria) {
			t.Fatalf("%+v", erasure)
		}
		raw, err := json.Marshal(h.duties())
		h.must(err)
		if sealed := h.duties()[0].Sealed.Box; len(sealed) == 0 || bytes.Contains(sealed, []byte("Maria")) || bytes.Contains(raw, []byte("Maria")) {
			t.Errorf("what is kept of a duty says who it is about: %s", raw)
		}
		again, err := h.Erase(ctx, request(maria))
		h.must(err)
		if again.ID != erasure.ID || again.Status != "deferred" {
			t.Errorf("asked again: %+v", again)
		}
		h.must(h.Custody.Release(ctx, ws, "hold_1"))
		h.must(h.CarryOut(ctx, ws))
		if d := h.duties(); d[0].Hold != "hold_2" || !h.drawers[0].reads(maria) {
			t.Errorf("under the other hold: %+v", d)
		}
		// Past its due date it is shouted about, and once on record.
		h.now = h.now.AddDate(0, 0, 31)
		for range 2 {
			h.must(h.CarryOut(ctx, ws))
		}
		if got := strings.Count(h.log.String(), "level=ERROR msg=\"an erasure is OVERDUE\""); got != 2 || !h.duties()[0].Overdue {
			t.Errorf("shouted %d times:\n%s", got, h.log.String())
		}
		// What is kept by now goes too.
		h.drawers[1].keep(maria, "Maria plays on Sundays")
		h.must(h.Custody.Release(ctx, ws, "hold_2"))
		h.must(h.CarryOut(ctx, ws))
		if h.drawers[0].reads(maria) || h.drawers[1].reads(maria) || !h.drawers[0].reads(tomas) {
			t.Error("it isn't carried out")
		}
		if all := h.certificates(); len(all) != 1 || all[0].Certificate.Hold != "case-1" || all[0].Certificate.Of != string(erasure.ID) {
			t.Errorf("%+v", all)
		}
		want := append([]ledger.Kind{ledger.ErasureDeferred, ledger.ErasureDeferred, ledger.ErasureOverdue}, done...)
		if got := h.recorded(); !slices.Equal(got, want) {
			t.Errorf("on record: %v", got)
		}
	})
}

func TestWhatStillOpensIsNotCertified(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		ctx := context.Background()
		h := openOn(t, on)
		h.drawers[1].keeps = true
		erasure, err := h.Erase(ctx, request(maria))
		if steward.KindOf(err) != steward.Internal || erasure.Status == "forgotten" {
			t.Fatalf("%+v, %v", erasure, err)
		}
		h.now = h.now.AddDate(0, 0, 31)
		if err := h.CarryOut(ctx, ws); steward.KindOf(err) != steward.Internal || len(h.certificates()) > 0 {
			t.Errorf("certified: %v", err)
		}
		if !strings.Contains(h.log.String(), "OVERDUE") || !slices.Contains(h.recorded(), ledger.ErasureOverdue) {
			t.Errorf("nobody is told:\n%s", h.log.String())
		}
		_, err = h.Issuer.Sign(ctx, retention.Certificate{Workspace: ws, Of: "era_1", Verified: retention.Verified{Boxes: 2, Opened: 1}})
		if steward.KindOf(err) != steward.Conflict {
			t.Errorf("signed that something opened: %v", err)
		}
		h.drawers[1].keeps = false
		h.must(h.CarryOut(ctx, ws))
		if all := h.certificates(); len(all) != 1 {
			t.Errorf("%d certificates", len(all))
		}
	})
}

var errKilled = errors.New("killed")

// steps dies at one of the moments between two things that an erasure does, and does nothing more then.
type steps struct {
	die, at int
}

// step is before and behind something.
func (s *steps) step(do func() error) error {
	for i := range 2 {
		s.at++
		if s.die > 0 && s.at >= s.die {
			return errKilled
		}
		if i == 0 {
			if err := do(); err != nil {
				return err
			}
		}
	}
	return nil
}

// The stores and forgetters of an erasure that dies.
type (
	dyingDuties struct {
		kept retention.Duties
		*steps
	}
	dyingCertificates struct {
		kept retention.Certificates
		*steps
	}
	dyingForgetter struct {
		retention.Forgetter
		*steps
	}
)

func (d dyingDuties) Ask(ctx context.Context, ws steward.WorkspaceID, duty retention.Duty) (kept retention.Duty, err error) {
	err = d.step(func() error { kept, err = d.kept.Ask(ctx, ws, duty); return err })
	return kept, err
}

func (d dyingDuties) Duties(ctx context.Context, ws steward.WorkspaceID) ([]retention.Duty, error) {
	return d.kept.Duties(ctx, ws)
}

func (d dyingDuties) Save(ctx context.Context, ws steward.WorkspaceID, duty retention.Duty) error {
	return d.step(func() error { return d.kept.Save(ctx, ws, duty) })
}

func (d dyingCertificates) Keep(ctx context.Context, ws steward.WorkspaceID, s retention.Signed) (kept retention.Signed, err error) {
	err = d.step(func() error { kept, err = d.kept.Keep(ctx, ws, s); return err })
	return kept, err
}

func (d dyingCertificates) Certificates(ctx context.Context, ws steward.WorkspaceID) (all []retention.Signed, err error) {
	err = d.step(func() error { all, err = d.kept.Certificates(ctx, ws); return err })
	return all, err
}

func (d dyingForgetter) Try(ctx context.Context, ws steward.WorkspaceID, f retention.Found) (there, opened int, err error) {
	err = d.step(func() error { there, opened, err = d.Forgetter.Try(ctx, ws, f); return err })
	return there, opened, err
}

func (d dyingForgetter) Drop(ctx context.Context, ws steward.WorkspaceID, s retention.Subject, f retention.Found) error {
	return d.step(func() error { return d.Forgetter.Drop(ctx, ws, s, f) })
}

// Whatever moment it dies at, what was agreed is carried out by who comes next: right, and once.
// A hold that comes after an erasure was begun, and before it destroyed anything, is heeded.
func TestAHoldThatComesBeforeAnythingIsDestroyed(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		ctx := context.Background()
		h := openOn(t, on)
		kept := h.Duties
		h.Duties = dyingDuties{kept, &steps{die: 4}} // what goes is named, and nothing gone
		if _, err := h.Erase(ctx, request(maria)); !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		h.Duties = kept
		h.must(h.Custody.Place(ctx, ws, custody.Hold{ID: "hold_1", On: custody.OnWorkspace, Ground: "case-1", By: "mem_ada", Since: h.now}, custody.Matter{}))
		h.must(h.CarryOut(ctx, ws))
		if d := h.duties(); d[0].State != retention.Deferred || d[0].Hold != "hold_1" || !h.drawers[0].reads(maria) {
			t.Errorf("%+v", d)
		}
		h.must(h.Custody.Release(ctx, ws, "hold_1"))
		h.must(h.CarryOut(ctx, ws))
		if h.drawers[0].reads(maria) || len(h.certificates()) != 1 {
			t.Errorf("it isn't carried out: %+v", h.duties())
		}
	})
}

func TestDyingAtAnyMoment(t *testing.T) {
	onBoth(t, func(t *testing.T, on *postgres.Server) {
		ctx := context.Background()
		h := openOn(t, on)
		duties, certificates, forgetters := h.Duties, h.Issuer.Certificates, h.Forgetters
		dies := func(s *steps) {
			h.keeper = s
			h.Duties, h.Issuer.Certificates, h.Forgetters = dyingDuties{duties, s}, dyingCertificates{certificates, s}, nil
			for _, f := range forgetters {
				h.Forgetters = append(h.Forgetters, dyingForgetter{f, s})
			}
		}
		moments, next := 0, uint64(0)
		for die := 1; ; die++ {
			who := steward.Ref{Connection: "salesforce", Object: "Contact", ID: fmt.Sprint("003DIES", die)}
			for _, d := range h.drawers {
				d.keep(who, "likes golf")
			}
			killed := &steps{die: die}
			dies(killed)
			_, _ = h.Erase(ctx, request(who))
			dies(&steps{})
			if killed.at < die {
				moments = die
			}
			if die == 1 && len(h.duties()) > 0 { // before it was kept there is nothing to carry out
				t.Fatalf("%+v", h.duties())
			}
			if die == 1 {
				_, err := h.Erase(ctx, request(who))
				h.must(err)
			}
			h.must(h.CarryOut(ctx, ws))
			for i, d := range h.drawers {
				if d.reads(who) || d.notes[who.ID].Box != nil {
					t.Errorf("died at moment %d: drawer %d still has it", die, i)
				}
			}
			var got []ledger.Kind
			h.must(h.Ledger.Read(ctx, ws, ledger.Query{From: next}, func(e ledger.Header) error {
				got, next = append(got, e.Kind), e.Seq+1
				return nil
			}))
			if !slices.Equal(got, done) {
				t.Errorf("died at moment %d: on record %v", die, got)
			}
			all, err := certificates.Certificates(ctx, ws)
			h.must(err)
			list := h.duties()
			if last := list[len(list)-1]; len(all) != die || len(list) != die || slices.ContainsFunc(list, func(d retention.Duty) bool { return d.State != retention.Complete || d.Certificate == "" }) {
				t.Errorf("died at moment %d: %d certificates, %d duties, %+v", die, len(all), len(list), last)
			}
			if t.Failed() || moments > 0 {
				break
			}
		}
		h.certificates()
		h.recorded()
		if !t.Failed() && moments < 30 {
			t.Errorf("there are %d moments only", moments)
		}
	})
}
