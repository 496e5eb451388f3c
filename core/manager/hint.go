// Hints: what a network-management system, a Wi-Fi supplicant, a script or a person says of an interface.
package manager

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// HintKeys are the keys that a hint may have.
var HintKeys = []string{"captive", "congestion", "cost", "free", "metered", "performance", "preferred", "provider", "roaming", "server", "signal"}

// weakest is the least signal that a hint may tell of, in dBm: below it there is none.
const weakest = -150

// maxHintValue is how many octets a value may have.
const maxHintValue = 128

// CheckHint says what is wrong with a hint, nil if nothing is.
func CheckHint(key, value string) error {
	var t traits
	if !slices.Contains(HintKeys, key) {
		return fmt.Errorf("there is no hint %.40q; there are %s", key, strings.Join(HintKeys, ", "))
	}
	return t.apply(key, value)
}

// traits are what hints can say.
type traits struct {
	congestion, cost, performance     *float64
	captive, free, metered, preferred *bool
	roaming                           *bool
	signal                            *int
	provider, server                  *string
}

// apply takes in one hint.
func (t *traits) apply(key, value string) error {
	if len(value) > maxHintValue || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("%s: the value is longer than %d octets or has control characters", key, maxHintValue)
	}
	switch key {
	case "congestion":
		return amount(&t.congestion, key, value, 1)
	case "cost":
		return amount(&t.cost, key, value, math.MaxFloat64)
	case "performance":
		return amount(&t.performance, key, value, 1e15)
	case "captive":
		return truth(&t.captive, key, value)
	case "free":
		return truth(&t.free, key, value)
	case "metered":
		return truth(&t.metered, key, value)
	case "preferred":
		return truth(&t.preferred, key, value)
	case "provider":
		t.provider = &value
	case "roaming":
		return truth(&t.roaming, key, value)
	case "signal":
		dBm, err := strconv.Atoi(value)
		if err != nil || dBm < weakest || dBm >= 0 {
			return fmt.Errorf("signal=%q is no number of dBm from %d to -1", value, weakest)
		}
		t.signal = &dBm
	case "server":
		if _, err := netip.ParseAddr(value); err != nil {
			return fmt.Errorf("server=%q is no address", value)
		}
		t.server = &value
	}
	return nil
}

// amount reads a number from 0 to limit; k, M and G stand for thousands, millions and thousands of millions.
func amount(to **float64, key, value string, limit float64) error {
	digits, factor := value, 1.0
	if n := len(value); n > 1 {
		if f, ok := map[byte]float64{'k': 1e3, 'M': 1e6, 'G': 1e9}[value[n-1]]; ok {
			digits, factor = value[:n-1], f
		}
	}
	f, err := strconv.ParseFloat(digits, 64)
	f *= factor
	if err != nil || !(f >= 0 && f <= limit) {
		return fmt.Errorf("%s=%q is no number from 0 to %g", key, value, limit)
	}
	*to = &f
	return nil
}

func truth(to **bool, key, value string) error {
	var b bool
	switch value {
	case "true", "yes", "1":
		b = true
	case "false", "no", "0":
	default:
		return fmt.Errorf("%s=%q is neither true nor false", key, value)
	}
	*to = &b
	return nil
}
