// Which interfaces a stream may use: none that leads past a tunnel or the administrator's rules (package allowed); while the present
// network works, nothing goes over one that costs more; and what a person asked for holds.
package controller

import (
	"slices"
	"time"

	"midstream/core/allowed"
	"midstream/core/manager"
	"midstream/core/reason"
)

// word is what holds the stream to an interface. With its mu.
type word struct {
	asked    string           // the interface that a person asked for it to use; "" none, or it has failed
	kept     bool             // a person wants it to stay, and to be held for as long as it takes
	evidence allowed.Evidence // what connecting has shown of the network
}

// Barred implements liaison.Stream and migration.Stream: it says why the stream must not be continued over the interface, if it must not.
func (s *Stream) Barred(iface string) reason.Reason {
	return s.c.reach.Astray(s.Place(), iface)
}

// Tries implements reach.Stream.
func (s *Stream) Tries(iface string) func(error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := iface == s.iface
	if own {
		s.evidence.Begins(time.Now())
	}
	return func(err error) {
		if !own {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.evidence.Ends(err)
	}
}

// networkFailed reports whether the network that the stream is on has failed, not only its server.
func (s *Stream) networkFailed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pathLost() != "" || s.evidence.Failed(time.Now(), s.slow)
}

// MayMove implements recovery.Stream: none that costs more before the stream's own network has failed, and none but that which a person
// asked for.
func (s *Stream) MayMove(refused bool) []string {
	own, _ := s.Where()
	list := s.Order()
	if s.networkFailed() {
		return list
	}
	s.mu.Lock()
	asked := s.asked == own && !s.evidence.Useless && !refused
	s.mu.Unlock()
	asked = asked || s.c.manager.UsedBy(s.c.pid) == own && !refused
	return slices.DeleteFunc(list, func(iface string) bool { return iface != own && (asked || s.c.reach.Dearer(iface, own)) })
}

// forgetEvidence begins anew with what connecting shows; dead: a probe has shown already that nobody answers there.
func (s *Stream) forgetEvidence(dead bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.evidence = allowed.Dead(dead)
}

// keepWord notes who has brought the stream to the interface: what a person asked for holds until that network fails, or the
// person says otherwise. With s.mu.
func (s *Stream) keepWord(to, trigger string) {
	s.evidence = allowed.Evidence{}
	switch {
	case trigger == triggerPerson || trigger == manager.TriggerUse || trigger == manager.TriggerWhen:
		s.asked = to
	case to != s.asked:
		s.asked = ""
	}
}

// forgetWords lets what a person asked for no longer hold: the person has said otherwise.
func (c *Controller) forgetWords() {
	for _, s := range c.all("") {
		s.mu.Lock()
		s.asked, s.kept = "", false
		s.mu.Unlock()
	}
}
