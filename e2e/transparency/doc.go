// Package transparency holds the tests that show that a program cannot tell
// whether it runs under Midstream: each program runs twice, natively and with
// the library preloaded, and everything that can be observed of the two runs
// must be equal. The technique is that of the shadow simulator.
//
// The programs are in testdata/programs, one for each behaviour; their first
// line says what they show. They print only what is the same in every run, and
// talk to a server that the test starts on loopback.
package transparency
