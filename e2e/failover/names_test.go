// Networks whose name servers cannot answer.

package failover

import (
	"testing"
	"time"

	"midstream/e2e/lab"
)

// Where the new network's name server does not answer, the address in use is tried; where it says that there is no such
// name, that is so.
func TestNamesThatCannotBeAnswered(t *testing.T) {
	for _, test := range []struct {
		name  string
		extra string
		spoil func(*lab.Server)
		moves bool
	}{
		{"silent", "", (*lab.Server).Freeze, true},
		{"refused", "--server=/" + host + "/#", nil, true},
		{"not there", "", (*lab.Server).Kill, true},
		{"no such name", "--address=/" + host + "/", nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newAnycast(t)
			var extra []string
			if test.extra != "" {
				extra = append(extra, test.extra)
			}
			s.Network("wlan0").DNS(map[string][]string{host: {common}})
			names := s.Network("wwan0").DNS(map[string][]string{}, extra...)
			for _, n := range s.Networks() {
				s.web[n.Name].Kill()
				s.web[n.Name] = n.Paced(s.root, lab.ServerOptions{LimitRate: pace, Addresses: []string{common}})
			}
			native := s.native(curl, "the common address")
			a := s.begin(t, "[failover]\nstandby = \"never\"\n", curl.args...)
			if test.spoil != nil {
				test.spoil(names)
			}
			begun := time.Now()
			moved, err := a.Control(a.Pid(), lab.Patience).Migrate("wwan0")
			if err != nil || len(moved) != 1 || moved[0].OK != test.moves {
				t.Errorf("%+v, %v", moved, err)
			}
			if took := time.Since(begun); took > 4*time.Second {
				t.Errorf("it took %v", took)
			}
			a.intact(native, nil)
		})
	}
}
