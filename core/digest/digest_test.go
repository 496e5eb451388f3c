package digest

import (
	"math/big"
	"math/rand/v2"
	"testing"
)

func TestItIsAPolynomial(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	p := big.NewInt(prime)
	for range 50 {
		keys := [2]uint64{random.Uint64() % prime, random.Uint64() % prime}
		octets := make([]byte, random.IntN(3000))
		for i := range octets {
			octets[i] = byte(random.Uint32() >> (random.Uint32() % 32))
		}
		want := [2]*big.Int{new(big.Int), new(big.Int)}
		for i := range want {
			for _, o := range octets {
				want[i].Mul(want[i], new(big.Int).SetUint64(keys[i]))
				want[i].Add(want[i], big.NewInt(int64(o)+1)).Mod(want[i], p)
			}
		}
		at := random.IntN(len(octets) + 1)
		d := New([2]uint64{}, keys).Add(octets[:at]).Add(octets[at:])
		if !d.Equal(New([2]uint64{want[0].Uint64(), want[1].Uint64()}, keys)) {
			t.Fatalf("%v, not %v, of %d octets", d, want, len(octets))
		}
		if !d.Empty().Add(octets).Equal(d) || d.Add([]byte{0}).Equal(d) {
			t.Fatal("an octet more is the same")
		}
	}
}
