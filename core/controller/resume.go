// Asking the new server for the rest of an exchange.
package controller

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"midstream/core/dial"
	"midstream/core/http1"
)

// rest is a connection whose next octet is content of the exchange, at the offset at.
type rest struct {
	conn   *dial.Conn
	at     int64
	answer *http1.Response
}

// ask sends the exchange's request for its content from at on, and checks the answer. After an error the
// connection is of no further use.
func ask(ctx context.Context, conn *dial.Conn, e *exchange, at int64) (*rest, error) {
	last := int64(-1)
	if r, present, err := e.request.Range(); present && err == nil && !r.IsSuffix() && r.Last >= 0 {
		last = e.last
	}
	octets := http1.ResumeRequest(e.request, e.first+at, last, e.validators.IfRange(), http1.Form{})
	if octets == nil {
		return nil, errors.New("the request cannot be written with a Range")
	}
	answer, err := send(ctx, conn, octets)
	if err != nil {
		return nil, err
	}
	if err := prove(e, at, answer); err != nil {
		return nil, err
	}
	return &rest{conn: conn, at: at, answer: answer}, nil
}

// repeat sends the exchange's request as it was, without taking the answer's head off the connection.
func repeat(ctx context.Context, conn *dial.Conn, e *exchange) (*http1.Response, error) {
	octets := http1.ResumeRequest(e.request, -1, -1, "", http1.Form{})
	if octets == nil {
		return nil, errors.New("the request cannot be repeated")
	}
	answer, _, err := exchangeHeads(ctx, conn, octets)
	return answer, err
}

// send writes a request and takes the answer's head, and no octet more, off the connection.
func send(ctx context.Context, conn *dial.Conn, request []byte) (*http1.Response, error) {
	answer, length, err := exchangeHeads(ctx, conn, request)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Discard(length); err != nil {
		return nil, fmt.Errorf("the new server's answer broke off: %w", err)
	}
	return answer, nil
}

// exchangeHeads writes a request and waits for the answer's head, which stays on the connection: its length is
// returned with it. Interim answers are taken off.
func exchangeHeads(ctx context.Context, conn *dial.Conn, request []byte) (*http1.Response, int, error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write(request); err != nil {
		return nil, 0, fmt.Errorf("the new server did not take the request: %w", err)
	}
	buffer := make([]byte, 4096)
	have := 0
	for {
		if have == len(buffer) {
			if len(buffer) >= http1.MaxHead {
				return nil, 0, errors.New("the new server's head is longer than 256 kB")
			}
			buffer = append(buffer, make([]byte, len(buffer))...)
		}
		n, err := conn.PeekMore(have, buffer)
		if n > have {
			have = n
		}
		end := http1.HeadEnd(buffer[:have])
		if end < 0 {
			if err != nil {
				return nil, 0, broken(ctx, err)
			}
			continue
		}
		answer, err := http1.ParseResponse(buffer[:end])
		if err != nil {
			return nil, 0, fmt.Errorf("the new server's answer is malformed: %w", err)
		}
		if !answer.Interim() {
			return answer, end, nil
		}
		if _, err := conn.Discard(end); err != nil {
			return nil, 0, broken(ctx, err)
		}
		have = 0
	}
}

func broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("the new server did not answer in time")
	}
	if errors.Is(err, io.EOF) {
		return errors.New("the new server closed the connection without an answer")
	}
	return fmt.Errorf("the new server's answer broke off: %w", err)
}
