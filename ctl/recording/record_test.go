package recording

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"midstream/core/control"
)

// aRecord is of a download of 80 MB that is moved after 3 s, and comes back when its network is lost at 9 s.
func aRecord() []byte {
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	out.Encode(Entry{Record: Version, Begun: time.Unix(1_000_000, 0)})
	parts := map[string]int64{}
	over := "wlan0"
	length, received := int64(80_000_000), int64(0)
	event := func(at float64, kind, text string, fields map[string]any) {
		out.Encode(Entry{At: at, Event: &control.Event{Kind: kind, Session: "1-1", Text: text, Fields: fields}})
	}
	moved := func(at float64, to string, stall float64) {
		event(at, control.EventMigration, "moved", map[string]any{"migration": control.Migration{From: control.End{Interface: over}, To: control.End{Interface: to}, StallMS: stall}})
		over = to
	}
	for i := range 200 {
		at := float64(i) / 10
		switch i {
		case 30:
			moved(at, "wwan0", 4.6)
		case 90:
			event(at, control.EventFailure, "the network was lost", nil)
		case 93:
			moved(at, "wlan0", 230)
		}
		if i < 90 || i > 92 {
			n := int64(500_000 + 80_000*math.Sin(at*3))
			if over == "wwan0" {
				n = n * 6 / 10
			}
			n = min(n, length-received)
			parts[over] += n
			received += n
		}
		out.Encode(Entry{At: at, Sample: []Sample{{ID: "1-1", Name: "film.mkv", Command: "curl", Received: received, Length: &length, Over: over, Parts: parts}}})
	}
	return b.Bytes()
}

func TestPlotDrawsARecord(t *testing.T) {
	folder := t.TempDir()
	if keep := os.Getenv("KEEP"); keep != "" {
		folder = keep
	}
	record := filepath.Join(folder, "run.jsonl")
	text := append(aRecord(), []byte(`{"t":20.1,"sess`)...) // it was interrupted amid a line
	os.WriteFile(record, text, 0o644)
	for _, name := range []string{"run.svg", "run.png", "dark.svg"} {
		if err := Draw(record, filepath.Join(folder, name), "", strings.HasPrefix(name, "dark")); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		data, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".png") {
			picture, err := png.Decode(bytes.NewReader(data))
			if err != nil || picture.Bounds().Dx() != figureWidth*scale {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		for d := xml.NewDecoder(bytes.NewReader(data)); ; {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		for _, want := range []string{"film.mkv", "wlan0 ", "wwan0 ", "wlan0 → wwan0, 4.6 ms", "the network was lost", "15 s", "Mbit/s", "80 MB"} {
			if !strings.Contains(string(data), want) {
				t.Errorf("%s: there is no %q", name, want)
			}
		}
	}
	for text, says := range map[string]string{"": "it is empty", "{}\n": "no record", "x\n": "line 1", `{"midstream_record":1,"begun":"2026-11-30T00:00:00Z","t":0}` + "\n": "nothing was downloaded"} {
		os.WriteFile(record, []byte(text), 0o644)
		if err := Draw(record, filepath.Join(folder, "x.svg"), "", false); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzRecord(f *testing.F) {
	f.Add(aRecord())
	f.Add([]byte(`{"midstream_record":1,"begun":"2026-11-30T00:00:00Z"}` + "\n" + `{"t":1e300,"sessions":[{"id":"a","received":-5,"length":-1}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, all, err := Read(bytes.NewReader(text))
		if err != nil {
			return
		}
		if figure := newFigure(all); len(figure.times) > 0 && len(figure.times) < 1000 {
			figure.draw(newVector(figureWidth, figureHeight), light)
		}
	})
}

// What no recorder writes draws a picture as well, and soon.
func TestPlotOfUnlikelyTimes(t *testing.T) {
	folder := t.TempDir()
	from, to := filepath.Join(folder, "r"), filepath.Join(folder, "r.svg")
	one := func(at string, n string) string {
		return `{"t":` + at + `,"sessions":[{"id":"1-1","received":` + n + `,"parts":{"wlan0":` + n + `}}]}` + "\n"
	}
	text := `{"midstream_record":1,"begun":"2026-01-01T00:00:00Z"}` + "\n" + one("0", "1") + one("1e-310", "9000000000000000000") + one("1e300", "2") + one("-1e300", "2")
	if err := os.WriteFile(from, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Draw(from, to, "", false); err != nil {
		t.Error(err)
	}
	if picture, _ := os.ReadFile(to); len(picture) == 0 || len(picture) > 1<<16 {
		t.Errorf("%d octets", len(picture))
	}
}

// A failure and the move that it leads to are one event; one that leads to none stays.
func TestPlotOfFailures(t *testing.T) {
	event := func(at float64, kind, session, text string, fields map[string]any) Entry {
		return Entry{At: at, Event: &control.Event{Kind: kind, Session: session, Text: text, Fields: fields}}
	}
	moved := map[string]any{"migration": map[string]any{"from": map[string]any{"interface": "wwan0"}, "to": map[string]any{"interface": "wlan0"}, "stall_ms": 34.7, "trigger": "the network was lost"}}
	lost := map[string]any{"cause": "the network was lost"}
	f := newFigure([]Entry{
		event(1, control.EventFailure, "1-1", "the network was lost", lost), event(1.1, control.EventMigration, "1-1", "", moved),
		event(2, control.EventFailure, "1-2", "the network was lost", lost), event(2.1, control.EventMigration, "1-1", "", moved),
		event(3, control.EventFailure, "1-1", "odd", map[string]any{"cause": map[string]any{}}), event(3.1, control.EventMigration, "1-1", "", map[string]any{"migration": map[string]any{"trigger": map[string]any{}}}),
	})
	var texts []string
	for _, m := range f.marks {
		texts = append(texts, m.text)
	}
	want := []string{"wwan0 → wlan0, 34.7 ms (the network was lost)", "the network was lost", "wwan0 → wlan0, 34.7 ms", "odd", "<nil> → <nil>"}
	if !slices.Equal(texts, want) {
		t.Errorf("%q", texts)
	}
}

// Days of recording must not keep every download that there was.
func TestARecorderForgetsWhatHasEnded(t *testing.T) {
	all := []control.Session{{ID: "1-1", PID: 1, Interface: "wlan0", Received: 5}, {ID: "1-2", PID: 1, Interface: "wlan0", Received: 7}}
	r := New(io.Discard)
	for gone := range len(all) + 1 {
		left := len(all) - gone
		if _, err := r.take(float64(gone), all[gone:]); err != nil || len(r.parts) != left || len(r.before) != left {
			t.Errorf("%d: %v, %v, %v", left, r.parts, r.before, err)
		}
	}
}
