// Package aggregate feeds one download from several paths at once, in order: from several interfaces, or from several connections
// on one.
//
// It has two halves. The rules (Scheduler, and Worth, which says when to begin) know no clock and no socket: they are told what
// happened, with the time, and answer what to ask of which path, so that the same code runs in the product and in a simulator.
// The assembler asks it over connections, checks and compares what comes, and gives the octets in order to one reader.
//
// Times are since an origin of the caller's choice and never go back; offsets are octets of the representation; rates are octets
// a second.
package aggregate
