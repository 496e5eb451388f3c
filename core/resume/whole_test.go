package resume

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"midstream/core/config"
	"midstream/core/dial/dialtest"
	"midstream/core/digest"
	"midstream/core/http1"
	"midstream/core/refusal"
)

// undigested is a program of whose content there is a digest of a part only, as where octets have gone by unseen.
type undigested struct{ program }

func (undigested) Digest() (int64, digest.Digest, bool) {
	d := digest.New([2]uint64{}, [2]uint64{1<<60 + 1, 1<<59 + 1})
	return 100, d.Add(content[:100]), true
}

// Servers whose validators differ are proved by all that has been received: a single octet of it tells them apart.
func TestAllThatHasBeenReceivedProvesOtherValidators(t *testing.T) {
	const was = `"a"` + "\r\nLast-Modified: Fri, 01 Mar 2024 12:00:00 GMT"
	const is = `"b"` + "\r\nLast-Modified: Sat, 02 Mar 2024 12:00:00 GMT"
	early, late := bytes.Clone(content), bytes.Clone(content)
	early[7]++
	late[99_999]++
	for name, c := range map[string]struct {
		proof    config.Proof
		received int64
		body     []byte
		ranges   bool
		unseen   bool
		why      string
	}{
		"the same":                     {config.ProofWhole, 100_000, content, true, false, ""},
		"the same, skipped":            {config.ProofWhole, 100_000, content, false, false, ""},
		"little of the same":           {config.ProofWhole, 20_000, content, true, false, ""},
		"an early octet":               {config.ProofWhole, 100_000, early, true, false, "compared from its first octet on"},
		"an early octet, skipped":      {config.ProofWhole, 100_000, early, false, false, "compared from its first octet on"},
		"the last octet":               {config.ProofWhole, 100_000, late, true, false, "the new server's content is another one"},
		"too little":                   {config.ProofWhole, 4000, content, true, false, "less than 4 kB"},
		"another length":               {config.ProofWhole, 100_000, content[:200_000], true, false, "instead of 95904 to 307199"},
		"octets that nobody has seen":  {config.ProofWhole, 100_000, content, true, true, "no digest of all"},
		"where only an overlap counts": {config.ProofOverlap, 100_000, content, true, false, "another content"},
	} {
		t.Run(name, func(t *testing.T) {
			h, at := asks(t, c.received, 0), serve(t, is, c.body, c.ranges)
			response, err := http1.ParseResponse(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nETag: %s\r\nContent-Length: %d\r\n\r\n", was, len(content)))
			if err != nil {
				t.Fatal(err)
			}
			h.Response, h.Validators, h.Proof = response, response.Validators(), c.proof
			if c.unseen {
				h.Receiver = undigested{program(c.received)}
			}
			r, err := h.Ask(t.Context(), dialtest.Connect(t, at), h.question(c.received))
			var more *refusal.Refusal
			if errors.As(err, &more) && more.More {
				r, err = h.Ask(t.Context(), dialtest.Connect(t, at), h.question(c.received))
			}
			switch {
			case c.why != "":
				if err == nil || !strings.Contains(err.Error(), c.why) || errors.As(err, &more) && more.More {
					t.Errorf("%v", err)
				}
			case err != nil:
				t.Error(err)
			case r.At != c.received || !bytes.Equal(read(t, r), content[c.received:]):
				t.Errorf("at %d", r.At)
			}
		})
	}
}

func TestOfMoreThan8MBNothingIsComparedFromTheBeginning(t *testing.T) {
	v := http1.Validators{ETag: `"a"`, Length: wholeMax + 1}
	w := http1.Validators{ETag: `"b"`, Length: wholeMax + 1}
	if err := prove(config.ProofWhole, v, w, 0, Question{At: 1 << 20}); err == nil || !strings.Contains(err.Error(), "more than 8 MB") {
		t.Error(err)
	}
	if why := Provable(http1.Validators{}, wholeMax+1, config.ProofWhole); why.None() {
		t.Error("it cannot be shown to be the same, and nobody says so")
	}
}
