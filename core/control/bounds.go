// What one user may take of the server's memory, and all users together, where not only one user may connect.
package control

import "sync"

// account counts the octets of requests that are being received or answered.
type account struct {
	each, all int // 0: no bound
	mu        sync.Mutex
	of        map[int]int
	sum       int
}

// Bounds lets the requests of each user that are being received or answered have so many octets, and all users' together times as
// many; with Serves, connections likewise. Who sends more is told so, and loses that connection. To be called before Serve.
func (s *Server) Bounds(octets, times int) {
	s.octets.each, s.octets.all, s.times = octets, octets*times, times
}

// take counts octets of the user's, and reports whether there is room for them; only then they have to be given back.
func (a *account) take(uid, octets int) bool {
	if a.each == 0 {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.of[uid]+octets > a.each || a.sum+octets > a.all {
		return false
	}
	if a.of == nil {
		a.of = map[int]int{}
	}
	a.of[uid] += octets
	a.sum += octets
	return true
}

func (a *account) give(uid, octets int) {
	if a.each == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sum -= octets
	if a.of[uid] -= octets; a.of[uid] <= 0 {
		delete(a.of, uid)
	}
}
