package middleware

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"sync"
)

const digestPrefix = "k1:" // key id; 32 hex digits follow

// digester makes the digests that events carry. It is safe for concurrent use.
type digester struct {
	mode Digest
	key  []byte // immutable once set
	pool sync.Pool
}

func newDigester(mode Digest, key []byte) *digester {
	if mode == "" {
		mode = DigestHMAC
	}
	if len(key) == 0 {
		key = make([]byte, 32)
		rand.Read(key)
	}
	d := &digester{mode: mode, key: append([]byte(nil), key...)}
	d.pool.New = func() any { return d.message() }
	return d
}

// keyed returns the keyed digest of a secret; kind keeps the digests of equal
// texts in different roles apart. Empty text has none.
func (d *digester) keyed(kind, text string) string {
	if text == "" {
		return ""
	}
	h := hmac.New(sha256.New, d.key)
	h.Write([]byte(kind))
	h.Write([]byte{0})
	h.Write([]byte(text))
	return digestPrefix + hex.EncodeToString(h.Sum(nil)[:16])
}

func (d *digester) message() hash.Hash {
	if d.mode == DigestSHA256 {
		return sha256.New()
	}
	return hmac.New(sha256.New, d.key)
}

// measure counts and digests one message as it passes. White space before the
// message does not count.
type measure struct {
	size int64
	hash hash.Hash
}

// start makes m ready for a message.
func (d *digester) start(m *measure) {
	m.size = 0
	if d.mode == DigestNone {
		return
	}
	if m.hash == nil {
		m.hash = d.pool.Get().(hash.Hash)
	}
	m.hash.Reset()
}

func (m *measure) add(p []byte) {
	m.size += int64(len(p))
	if m.hash != nil {
		m.hash.Write(p)
	}
}

// digest returns the digest of what was added.
func (d *digester) digest(m *measure) string {
	if m.hash == nil {
		return ""
	}
	var sum [sha256.Size]byte
	m.hash.Sum(sum[:0])
	if d.mode == DigestSHA256 {
		return "sha256:" + hex.EncodeToString(sum[:])
	}
	return digestPrefix + hex.EncodeToString(sum[:16])
}

// release gives m's hash back; m must not be added to any more.
func (d *digester) release(m *measure) {
	if m.hash != nil {
		d.pool.Put(m.hash)
		m.hash = nil
	}
}
