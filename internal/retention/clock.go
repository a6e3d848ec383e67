package retention

import (
	"context"
	"log/slog"
	"time"

	"github.com/stewardhq/steward"
)

// What is purged early can't be had back, so the purger goes by a clock only while it fits what it saw last. That is
// kept with the data: a server that starts with a wrong clock is found out too.
const (
	clockAhead = 7 * 24 * time.Hour
	clockBack  = time.Hour
)

// Restored is what Settings.Seen gives once data was put back from a backup.
func Restored() time.Time { return time.Unix(0, 0).UTC() }

// Stopped is of kind Unavailable, and says why, while nothing is purged until somebody confirms that it may be:
// since the clock is further ahead than a pause of the server explains, or since the data was put back.
func (s *Schedule) Stopped(ctx context.Context, ws steward.WorkspaceID) error {
	seen, known, err := s.Settings.Seen(ctx, ws)
	if err != nil || !known {
		return err
	}
	return fits(seen, s.Now())
}

func fits(seen, now time.Time) error {
	switch {
	case seen.Equal(Restored()):
		return steward.Errorf(steward.Unavailable, "nothing is purged, since the data was put back from a backup: place again the holds, and set again the days, that came after it, then say `steward retention --confirm`")
	case now.Sub(seen) > clockAhead:
		return steward.Errorf(steward.Unavailable, "nothing is purged, since the clock is %d days ahead of when it was looked at last; check it, then say `steward retention --confirm`", int(now.Sub(seen)/(24*time.Hour)))
	case seen.Sub(now) > clockBack:
		return steward.Errorf(steward.Unavailable, "nothing is purged, since the clock is behind what it was; set it right")
	}
	return nil
}

// Confirm says that the clock is right, and that holds and days are as they should be.
func (s *Schedule) Confirm(ctx context.Context, ws steward.WorkspaceID) error {
	return s.Settings.See(ctx, ws, s.Now())
}

// every does something at the start and after each pause, until ctx ends.
func every(ctx context.Context, pause time.Duration, log *slog.Logger, what string, do func(context.Context) error) {
	for wait := time.Duration(0); ; wait = pause {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if err := do(ctx); err != nil && ctx.Err() == nil {
			log.Error("what is done now and then failed", slog.String("what", what), slog.Any("error", err))
		}
	}
}
