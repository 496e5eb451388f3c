package twin

import (
	"strings"
	"testing"

	"midstream/core/channel"
)

func TestASessionIsDescribed(t *testing.T) {
	s := ParseSession(channel.Message{A: 1, B: int64(channel.NeedsKeyUnverified), Data: []byte("OpenSSL\x00TLSv1.3\x00http/1.1\x00a.example\x00\x00")})
	if s.Library != "OpenSSL" || s.Version != "TLSv1.3" || s.ALPN != "http/1.1" || !s.Movable || s.URL(443) != "https://a.example/" || s.URL(8443) != "https://a.example:8443/" {
		t.Errorf("%+v %q", s, s.URL(443))
	}
	if why := s.Needed(false); strings.Contains(why, "issuer") || !strings.Contains(why, "the same public key") {
		t.Errorf("%q", why)
	}
	if why := s.Needed(true); !strings.Contains(why, "the same issuer") {
		t.Errorf("%q", why)
	}
	s.Tunnel = "a.example:444"
	if url := s.URL(3128); url != "https://a.example:444/" {
		t.Errorf("%q", url)
	}
	if none := (*Session)(nil); none.URL(443) != "" || none.Needed(true) != "" {
		t.Error("none")
	}
}
