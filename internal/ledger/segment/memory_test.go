package segment_test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/blob"
)

// memory keeps objects without waiting for a disk, and lets tests change them.
type memory struct {
	mu      sync.Mutex
	objects map[string][]byte
	locked  map[string]time.Time
	made    time.Time // when all of them seem to be made; now where it is zero
}

func newMemory() *memory {
	return &memory{objects: map[string][]byte{}, locked: map[string]time.Time{}}
}

type memoryObject struct{ *bytes.Reader }

func (memoryObject) Close() error { return nil }

func (m *memory) Put(_ context.Context, name string, content io.ReadSeeker, size int64, _ time.Time) error {
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(content, size))
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.objects[name]; ok {
		return steward.Errorf(steward.Conflict, "there is one")
	}
	m.objects[name] = b
	return err
}

func (m *memory) Open(_ context.Context, name string) (blob.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.objects[name]
	if !ok {
		return nil, steward.Errorf(steward.NotFound, "there is none")
	}
	return memoryObject{bytes.NewReader(b)}, nil
}

func (m *memory) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.locked[name]; ok {
		return steward.Errorf(steward.Conflict, "it is locked")
	}
	delete(m.objects, name)
	return nil
}

func (m *memory) Lock(_ context.Context, name string, until time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.locked[name] = until
	return nil
}

func (m *memory) List(_ context.Context, prefix string, fn func(name string, modified time.Time) error) error {
	m.mu.Lock()
	names := slices.Sorted(maps.Keys(m.objects))
	m.mu.Unlock()
	made := m.made
	if made.IsZero() {
		made = time.Now()
	}
	for _, name := range names {
		if strings.HasPrefix(name, prefix) {
			if err := fn(name, made); err != nil {
				return err
			}
		}
	}
	return nil
}
