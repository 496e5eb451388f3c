// Package config reads Midstream's configuration: one TOML file, read strictly, or built-in
// defaults that need no file. This file holds what a configuration is; load.go reads one.
package config

import (
	"net/netip"
	"time"

	"midstream/core/elsewhere"
)

// Config is a whole, checked configuration. It is never changed after Load, so any goroutine may
// read it.
type Config struct {
	// File is where it was read from, "" for the built-in defaults.
	File string `json:"file"`
	// Interfaces holds what is set for each network interface, by its name.
	Interfaces map[string]Interface `json:"interfaces"`
	// Migration says how exchanges are moved.
	Migration Migration `json:"migration"`
	// Policy says which interface is used.
	Policy Policy `json:"policy"`
	// Sessions says which sessions are left alone.
	Sessions Sessions `json:"sessions"`
	// Failover says what happens when a network or a server fails.
	Failover Failover `json:"failover"`
	// TLS says how TLS sessions are treated.
	TLS TLS `json:"tls"`
	// Reach says which connections are carried for programs that nothing can be preloaded into.
	Reach Reach `json:"reach"`
	// Aggregate says when several networks feed one download.
	Aggregate Aggregate `json:"aggregate"`
	// Live says how streams without a length are treated.
	Live Live `json:"live"`
	// Mirrors says where else the content of http URLs can be had.
	Mirrors elsewhere.Map `json:"mirrors"`
	// Metrics and Notify say whom midstreamd tells of what it sees.
	Metrics Metrics `json:"metrics"`
	Notify  Notify  `json:"notify"`
}

// Interface is what the configuration says about one network interface. The zero value is that of
// an interface it does not mention: resolver discovered, no proxy.
type Interface struct {
	// DNS are the resolvers to ask over this interface, in order; none means: discover them.
	DNS []netip.AddrPort `json:"dns"`
	// Proxy is what HTTP requests over this interface go through.
	Proxy Proxy `json:"proxy"`
	// NoProxy are the hosts that are reached without it.
	NoProxy []HostPattern `json:"no_proxy"`
	// Kind overrides what the kernel says: ethernet, wifi, wwan, tunnel or other; "" does not.
	Kind string `json:"kind,omitempty"`
	// Metered says whether traffic is paid for or limited; nil: unknown, NetworkManager may say.
	Metered *bool `json:"metered,omitempty"`
	// Cost orders interfaces, in whatever unit the user counts; >= 0.
	Cost float64 `json:"cost,omitempty"`
	// Provider names who runs the network, for policy.
	Provider string `json:"provider,omitempty"`
	// Never forbids the interface, but for in_need.
	Never bool `json:"never,omitempty"`
	// Cap and Share are the most that the interface carries of a download that several feed, in bit/s and of all its octets,
	// 0 to 1; 0 for no bound.
	Cap   float64 `json:"cap,omitempty"`
	Share float64 `json:"share,omitempty"`
}

// Migration says how exchanges are moved between interfaces.
type Migration struct {
	// Single asks for break before make on every pair that Pairs does not name.
	Single bool
	// LookAhead is the factor on rate × RTT by which the new server is asked ahead, 1 to 16.
	LookAhead float64
	// Meta4 is whether descriptions of files are read, and which.
	Meta4 Meta4
	// Proof is what must be shown before another server's octets count as the same representation.
	Proof Proof
	// SkipLimit is how many octets (>= 0) of an answer may be read and thrown away to reach the
	// wanted offset where a server ignores Range.
	SkipLimit int64
	// Timeout is how long one migration may take, MinTimeout to MaxTimeout.
	Timeout time.Duration
	// Pairs are the exceptions from Single, one at most for each (From, To).
	Pairs []Pair
}

// The bounds of Migration's values, inclusive.
const (
	MinLookAhead = 1
	MaxLookAhead = 16
	MinTimeout   = 100 * time.Millisecond
	MaxTimeout   = 10 * time.Minute
)

// Pair sets break before make for migrations from one interface to another.
type Pair struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Single bool   `json:"single"`
}

// Meta4 says which descriptions of files (RFC 5854) are read, once a download is to go on at another URL.
type Meta4 string

const (
	Meta4Offered Meta4 = "offered" // that a server has named
	Meta4Always  Meta4 = "always"  // where none is named, that at the URL with .meta4 behind it
	Meta4Never   Meta4 = "never"
)

// Proof is how sameness of two servers' representations has to be shown.
type Proof string

const (
	// ProofOverlap accepts an equal validator or, where there is none in common, an overlap
	// compared octet by octet.
	ProofOverlap Proof = "overlap"
	// ProofStrict accepts an equal strong validator only.
	ProofStrict Proof = "strict"
	// ProofWhole accepts, beside what ProofOverlap does, an equal length of at most 8 MB and all octets that the program has
	// received, compared by a digest.
	ProofWhole Proof = "whole"
	// ProofTrust accepts an equal length.
	ProofTrust Proof = "trust"
)

// Default returns the configuration that holds where no file sets anything else.
func Default() *Config {
	return &Config{
		Interfaces: map[string]Interface{},
		Migration: Migration{
			LookAhead: 1.15,
			Proof:     ProofOverlap,
			Meta4:     Meta4Offered,
			SkipLimit: 64_000_000,
			Timeout:   10 * time.Second,
			Pairs:     []Pair{},
		},
		Policy: Policy{
			Prefer: []string{}, Providers: []string{}, Dwell: DefaultDwell, Rules: []Rule{}, Servers: []Server{},
		},
		Sessions:  Sessions{Include: []Criterion{}, Exclude: []Criterion{}},
		Failover:  defaultFailover(),
		TLS:       TLS{HTTP2: HTTP2Avoid, HTTP3: HTTP3Allow, Identity: IdentityKey, Reach: TLSHook},
		Reach:     Reach{Ports: reachPorts},
		Aggregate: defaultAggregate(),
		Mirrors:   elsewhere.Map{},
		Live:      Live{Gaps: []string{}},
	}
}

// Single tells whether a migration between the two interfaces breaks before it makes.
func (c *Config) Single(from, to string) bool {
	for _, p := range c.Migration.Pairs {
		if p.From == from && p.To == to {
			return p.Single
		}
	}
	return c.Migration.Single
}
