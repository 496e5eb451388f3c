package channel

import "testing"

func TestHandoversAreReadAsTheyWereWritten(t *testing.T) {
	for _, h := range []Handover{
		{},
		{At: 5, Until: 7, Chunk: 2, Sent: 3},
		{What: Session, Place: InTrailer, When: Now, Former: Keep, At: 1, Sent: 2, Twin: 4, Left: -1, Longer: true, Reframed: true},
		{What: Pair, Place: InHead, Former: Spare, Left: 9, Whole: true, Anywhere: true},
	} {
		if got, err := ParseHandover(h.Encode()); err != nil || got != h {
			t.Errorf("%+v has become %+v, %v", h, got, err)
		}
	}
}

// One that says nothing of an end goes on as far as its connection does.
func TestAHandoverWithoutAnEnd(t *testing.T) {
	var w wireHandover
	if w.decode(Handover{}.Encode()); w.Until != NoStop {
		t.Errorf("it ends at %d", w.Until)
	}
}
