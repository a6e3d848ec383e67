package forgetting

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/retention"
	"github.com/stewardhq/steward/internal/store/database"
)

// Requests is requests to forget somebody that wait: a retention.Requests.
type Requests struct{ Rows }

var (
	_ retention.Requests     = Requests{}
	_ retention.Duties       = Duties{}
	_ retention.Certificates = Rows{}
)

// Ask implements retention.Requests.
func (r Requests) Ask(ctx context.Context, ws steward.WorkspaceID, a retention.Asked) (retention.Asked, error) {
	var at int64
	err := r.DB.Update(ctx, database.Within(ws), func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO erasures_asked (workspace, id, member, about, asked) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (workspace, about) DO NOTHING`, ws, a.ID, a.By, a.About, a.At.UnixMicro()); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT id, member, asked FROM erasures_asked WHERE workspace = $1 AND about = $2`, ws, a.About).
			Scan(&a.ID, &a.By, &at)
	})
	a.At = time.UnixMicro(at).UTC()
	return a, err
}

// Settle implements retention.Requests.
func (r Requests) Settle(ctx context.Context, ws steward.WorkspaceID, id steward.ErasureID) error {
	_, err := r.DB.Exec(ctx, database.Within(ws), `DELETE FROM erasures_asked WHERE workspace = $1 AND id = $2`, ws, id)
	return err
}

// Waiting implements retention.Requests.
func (r Requests) Waiting(ctx context.Context, ws steward.WorkspaceID) (all []retention.Asked, err error) {
	err = r.DB.Query(ctx, database.Within(ws), func(scan func(...any) error) error {
		var a retention.Asked
		var at int64
		err := scan(&a.ID, &a.By, &a.About, &at)
		a.At = time.UnixMicro(at).UTC()
		all = append(all, a)
		return err
	}, `SELECT id, member, about, asked FROM erasures_asked WHERE workspace = $1 ORDER BY asked, id`, ws)
	return all, err
}

// Duties is erasures that are agreed on: a retention.Duties.
type Duties struct{ Rows }

const selectDuties = `SELECT about, body, scopes, box FROM duties WHERE workspace = $1 `

func scanDuty(scan func(...any) error) (d retention.Duty, err error) {
	var body []byte
	var scopes string
	if err := scan(&d.About, &body, &scopes, &d.Sealed.Box); err != nil {
		return d, err
	}
	d.Sealed.Scopes = steward.ParseScopes(scopes)
	if len(d.Sealed.Box) == 0 {
		d.Sealed.Box = nil
	}
	return d, malformed(json.Unmarshal(body, &d))
}

// Ask implements retention.Duties.
func (r Duties) Ask(ctx context.Context, ws steward.WorkspaceID, d retention.Duty) (retention.Duty, error) {
	body, err := json.Marshal(d)
	if err != nil {
		return d, fmt.Errorf("duty: %w", err)
	}
	err = r.DB.Update(ctx, database.Within(ws), func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO duties (workspace, id, asked, about, body, scopes, box) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (workspace, about) DO NOTHING`, ws, d.ID, d.Asked.UnixMicro(), d.About, body, d.Sealed.ScopeList(), d.Sealed.Box); err != nil {
			return err
		}
		d, err = scanDuty(tx.QueryRowContext(ctx, selectDuties+`AND about = $2`, ws, d.About).Scan)
		return err
	})
	return d, err
}

// Save implements retention.Duties.
func (r Duties) Save(ctx context.Context, ws steward.WorkspaceID, d retention.Duty) error {
	body, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("duty: %w", err)
	}
	n, err := r.DB.Exec(ctx, database.Within(ws), `UPDATE duties SET about = $1, body = $2, scopes = $3, box = $4 WHERE workspace = $5 AND id = $6`,
		d.About, body, d.Sealed.ScopeList(), append([]byte{}, d.Sealed.Box...), ws, d.ID)
	if err == nil && n == 0 {
		err = errors.New("duty: there is none to save")
	}
	return err
}

// Duties implements retention.Duties.
func (r Duties) Duties(ctx context.Context, ws steward.WorkspaceID) (all []retention.Duty, err error) {
	err = r.DB.Query(ctx, database.Within(ws), func(scan func(...any) error) error {
		d, err := scanDuty(scan)
		all = append(all, d)
		return err
	}, selectDuties+`ORDER BY asked, id`, ws)
	return all, err
}

// Keep implements retention.Certificates.
func (r Rows) Keep(ctx context.Context, ws steward.WorkspaceID, s retention.Signed) (retention.Signed, error) {
	body, err := json.Marshal(s)
	if err != nil {
		return s, fmt.Errorf("certificate: %w", err)
	}
	err = r.DB.Update(ctx, database.Within(ws), func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO certificates (workspace, subject, issued, body) VALUES ($1, $2, $3, $4)
			ON CONFLICT (workspace, subject) DO NOTHING`, ws, s.Certificate.Of, s.Certificate.Issued.UnixMicro(), body); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT body FROM certificates WHERE workspace = $1 AND subject = $2`, ws, s.Certificate.Of).Scan(&body)
	})
	if err != nil {
		return s, err
	}
	s = retention.Signed{}
	return s, malformed(json.Unmarshal(body, &s))
}

// Certificates implements retention.Certificates.
func (r Rows) Certificates(ctx context.Context, ws steward.WorkspaceID) (all []retention.Signed, err error) {
	err = r.DB.Query(ctx, database.Within(ws), func(scan func(...any) error) error {
		var body []byte
		if err := scan(&body); err != nil {
			return err
		}
		var s retention.Signed
		err := malformed(json.Unmarshal(body, &s))
		all = append(all, s)
		return err
	}, `SELECT body FROM certificates WHERE workspace = $1 ORDER BY issued, subject`, ws)
	return all, err
}

// malformed says of stored JSON that can't be read what to do.
func malformed(err error) error {
	if err == nil {
		return nil
	}
	return steward.Errorf(steward.Internal, "what is stored of an erasure can't be read; put a backup back").Because(err)
}
