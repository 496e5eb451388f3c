// Package ftp continues downloads of FTP (RFC 959, with RFC 2428 and RFC 3659) in passive mode and TYPE I: what REST makes possible.
//
// dialogue.go is what a program and its server have said on a control connection, reply.go how replies are read, login.go a control
// connection of Midstream's own, with its data connection, ask.go the request for the rest and its proof (resume.Offsets),
// carry.go how the program's dialogue goes on over that control connection, control.go what holds a dialogue, its transfer and both
// streams together.
package ftp
