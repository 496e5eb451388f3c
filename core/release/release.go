// Package release says which version of Midstream this is.
package release

// Version is set when it is linked (the Makefile's VERSION, from the file of that name).
var Version = "unreleased"
