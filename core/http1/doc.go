// Package http1 reads and writes HTTP/1 messages as they stand on the wire.
//
// It exists for the controller, which has to understand requests that a program
// has already sent and answers that a new server gives to their repetition. So
// it keeps every octet of a request for sending it again, says what a message
// means by RFC 9110 and RFC 9112, and refuses what two recipients could read
// differently: what is malformed is left alone, never guessed at.
//
// Nothing here opens a connection, logs, or keeps state between messages. The
// errors name the fault and never quote a field's value, which may be a secret.
package http1
