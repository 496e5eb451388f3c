package metalink

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func noise(n int) []byte {
	b := make([]byte, n)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// describe is what a server says of the content, in pieces of that length.
func describe(content []byte, length int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<?xml version="1.0" encoding="UTF-8"?><metalink xmlns="urn:ietf:params:xml:ns:metalink"><generator>x</generator><published>2024-01-01T00:00:00Z</published>
<file name="film.mkv"><size>%d</size><hash type="sha-256">%x</hash><other xmlns="urn:x"><size>1</size></other><pieces length="%d" type="sha-256">`, len(content), sha256.Sum256(content), length)
	for piece := range slices.Chunk(content, length) {
		fmt.Fprintf(&b, "<hash>%X</hash>\n", sha256.Sum256(piece))
	}
	b.WriteString(`</pieces><url location="de" priority="2">http://b.example/film.mkv</url><url priority="1"> http://a.example/film.mkv </url><url>ftp://c.example/x</url></file></metalink>`)
	return b.String()
}

func TestADescription(t *testing.T) {
	content := noise(10_000)
	f, err := Parse(strings.NewReader(describe(content, 3000)), "film.mkv", 10_000)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"http://a.example/film.mkv", "http://b.example/film.mkv", "ftp://c.example/x"}
	if f.Size != 10_000 || !slices.Equal(f.URLs, want) || f.Pieces == nil || f.Pieces.count != 4 || !f.Whole || f.Pieces.Begin(6001) != 6000 {
		t.Errorf("%+v", f)
	}
}

func TestWhatIsNoDescription(t *testing.T) {
	good := describe(noise(10_000), 3000)
	for name, text := range map[string]string{
		"nothing":           "",
		"a page":            "<!DOCTYPE html><html><body><p>gone",
		"another namespace": strings.Replace(good, "xml:ns:metalink", "xml:ns:other", 1),
		"broken off":        good[:len(good)/2],
		"another size":      strings.Replace(good, "<size>10000<", "<size>10001<", 1),
		"nested":            strings.Replace(good, "<generator>", strings.Repeat("<generator>", 5000), 1),
		"entities":          `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="&b;"><size>1</size></file></metalink>`,
		"too many pieces":   strings.Replace(good, "<hash>", strings.Repeat("<hash>00</hash>", maxPieces+1)+"<hash>", 1),
		"too long":          strings.Replace(good, "<generator>", "<generator>"+strings.Repeat("x ", MaxOctets), 1),
		"two files":         `<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="a"/><file name="b"/></metalink>`,
	} {
		if f, err := Parse(strings.NewReader(text), "film.mkv", 10_000); err == nil {
			t.Errorf("%s: %+v", name, f)
		}
	}
	// Digests that prove nothing are none.
	for name, text := range map[string]string{
		"another digest":    strings.ReplaceAll(good, "sha-256", "md5"),
		"one too few":       strings.Replace(good, `length="3000"`, `length="5001"`, 1),
		"pieces of nothing": strings.Replace(good, `length="3000"`, `length="0"`, 1),
		"of everything":     strings.Replace(good, `length="3000"`, `length="9223372036854775807"`, 1),
		"no digits":         strings.Replace(good, "<hash>", "<hash>x", 1),
	} {
		f, err := Parse(strings.NewReader(text), "film.mkv", 10_000)
		if err != nil || f.Pieces != nil {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}

// Nothing of a piece that is wrong is handed out, and all before it.
func TestPiecesAreProvedBeforeTheyAreHandedOut(t *testing.T) {
	content := noise(10_000)
	f, err := Parse(strings.NewReader(describe(content, 3000)), "", -1)
	if err != nil {
		t.Fatal(err)
	}
	for wrong, want := range map[int]int{-1: 7000, 3000: 0, 5999: 0, 6000: 3000, 9999: 6000} {
		theirs := bytes.Clone(content)
		if wrong >= 0 {
			theirs[wrong]++
		}
		got, err := io.ReadAll(f.Pieces.Verify(iotest.OneByteReader(bytes.NewReader(theirs[3000:])), 3000, 10_000))
		if len(got) != want || !bytes.HasPrefix(content[3000:], got) || (err == nil) != (wrong < 0) || err != nil && err != ErrPiece {
			t.Errorf("octet %d wrong: %d octets, %v", wrong, len(got), err)
		}
	}
	// It ends early, or does not end.
	if got, err := io.ReadAll(f.Pieces.Verify(bytes.NewReader(content[3000:8000]), 3000, 10_000)); len(got) != 3000 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d, %v", len(got), err)
	}
	if got, err := io.ReadAll(f.Pieces.Verify(bytes.NewReader(append(bytes.Clone(content), 1, 2, 3)), 0, 10_000)); !bytes.Equal(got, content) || err != nil {
		t.Errorf("%d, %v", len(got), err)
	}
}

// Whatever comes, what is read by it is bounded, and pieces are of the size.
func FuzzParse(f *testing.F) {
	f.Add(describe(noise(100), 30))
	f.Add(`<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="a"><size>5</size><pieces length="5" type="sha-256"><hash>00</hash></pieces></file></metalink>`)
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse(strings.NewReader(text), "film.mkv", -1)
		if err != nil || file.Pieces == nil {
			return
		}
		p := file.Pieces
		if p.length < 1 || p.length > MaxPiece || int64(p.count) != (file.Size+p.length-1)/p.length || len(p.sums) != p.count*p.digest().Size() {
			t.Errorf("%+v", p)
		}
	})
}
