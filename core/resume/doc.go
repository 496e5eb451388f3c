// Package resume continues at another server what somebody is receiving: it finds a server, connects, asks for the rest, finds out
// where in the content the answer begins, and proves that it is the rest of the same. It knows nothing of who receives but what
// Receiver says, and nothing of how content is delivered: that is why it serves one connection that takes another's place as well
// as several together.
//
// What can be read from the file names: names.go and servers.go find servers, destination.go says how they are reached, rest.go has
// the seams (Offsets, Receiver, Question, Rest), ask.go is the protocol HTTP/1.1, heads.go its messages, skip.go what a server that
// ignores Range sends too much, compare.go, proof.go and mirror.go the proof, status.go what servers say instead of an answer,
// ahead.go, rate.go and catchup.go how to meet an old connection that goes on delivering.
package resume
