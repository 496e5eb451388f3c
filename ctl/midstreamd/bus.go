// What daemons of the host know of its networks, over D-Bus, where they run: each is followed by itself, so that one that does not
// answer delays no other, and what it has said holds until it is known to have gone. midstreamd alone asks: the library would cost every
// program memory.
package main

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/godbus/dbus/v5"

	"midstream/core/manager"
)

const (
	busName    = "org.freedesktop.DBus" // specification.freedesktop.org/dbus, "Message Bus Messages"
	properties = busName + ".Properties"

	busRetry = 30 * time.Second // where there is no bus
	busAgain = 30 * time.Second // systemd-resolved does not tell of every change
	settle   = 50 * time.Millisecond
	busPause = 500 * time.Millisecond // between two looks: who scans for access points tells of each
)

// Variables, so that tests need not wait so long.
var (
	busLimit   = 3 * time.Second  // for all that one daemon is asked in one look
	silentWait = 5 * time.Second  // before one that has not answered is asked again
	goneGrace  = 10 * time.Second // in which one that has gone may come back: an upgrade starts it again, and the networks stay
)

// informant is a daemon that knows of networks, by its name on the bus.
type informant struct {
	name string
	ask  func(l *look) map[string]manager.Fact
}

// informants, of which an earlier one's resolvers and signal go before.
var informants = []informant{{resolvedName, resolved}, {supplicantName, supplicant}, {networkName, networkManager}}

// followBus keeps d.heard current until ctx ends. Without a system bus it tries again now and then.
func (d *daemon) followBus(ctx context.Context) {
	for ctx.Err() == nil {
		if conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx)); err == nil {
			d.serveBus(ctx, conn)
			conn.Close()
		} else {
			d.log.Debug().Err(err).Msg("no system bus")
		}
		select {
		case <-ctx.Done():
		case <-time.After(busRetry):
		}
	}
}

// serveBus follows all informants until ctx or the bus ends.
func (d *daemon) serveBus(ctx context.Context, conn *dbus.Conn) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	signals := make(chan *dbus.Signal, 64)
	conn.Signal(signals)
	told := map[string]chan struct{}{} // by name
	for _, i := range informants {
		conn.AddMatchSignal(dbus.WithMatchSender(i.name))
		conn.AddMatchSignal(dbus.WithMatchInterface(busName), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, i.name))
		told[i.name] = make(chan struct{}, 1)
		go d.hear(ctx, conn, i, told[i.name])
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-conn.Context().Done():
			return
		case s, open := <-signals:
			if !open {
				return // the bus has gone
			}
			for name, c := range told {
				// A signal's sender is a number of the bus's; only of who comes and goes the name is said.
				if s.Sender == busName && len(s.Body) > 0 && s.Body[0] != name {
					continue
				}
				select {
				case c <- struct{}{}:
				default:
				}
			}
		}
	}
}

// hear asks one informant whenever something is told, until ctx ends.
func (d *daemon) hear(ctx context.Context, conn *dbus.Conn, i informant, told <-chan struct{}) {
	var left time.Time // since when it is gone
	for {
		looked := time.Now()
		l := &look{conn: conn, of: i.name}
		facts := l.at(ctx, i)
		wait := busAgain
		switch {
		case !l.gone:
			left = time.Time{}
		case left.IsZero():
			left = looked
		}
		switch {
		case l.gone && looked.Sub(left) < goneGrace:
			d.log.Debug().Str("of", i.name).Msg("nobody has its name; what it has said of networks holds until it might be back")
			wait = goneGrace - looked.Sub(left)
		case l.gone:
			d.hears(i.name, nil)
		case l.silent:
			d.log.Debug().Str("of", i.name).Msg("it does not answer; what it has said of networks holds")
			d.lasting(i.name)
			wait = silentWait
		default:
			if l.starting {
				manager.Merge(facts, d.heardOf(i.name)) // until it says otherwise
			}
			d.hears(i.name, facts)
		}
		select {
		case <-ctx.Done():
			return
		case <-told:
		case <-time.After(wait):
		}
		// Changes come in bursts; one look serves them all.
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(settle, busPause-time.Since(looked))):
		}
		select {
		case <-told:
		default:
		}
	}
}

// heardOf is what is known of one informant.
func (d *daemon) heardOf(name string) map[string]manager.Fact {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.heard[name]
}

// hears takes in what one informant knows. The maps in d.heard are never changed.
func (d *daemon) hears(name string, facts map[string]manager.Fact) {
	d.mu.Lock()
	d.heard[name] = facts
	d.mu.Unlock()
	d.lookSoon()
}

// lasting leaves of what a silent one has said that which does not change from one moment to the next.
func (d *daemon) lasting(name string) {
	facts := maps.Clone(d.heardOf(name))
	for of, f := range facts {
		f.Signal, f.Roaming = 0, false
		facts[of] = f
	}
	d.hears(name, facts)
}

// look is one look at an informant: all that it is asked has to be answered within busLimit.
type look struct {
	ctx      context.Context
	conn     *dbus.Conn
	of       string
	gone     bool // nobody has its name
	silent   bool // something was not answered: nothing follows from what is not known
	starting bool // it may not know yet what it knew before it was started again
}

func (l *look) at(ctx context.Context, i informant) map[string]manager.Fact {
	ctx, cancel := context.WithTimeout(ctx, busLimit)
	defer cancel()
	l.ctx = ctx
	var owned bool
	if !l.ask(l.conn.BusObject(), busName+".NameHasOwner", &owned, i.name) {
		l.silent = true
		return nil
	}
	if l.gone = !owned; l.gone {
		return nil
	}
	return i.ask(l)
}

// ask calls a method; false where that gives an error, or a value of another type.
func (l *look) ask(object dbus.BusObject, method string, value any, args ...any) bool {
	if l.silent {
		return false // it is not asked further
	}
	call := object.CallWithContext(l.ctx, method, dbus.FlagNoAutoStart, args...)
	var refused dbus.Error
	if call.Err != nil && (!errors.As(call.Err, &refused) || unanswered[refused.Name]) {
		l.silent = true
	}
	return call.Err == nil && call.Store(value) == nil
}

// unanswered are the errors that the bus gives for one who has not answered, or left meanwhile.
var unanswered = map[string]bool{
	busName + ".Error.NoReply": true, busName + ".Error.ServiceUnknown": true, busName + ".Error.NameHasNoOwner": true,
	busName + ".Error.Disconnected": true, busName + ".Error.Timeout": true, busName + ".Error.TimedOut": true,
}

// object is one of the informant's.
func (l *look) object(path dbus.ObjectPath) dbus.BusObject { return l.conn.Object(l.of, path) }

// get reads a property into value; false where there is none of that type.
func (l *look) get(path dbus.ObjectPath, of, name string, value any) bool {
	var v dbus.Variant
	return l.ask(l.object(path), properties+".Get", &v, of, name) && v.Store(value) == nil
}

// known are the properties of an object.
type known map[string]dbus.Variant

// all reads those of one interface in one call; none where there are none.
func (l *look) all(path dbus.ObjectPath, of string) (k known) {
	l.ask(l.object(path), properties+".GetAll", &k, of)
	return k
}

// read is get of what is known.
func (k known) read(name string, value any) bool {
	v, ok := k[name]
	return ok && v.Store(value) == nil
}
