package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/blob"
	"github.com/stewardhq/steward/internal/config"
	"github.com/stewardhq/steward/internal/egress"
	"github.com/stewardhq/steward/internal/keyring"
	"github.com/stewardhq/steward/internal/keyring/transit"
	"github.com/stewardhq/steward/internal/ledger/segment"
	"github.com/stewardhq/steward/internal/store"
)

// The folders inside the data folder: the root key in one of its own, apart from every database, and
// the keyring apart from the data.
const (
	keeperDir  = "keeper"
	keyringDir = "keyring"
	objectsDir = "objects"
	spoolDir   = "spool"
)

// stores is everything that is kept, opened.
type stores struct {
	data, keys *store.DB
	sealer     *keyring.Keyring
	record     *segment.Store
	egress     *egress.Egress
	lost       <-chan struct{} // closed once another process may have the database
	closes     []func() error  // in the order to call them
}

// storeOptions is how stores are opened.
type storeOptions struct {
	config.Server
	Write  bool // by the one process that does; others only read
	Create bool // make what isn't there yet
	Now    func() time.Time
	Rand   io.Reader
	Log    *slog.Logger
}

// openStores opens the keyring first: data without it is data that was lost.
func openStores(ctx context.Context, o storeOptions) (_ *stores, err error) {
	s := &stores{egress: &egress.Egress{}}
	s.first(func() error { s.egress.CloseIdle(); return nil })
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if o.Write {
		if err := s.claim(o); err != nil {
			return nil, err
		}
	} else if !dataExists(o.Server) {
		return nil, noData(o.Data)
	}
	keeper, err := s.keeper(ctx, o)
	if err != nil {
		return nil, err
	}
	if o.Create {
		if err := keeper.Create(o.Rand); err != nil && steward.KindOf(err) != steward.Conflict {
			return nil, err
		}
	}
	if s.keys, err = s.open(ctx, o, o.KeyringStore, keyringIn(o.Data), store.KeyringFile); err != nil {
		return nil, err
	}
	if s.data, err = s.open(ctx, o, o.Store, o.Data, store.DataFile); err != nil {
		return nil, err
	}
	if o.Write {
		claim, err := s.data.Claim(ctx)
		if err != nil {
			return nil, err
		}
		s.lost = claim.Lost
		s.first(claim.Release)
	}
	settings := keyring.Config{Store: store.Keyring{DB: s.keys}, Keeper: keeper, Rand: o.Rand, Alone: o.Write && o.KeyringStore == ""} // by the lock
	if o.Write {
		for _, dir := range o.KeyringCopies {
			copied, err := s.openCopy(ctx, dir)
			if err != nil {
				return nil, err
			}
			settings.Copies = append(settings.Copies, copied)
		}
	}
	if s.sealer, err = keyring.Open(ctx, settings); err != nil {
		return nil, err
	}
	blobs, err := s.blobs(o)
	if err != nil {
		return nil, err
	}
	s.read(blobs)
	if checked, ok := blobs.(interface{ Check(context.Context) error }); ok && o.Write {
		return s, checked.Check(ctx)
	}
	return s, nil
}

// readKeys opens the keyring for reading.
func (s *stores) readKeys(ctx context.Context, o storeOptions) error {
	keeper, err := s.keeper(ctx, o)
	if err != nil {
		return err
	}
	if s.keys, err = s.open(ctx, o, o.KeyringStore, keyringIn(o.Data), store.KeyringFile); err != nil {
		return err
	}
	s.sealer, err = keyring.Open(ctx, keyring.Config{Store: store.Keyring{DB: s.keys}, Keeper: keeper, Rand: o.Rand})
	return err
}

// read makes the record of the data and the objects beside it.
func (s *stores) read(blobs segment.Blobs) {
	s.record = &segment.Store{Store: store.Ledger{DB: s.data}, Manifest: store.Segments{DB: s.data}, Blobs: blobs}
	s.first(func() error { s.record.Close(); return nil })
}

// Close ends everything in the reverse order of its making.
func (s *stores) Close() (failed error) {
	for _, f := range s.closes {
		failed = errors.Join(failed, f())
	}
	s.closes = nil
	return failed
}

func (s *stores) first(f func() error) { s.closes = append([]func() error{f}, s.closes...) }

// background runs f until the stores are closed, which waits for it.
func (s *stores) background(f func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	s.first(func() error {
		cancel()
		<-done
		return nil
	})
}

// open opens a database: the one that a URL names, or a file in a folder.
func (s *stores) open(ctx context.Context, o storeOptions, url, dir, file string) (db *store.DB, err error) {
	server := store.Postgres{URL: url, ReadOnly: !o.Write}
	switch {
	case url != "" && file == store.KeyringFile:
		db, err = server.OpenKeyring(ctx)
	case url != "":
		db, err = server.OpenData(ctx)
	case !o.Write:
		db, err = store.OpenReadOnly(ctx, dir, file)
	case file == store.KeyringFile:
		db, err = store.OpenKeyring(ctx, dir)
	default:
		db, err = store.OpenData(ctx, dir)
	}
	if err == nil {
		s.first(db.Close)
	}
	return db, err
}

func keyringIn(data string) string { return filepath.Join(data, keyringDir) }

// openCopy opens a folder as a copy of the keyring, and makes it one where it isn't.
func (s *stores) openCopy(ctx context.Context, dir string) (keyring.DeclaredCopy, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return keyring.DeclaredCopy{}, steward.Errorf(steward.Unavailable, "the folder %s for a copy of the keyring can't be made; choose another with --keyring-copy", dir).Because(err)
	}
	db, err := store.OpenKeyring(ctx, dir)
	if err != nil {
		return keyring.DeclaredCopy{}, err
	}
	s.first(db.Close)
	return keyring.DeclaredCopy{Name: dir, Copy: store.Keyring{DB: db}}, nil
}

// keeper is where the root key is: in a file, which a key server may encrypt.
func (s *stores) keeper(ctx context.Context, o storeOptions) (keyring.FileKeeper, error) {
	k := keyring.FileKeeper{Dir: filepath.Join(o.Data, keeperDir)}
	if o.KeyServer == "" {
		return k, nil
	}
	client, err := s.client(o.KeyServer)
	if err != nil {
		return k, err
	}
	at, err := url.Parse(o.KeyServer)
	if err != nil {
		return k, noAddress(o.KeyServer, err)
	}
	where := at.Query()
	at.RawQuery = ""
	engine, err := transit.New(transit.Config{
		Address: at.String(), Namespace: where.Get("namespace"), Mount: where.Get("mount"), Prefix: where.Get("prefix"),
		TokenFile: o.KeyServerToken, Client: client, Backups: o.KeyServerBackups,
	})
	if err != nil {
		return k, err
	}
	k.Wrap = engine
	if o.Write {
		s.background(func(ctx context.Context) { renew(ctx, engine, o.Log) })
	}
	return k, nil
}

// renew keeps the key server's token alive.
func renew(ctx context.Context, engine *transit.Engine, log *slog.Logger) {
	for {
		next, err := engine.Renew(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.Error("the key server's token couldn't be renewed", slog.Any("error", err))
			next = time.Minute
		case next == 0: // it doesn't end, but the file may hold another one by then
			next = time.Hour
		}
		next = max(next, 10*time.Second) // near its end there is ever less left
		select {
		case <-ctx.Done():
			return
		case <-time.After(next):
		}
	}
}

// blobs is where segments go.
func (s *stores) blobs(o storeOptions) (segment.Blobs, error) {
	if !strings.HasPrefix(o.Objects, "s3://") {
		dir := o.Objects
		if dir == "" {
			dir = filepath.Join(o.Data, objectsDir)
		}
		return blob.Folder{Dir: dir, Now: o.Now}, nil
	}
	at, err := url.Parse(o.Objects)
	if err != nil || at.Host == "" || at.Query().Get("region") == "" {
		return nil, steward.Errorf(steward.Invalid, "--objects takes a folder, or a bucket like s3://records/steward?region=eu-central-1").Because(err)
	}
	if o.AWS.AccessKey == "" || o.AWS.SecretKey == "" {
		return nil, steward.Errorf(steward.Unauthenticated, "the bucket's credentials are missing; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	bucket := &blob.S3{
		Endpoint: at.Query().Get("endpoint"), Region: at.Query().Get("region"), Bucket: at.Host, PathStyle: at.Query().Has("endpoint"), Now: o.Now, Rand: o.Rand,
		Credentials: func(context.Context) (blob.Credentials, error) {
			return blob.Credentials{AccessKey: o.AWS.AccessKey, SecretKey: o.AWS.SecretKey, Session: o.AWS.Session}, nil
		},
	}
	if bucket.Prefix = strings.Trim(at.Path, "/"); bucket.Prefix != "" {
		bucket.Prefix += "/"
	}
	if bucket.Endpoint == "" {
		bucket.Endpoint = "https://s3." + bucket.Region + ".amazonaws.com"
	}
	origin, err := bucket.Origin()
	if err != nil {
		return nil, err
	}
	bucket.Client, err = s.client(origin)
	return bucket, err
}

// client reaches one server that the operator named, and no other.
func (s *stores) client(address string) (*http.Client, error) {
	at, err := url.Parse(address)
	if err != nil {
		return nil, noAddress(address, err)
	}
	destination, err := egress.ParseDestination(at.Scheme + "://" + at.Host)
	if err != nil {
		return nil, err
	}
	return s.egress.Client(operator, destination), nil
}

func noAddress(address string, err error) error {
	return steward.Errorf(steward.Invalid, "%q is no address; write it like https://keys.example.com", address).Because(err)
}

// operator is whose the traffic is that no workspace causes.
const operator steward.WorkspaceID = "operator"

// claim makes sure of the data folder, and that no other process has it.
func (s *stores) claim(o storeOptions) error {
	if o.Create {
		for _, dir := range []string{o.Data, keyringIn(o.Data)} {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return steward.Errorf(steward.Unavailable, "the data folder %s can't be made; choose another with --data", o.Data).Because(err)
			}
		}
	} else if !dataExists(o.Server) {
		return noData(o.Data)
	}
	if _, err := os.Stat(filepath.Join(keyringIn(o.Data), store.KeyringFile)); err != nil && o.KeyringStore == "" && dataExists(o.Server) {
		// An empty keyring in its place would open nothing, and seal what comes under keys of its own.
		return steward.Errorf(steward.NotFound, "the keyring of %s is gone; put a copy of %s back into its folder %s", o.Data, store.KeyringFile, keyringDir).Because(err)
	}
	return s.lock(o.Data)
}

// lock has a data folder for this process alone.
func (s *stores) lock(data string) error {
	lock, err := os.OpenFile(filepath.Join(data, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return steward.Errorf(steward.Unavailable, "the data folder %s can't be written; check its owner and the disk", data).Because(err)
	}
	s.first(lock.Close) // which lets go of the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return steward.Errorf(steward.Conflict, "another Steward uses the data folder %s; stop it first, or choose another folder with --data", data).Because(err)
	}
	return nil
}

func noData(dir string) error {
	return steward.Errorf(steward.NotFound, "there is no Steward data in %s; name the folder that `steward init` made, or make it so", dir)
}

// dataExists tells whether a data folder was made: with the data on a server it holds the root key.
func dataExists(c config.Server) bool {
	if c.Store != "" {
		return keyring.FileKeeper{Dir: filepath.Join(c.Data, keeperDir)}.Created()
	}
	_, err := os.Stat(filepath.Join(c.Data, store.DataFile))
	return err == nil
}
