// Digests of pieces, and what is read by them.
package metalink

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"hash"
	"io"
)

// digests are those that prove something, by their names (RFC 5854 §4.2.4, the registry of hash function textual names).
var digests = map[string]func() hash.Hash{"sha-256": sha256.New, "sha-384": sha512.New384, "sha-512": sha512.New}

// Pieces are the digests of a file's pieces, all of which have the same length but the last. They are not changed once they are made.
type Pieces struct {
	length int64
	digest func() hash.Hash
	sums   []byte // one behind the other
	count  int
}

// better reports whether these are to be preferred to others: smaller pieces are proved sooner.
func (p *Pieces) better(o *Pieces) bool { return p.length < o.length }

// sum is that of the piece with this number.
func (p *Pieces) sum(number int64) []byte {
	n := int64(p.digest().Size())
	return p.sums[number*n : (number+1)*n]
}

// Begin returns where the piece begins in which the octet is.
func (p *Pieces) Begin(octet int64) int64 { return octet - octet%p.length }

// ErrPiece says that a piece is another one than was described.
var ErrPiece = errors.New("a piece of the content has another digest than its description says")

// Verify reads from r, whose next octet is the file's octet from, where a piece begins, up to the end of the file, which has size octets.
// Nothing of a piece is handed out before it has been proved: ErrPiece, of one that is wrong, and for ever then; the reader's errors.
func (p *Pieces) Verify(r io.Reader, from, size int64) *Verified {
	return &Verified{r: r, p: p, at: from, size: size}
}

// Verified is content that is proved piece by piece. It is used by one goroutine.
type Verified struct {
	r        io.Reader
	p        *Pieces
	at, size int64 // of the file, read from r
	piece    []byte
	have     int    // of the piece, so far
	ready    []byte // proved, and not handed out
	err      error
}

func (v *Verified) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := v.Peek(b)
	v.ready = v.ready[n:]
	return n, err
}

// Peek is Read, and leaves what it has returned.
func (v *Verified) Peek(b []byte) (int, error) {
	for len(v.ready) == 0 {
		if v.err != nil {
			return 0, v.err
		}
		if err := v.next(); err != nil {
			return 0, err
		}
	}
	return copy(b, v.ready), nil
}

// next reads on until a piece is complete. An error of the reader's leaves what has come: a deadline may be followed by another one.
func (v *Verified) next() error {
	length := min(v.p.length, v.size-v.at)
	if length <= 0 {
		v.err = io.EOF
		return v.err
	}
	if v.piece == nil {
		v.piece = make([]byte, v.p.length)
	}
	for int64(v.have) < length {
		n, err := v.r.Read(v.piece[v.have:length])
		if v.have += n; err != nil && int64(v.have) < length {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	h := v.p.digest()
	h.Write(v.piece[:length])
	if !bytes.Equal(h.Sum(nil), v.p.sum(v.at/v.p.length)) {
		v.err = ErrPiece
		return v.err
	}
	v.at += length
	v.ready, v.have = v.piece[:length], 0
	return nil
}
