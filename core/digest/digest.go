// Package digest is that of the content which a program has been handed, as the shim makes it (shim/framing/digest.h): what another server
// sends is compared by it where all of what has been received is the proof (migration.proof).
package digest

import "math/bits"

// prime is the modulus, 2^61 - 1.
const prime = 1<<61 - 1

// Digest of some octets, which more can be added to. A value without keys is of no use.
type Digest struct{ at, keys [2]uint64 }

// New returns the digest with these values and keys, each below 2^62.
func New(at, keys [2]uint64) Digest { return Digest{at, keys} }

// Empty returns the digest of no octets, by the same keys.
func (d Digest) Empty() Digest { return Digest{keys: d.keys} }

// Add returns the digest of what d is of and these octets behind it.
func (d Digest) Add(octets []byte) Digest {
	h, g := d.at[0], d.at[1]
	for _, o := range octets {
		h, g = step(h, d.keys[0], o), step(g, d.keys[1], o)
	}
	d.at = [2]uint64{h, g}
	return d
}

func step(h, key uint64, octet byte) uint64 {
	high, low := bits.Mul64(h, key)
	sum := low&prime + (high<<3 | low>>61) + uint64(octet) + 1
	return sum&prime + sum>>61
}

// Equal reports whether both are of the same octets: of others, with a probability below 2^-70 for 8 MB, whoever has chosen them.
func (d Digest) Equal(o Digest) bool {
	return d.keys == o.keys && d.at[0]%prime == o.at[0]%prime && d.at[1]%prime == o.at[1]%prime
}
