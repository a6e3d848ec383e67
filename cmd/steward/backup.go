package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/report"
	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/backup"
	"github.com/stewardhq/steward/internal/backup/rejoin"
	"github.com/stewardhq/steward/internal/blob"
	"github.com/stewardhq/steward/internal/config"
	"github.com/stewardhq/steward/internal/egress"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/ledger/segment"
	"github.com/stewardhq/steward/internal/ledger/tlog"
	"github.com/stewardhq/steward/internal/retention"
	"github.com/stewardhq/steward/internal/store"
)

func runBackup(ctx context.Context, in *command.Invocation) error {
	server := config.ForServer(in.Env)
	f := in.Flags(in.JSONFlag, server.StoreFlags, server.TodayFlag)
	to := f.String("to", "", "write a backup of the data, without any key, into this `folder`")
	keysTo := f.String("keyring-to", "", "write a copy of the keyring into this `folder`; never keep it with backups of the data")
	horizon := f.Duration("horizon", 7*24*time.Hour, "how `long` a copy of the keyring is to be kept")
	check := f.String("check", "", "prove that the backup in this `folder` can be restored, and change nothing")
	if err := in.ParseNone(f); err != nil {
		return err
	}
	switch {
	case *to != "" && *keysTo == "" && *check == "":
		return backupData(ctx, in, server, *to)
	case *to == "" && *keysTo != "" && *check == "":
		return backupKeys(ctx, in, server, *keysTo, *horizon)
	case *to == "" && *keysTo == "" && *check != "":
		return rehearse(ctx, in, server, *check)
	}
	return in.Misused("one of --to DIR, --keyring-to DIR and --check DIR is needed")
}

// backupData copies the data beside a server that may be running. Each ledger says so first, and is signed.
func backupData(ctx context.Context, in *command.Invocation, server config.Server, to string) (err error) {
	s, o := &stores{egress: &egress.Egress{}}, readingOf(server)
	defer func() { err = errors.Join(err, s.Close()) }()
	if !dataExists(server) {
		return noData(server.Data)
	}
	if s.data, err = s.open(ctx, o, o.Store, o.Data, store.DataFile); err != nil {
		return err
	}
	blobs, err := s.blobs(o)
	if err != nil {
		return err
	}
	id := steward.NewID(rand.Reader, "backup")
	if err := s.begun(ctx, o, blobs, id); err != nil {
		return err
	}
	p := in.Begin("making a backup")
	b, err := backup.Source{
		ID:       id,
		Database: store.Backup{DB: s.data}, Blobs: blobs, Bucket: bucketOf(server), Program: command.Built(), Now: server.Today.Clock(time.Now), Progress: p.Count,
	}.Make(ctx, to)
	p.Stop()
	if err != nil {
		return err
	}
	if in.AsJSON {
		return in.JSON(report.Contents(b))
	}
	fmt.Fprintf(in.Out, "%s: %s, %d MB, without any key\n", in.Bold(b.Dir), terminal.Counted(len(b.Ledgers), "ledger", "ledgers"), b.Size()/1_000_000)
	if n := len(b.Objects.Referenced); n > 0 {
		fmt.Fprintf(in.Out, "  %s not in it, but locked in %s\n", terminal.Counted(n, "sealed object is", "sealed objects are"), b.Bucket)
	}
	fmt.Fprintf(in.Out, "  it opens with the keyring of the day it is restored on; `steward backup --check %s` proves that it does\n", b.Dir)
	return nil
}

// begun has each ledger say that a backup begins.
func (s *stores) begun(ctx context.Context, o storeOptions, blobs segment.Blobs, id string) (err error) {
	if err := s.readKeys(ctx, o); err != nil {
		return err
	}
	o.Write = true // beside others; that the schema is the one there was looked at when it was opened for reading
	if s.data, err = s.open(ctx, o, o.Store, o.Data, store.DataFile); err != nil {
		return err
	}
	s.read(blobs)
	all, err := store.Identity{DB: s.data}.AllWorkspaces(ctx)
	if err != nil {
		return err
	}
	ids := make([]steward.WorkspaceID, len(all))
	for i, ws := range all {
		ids[i] = ws.ID
	}
	return rejoin.Begin(ctx, ledger.Config{Store: s.record, Sealer: s.sealer, Now: o.Now, Rand: rand.Reader, Origin: logOrigin}, id, ids)
}

func readingOf(server config.Server) storeOptions {
	return storeOptions{Server: server, Now: server.Today.Clock(time.Now), Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)}
}

// bucketOf names the bucket that objects lie in, "" where they lie in a folder.
func bucketOf(server config.Server) string {
	if !strings.HasPrefix(server.Objects, "s3://") {
		return ""
	}
	return server.Objects
}

// backupKeys copies the keyring. What the copy must not be used for any more stands beside it.
func backupKeys(ctx context.Context, in *command.Invocation, server config.Server, to string, horizon time.Duration) (err error) {
	if horizon <= 0 {
		return in.Misused("--horizon takes how long the copy is to be kept, such as 168h")
	}
	s, o := &stores{egress: &egress.Egress{}}, readingOf(server)
	defer func() { err = errors.Join(err, s.Close()) }()
	if s.keys, err = s.open(ctx, o, o.KeyringStore, keyringIn(o.Data), store.KeyringFile); err != nil {
		return err
	}
	about, err := backup.Keys(to, time.Now(), horizon, func(dir string) (err error) {
		copied, err := store.OpenKeyring(ctx, dir)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, copied.Close()) }()
		return store.Keyring{DB: copied}.Import(ctx, store.Keyring{DB: s.keys}.Export)
	})
	if err != nil {
		return err
	}
	if in.AsJSON {
		return in.JSON(about)
	}
	fmt.Fprintf(in.Out, "%s: a copy of the keyring. Delete it by %s.\n  It opens nothing without the root key of its time, which isn't in it, and nothing once something was forgotten after it.\n",
		in.Bold(to), terminal.Stamp(about.Until))
	return nil
}

// rehearse says whether a backup can be restored, after trying it.
func rehearse(ctx context.Context, in *command.Invocation, server config.Server, from string) error {
	p := in.Begin("rehearsing")
	r, err := rehearsal(ctx, server, from, p)
	p.Stop()
	if err != nil {
		return err
	}
	return r.Print(in)
}

// rehearsal restores a backup into a folder of its own, verifies it with today's keys, which it only reads, opens
// what can be opened, and removes it again.
func rehearsal(ctx context.Context, server config.Server, from string, p *terminal.Progress) (r report.Rehearsed, err error) {
	b, err := backup.Open(from)
	if err != nil {
		return r, err
	}
	dir, err := os.MkdirTemp("", "steward-rehearsal-")
	if err != nil {
		return r, steward.Errorf(steward.Unavailable, "there is no room for a rehearsal; set TMPDIR to a folder on a larger disk").Because(err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, o := &stores{egress: &egress.Egress{}}, readingOf(server)
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.readKeys(ctx, o); err != nil {
		return r, err
	}
	elsewhere, err := s.blobs(o)
	if err != nil {
		return r, err
	}
	if _, err := b.Restore(ctx, backup.Target{Dir: dir, Objects: true, Blobs: rejoin.FolderOr(elsewhere, time.Now), Progress: p.Count}); err != nil {
		return r, err
	}
	if s.data, err = s.open(ctx, o, "", dir, store.DataFile); err != nil {
		return r, err
	}
	s.read(rejoin.Objects{Blobs: blob.Folder{Dir: filepath.Join(dir, objectsDir), Now: time.Now}, Elsewhere: elsewhere})
	r.Backup = report.Contents(b)
	all, err := s.ledgers(ctx, "")
	if err != nil {
		return r, err
	}
	if r.Verify, err = all.verify(ctx, verifyOptions{}, nil, p); err != nil {
		return r, err
	}
	book, err := s.book(ctx) // over what is read only
	if err != nil {
		return r, err
	}
	for _, ws := range all.workspaces {
		if err := (rejoin.Sealed{Rows: s.data, Sealer: s.sealer, Record: s.record, Ledger: book}).Open(ctx, &r.Opened, ws.ID, p.Count); err != nil {
			return r, err
		}
	}
	return r, nil
}

func runRestore(ctx context.Context, in *command.Invocation) (err error) {
	o := verifyOptions{Server: config.ForServer(in.Env)}
	f := in.Flags(in.JSONFlag, o.StoreFlags, o.TodayFlag, o.WitnessFlags)
	from := f.String("from", "", "the `folder` that `steward backup --to` wrote")
	replace := f.Bool("replace", false, "put what is in the data folder aside, into replaced-1, -2, … there; on Postgres, name another database")
	f.StringVar(&o.known, "known", "", "a `file` of checkpoints that `steward serve --checkpoints` wrote: a backup that ends before them, with the sealed objects that there are, is refused")
	declare := f.Bool("declare-loss", false, "where entries that were signed can't be had back, begin a new log that says so")
	if err := in.ParseNone(f); err != nil {
		return err
	}
	if *from == "" {
		return in.Misused("--from DIR is missing")
	}
	b, err := backup.Open(*from)
	if err != nil {
		return err
	}
	p := in.Begin("restoring")
	aside, joined, found, err := restore(ctx, o, b, *replace, *declare, p)
	p.Stop()
	if err != nil {
		return err
	}
	return report.Restored{Backup: report.Contents(b), Aside: aside, Joined: joined, Verify: found, Unheld: o.known == "" && len(o.Witnesses) == 0}.Print(in)
}

// restore puts a backup back and verifies what is there then. Nobody else uses the data meanwhile.
func restore(ctx context.Context, o verifyOptions, b *backup.Backup, replace, declare bool, p *terminal.Progress) (aside string, joined backup.Joined, _ report.Verified, err error) {
	s := &stores{egress: &egress.Egress{}}
	defer func() { err = errors.Join(err, s.Close()) }()
	opened := readingOf(o.Server)
	if _, err := os.Stat(filepath.Join(keyringIn(o.Data), store.KeyringFile)); err != nil && o.KeyringStore == "" {
		return "", joined, report.Verified{}, steward.Errorf(steward.NotFound, "a backup is joined with the keyring of today, and there is none in %s; name the folder of the Steward whose data was lost with --data, or put %s back into its folder %s and the root key into %s",
			o.Data, store.KeyringFile, keyringDir, keeperDir).Because(err)
	}
	if err := s.lock(o.Data); err != nil {
		return "", joined, report.Verified{}, err
	}
	if err := s.readKeys(ctx, opened); err != nil {
		return "", joined, report.Verified{}, err
	}
	var known []string
	if o.known != "" {
		if known, err = tlog.Kept(o.known); err != nil {
			return "", joined, report.Verified{}, err
		}
	}
	blobs, err := s.blobs(opened)
	if err != nil {
		return "", joined, report.Verified{}, err
	}
	t := backup.Target{Dir: o.Data, Replace: replace, Objects: o.Objects == "", Blobs: rejoin.FolderOr(blobs, time.Now), Progress: p.Count}
	t.Staged = func(ctx context.Context, dir string) (err error) {
		j := rejoin.Join{Backup: b, Staged: blobs, Sealer: s.sealer, Known: known, Origin: logOrigin, Declare: declare, Now: opened.Now, Rand: rand.Reader}
		if t.Objects {
			j.Staged = blob.Folder{Dir: filepath.Join(dir, objectsDir), Now: time.Now}
			if _, err := os.Stat(filepath.Join(o.Data, objectsDir)); err == nil {
				j.Aside = blobs
			}
		}
		joined, err = join(ctx, dir, j)
		return err
	}
	if o.Store != "" {
		db, err := store.Postgres{URL: o.Store}.OpenData(ctx)
		if err != nil {
			return "", joined, report.Verified{}, err
		}
		s.first(db.Close)
		claim, err := db.Claim(ctx)
		if err != nil {
			return "", joined, report.Verified{}, err
		}
		s.first(claim.Release)
		t.Load = store.Backup{DB: db}.Fill
	}
	if aside, err = b.Restore(ctx, t); err != nil {
		return aside, joined, report.Verified{}, err
	}
	found, err := verifyData(ctx, o, p)
	return aside, joined, found, err
}

// join joins the copy of the data in a folder with what there is today, and has nothing of its workspaces purged until
// somebody says that it may be: holds that were placed since, and longer days, aren't in it.
func join(ctx context.Context, dir string, j rejoin.Join) (joined backup.Joined, err error) {
	copied, err := store.OpenData(ctx, dir)
	if err != nil {
		return joined, err
	}
	defer func() { err = errors.Join(err, copied.Close()) }()
	j.Tail, j.Segments, j.Rows = store.Ledger{DB: copied}, store.Segments{DB: copied}, store.Restoring{DB: copied}
	j.Dropper.Catalog = store.Segments{DB: copied}
	if joined, err = j.Run(ctx); err != nil {
		return joined, err
	}
	all, err := store.Identity{DB: copied}.AllWorkspaces(ctx)
	for _, ws := range all {
		err = errors.Join(err, store.Retention{DB: copied}.See(ctx, ws.ID, retention.Restored()))
	}
	return joined, err
}
