// What an exchange says of itself, while the shim's messages tell of it.
package exchange

import (
	"bytes"
	"strings"
	"testing"

	"midstream/core/channel"
	"midstream/core/config"
	"midstream/core/digest"
	"midstream/core/reason"
	"midstream/core/resume"
)

// counters are those of one stream.
type counters struct {
	channel.Snapshot
	gone bool
}

func (c *counters) Read() (channel.Snapshot, bool)             { return c.Snapshot, !c.gone }
func (c *counters) Tail(uint64, int64, int) []byte             { return nil }
func (c *counters) Digest(uint64) (int64, digest.Digest, bool) { return 0, digest.Digest{}, false }

const (
	request = "GET /film HTTP/1.1\r\nHost: a.example\r\nAuthorization: Basic c2VjcmV0\r\n\r\n"
	head    = "HTTP/1.1 200 OK\r\nETag: \"one\"\r\nContent-Length: 6000\r\n\r\n"
)

// begun is an exchange whose request has been written.
func begun(c Counters) *Exchange {
	e := New(1, false, config.ProofTrust, c)
	e.AddRequest([]byte(request[:20]), false)
	e.AddRequest([]byte(request[20:]), true)
	return e
}

func TestWhatHasBeenReceivedNeverFalls(t *testing.T) {
	c := &counters{}
	e := New(1, false, config.ProofTrust, c)
	c.Snapshot = channel.Snapshot{Exchange: 1, Received: 5000}
	if got := e.Received(); got != 5000 {
		t.Errorf("received %d", got)
	}
	// The program has begun to read the next response, and the message that this one is done has not come yet.
	c.Snapshot = channel.Snapshot{Exchange: 2, Received: 70}
	if got := e.Received(); got != 5000 {
		t.Errorf("received %d once the next response is being read", got)
	}
	c.gone = true
	if got := e.Received(); got != 5000 {
		t.Errorf("received %d once the stream is closed", got)
	}
	e.End(6000)
	if got := e.Received(); got != 6000 || !e.Over() || !e.Done() {
		t.Errorf("received %d once it is done", got)
	}
}

func TestAHeadComesInPieces(t *testing.T) {
	e := New(1, false, config.ProofTrust, &counters{})
	e.AddRequest([]byte(request[:20]), false)
	if e.Asked() || e.URL("192.0.2.1:80") != "" || (*Exchange)(nil).Asks() != nil {
		t.Error("half a request")
	}
	e.AddRequest([]byte(request[20:]), true)
	if !e.Asked() || e.Answering() || !e.InHead() || !e.Why().None() || e.URL("192.0.2.1:80") != "http://a.example/film" {
		t.Errorf("asked: %q, %q", e.Why(), e.URL("192.0.2.1:80"))
	}
	e.AddAnswer([]byte("HTTP/1.1 103 Early Hints\r\n\r\n"))
	e.EndInterim()
	e.AddAnswer([]byte(head[:10]))
	if octets, interims := e.Head(); !e.Answering() || e.Answered() || string(octets) != head[:10] || interims != 1 || e.HeadLength() != 10 {
		t.Errorf("%q after %d", octets, interims)
	}
	e.AddAnswer([]byte(head[10:]))
	e.EndHead(channel.PhaseLength, 6000)
	if !e.Answered() || e.InHead() || e.Length() != 6000 || !e.Immovable().None() || !e.Persistent() {
		t.Errorf("answered: %d octets, %q", e.Length(), e.Immovable())
	}
}

func TestWhatCannotBeMovedSaysWhy(t *testing.T) {
	for _, c := range []struct {
		request, head string
		phase         channel.Phase
		length        int64
		why           string
	}{
		{strings.Replace(request, "GET", "POST", 1), head, channel.PhaseLength, 6000, "only GET requests"},
		{"no request\r\n\r\n", head, channel.PhaseLength, 6000, "the request is malformed"},
		{request, "no response\r\n\r\n", channel.PhaseLength, 6000, "the response is malformed"},
		{request, head, channel.PhaseLength, 5999, "its framing is ambiguous"},
		{request, head, channel.PhaseClose, 0, "its framing is ambiguous"},
		{request, strings.Replace(head, "200 OK", "404 Not Found", 1), channel.PhaseLength, 6000, "the status is not 200 or 206"},
		{strings.Replace(request, "Host", "Connection: Upgrade\r\nUpgrade: websocket\r\nHost", 1), "", 0, 0, "in the other protocol"},
		{strings.Replace(request, "Host", "Connection: Upgrade\r\nUpgrade: websocket\r\nHost", 1), head, channel.PhaseLength, 6000, ""},
	} {
		e := New(1, false, config.ProofTrust, &counters{})
		e.AddRequest([]byte(c.request), true)
		if c.head != "" {
			e.AddAnswer([]byte(c.head))
			e.EndHead(c.phase, c.length)
		}
		if why := e.Immovable().Error(); c.why == "" && why != "" || !strings.Contains(why, c.why) {
			t.Errorf("%q, not %q", why, c.why)
		}
		before := e.Why()
		e.Refuse(reason.AuthBound.Alone())
		if now := e.Why(); before.None() && now.Why != reason.AuthBound || !before.None() && now != before {
			t.Errorf("%q has become %q", before, now)
		}
	}
}

// What authenticates the program is there as long as it may be needed, and then nowhere.
func TestSecretsAreForgotten(t *testing.T) {
	for name, end := range map[string]func(*Exchange){"done": func(e *Exchange) { e.End(6000) }, "closed": (*Exchange).Close} {
		t.Run(name, func(t *testing.T) {
			e := New(1, false, config.ProofTrust, &counters{})
			written := []byte(request)
			e.AddRequest(written, true)
			if !bytes.Equal(written, make([]byte, len(request))) {
				t.Error("the message still has them")
			}
			e.AddAnswer([]byte(head))
			e.EndHead(channel.PhaseLength, 6000)
			kept := e.octets[:len(e.octets):len(e.octets)]
			if all := e.AppendRequest(nil); string(all) != request || e.Complete(bytes.Clone(all)) != nil {
				t.Errorf("%q is kept", all)
			}
			end(e)
			if !bytes.Equal(kept, make([]byte, len(kept))) || e.Complete([]byte(request)) != resume.ErrAgain || !e.Over() {
				t.Errorf("%q is left", kept)
			}
		})
	}
}

func TestTheTrailerIsTheExchanges(t *testing.T) {
	c := &counters{}
	e := begun(c)
	e.AddTrailer([]byte("A: b\r\n"))
	c.Snapshot = channel.Snapshot{Exchange: 2, Phase: channel.PhaseTrailer}
	if _, ok := e.InTrailer(); ok {
		t.Error("it is another one's")
	}
	c.Exchange = 1
	if read, ok := e.InTrailer(); !ok || string(read) != "A: b\r\n" {
		t.Errorf("%q, %v", read, ok)
	}
}

func TestARefusalIsHeldAgainstAnInterface(t *testing.T) {
	e := begun(&counters{})
	if e.RefusedOver() != nil {
		t.Error("nothing was tried")
	}
	e.RefuseOver("wwan0", "no")
	if not := e.RefusedOver(); len(not) != 1 || not["wwan0"] != "no" {
		t.Error(not)
	}
	r := e.refused["wwan0"]
	r.at = r.at.Add(-2 * refusedFor)
	e.refused["wwan0"] = r
	if not := e.RefusedOver(); not == nil || len(not) != 0 {
		t.Error(not)
	}
}

func TestOneLooksWhetherSeveralFeed(t *testing.T) {
	if e := begun(&counters{}); !e.ClaimFeeding() || e.ClaimFeeding() {
		t.Error("two look")
	}
}
