package backup

// Before has f asked before each step that changes the disk.
func (s *Source) Before(f func(step string) error) { s.before = f }

// Before has f asked before each step that changes the disk.
func (t *Target) Before(f func(step string) error) { t.before = f }

// DecodeManifest reads a manifest.
func DecodeManifest(text []byte) (Manifest, error) {
	m, _, err := decodeManifest(text)
	return m, err
}

// EncodeManifest writes one.
func EncodeManifest(m Manifest) ([]byte, error) { return m.encode() }
