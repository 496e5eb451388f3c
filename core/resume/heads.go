// Heads of messages on a connection that may be given away afterwards: no octet is taken that is not the head's.
package resume

import (
	"bytes"
	"context"
	"time"

	"midstream/core/budget"
	"midstream/core/dial"
	"midstream/core/http1"
	"midstream/core/reason"
	"midstream/core/refusal"
)

// Send writes a request and takes the answer's head, and no octet more, off the connection.
func Send(ctx context.Context, conn *dial.Conn, request []byte, _ budget.Permit) (*http1.Response, error) {
	defer bound(ctx, conn)()
	if err := write(conn, request); err != nil {
		return nil, err
	}
	return takeHead(ctx, conn)
}

func write(conn *dial.Conn, request []byte) error {
	if _, err := conn.Write(request); err != nil {
		return &refusal.Refusal{Why: reason.NotTaken.With(err), Server: true}
	}
	return nil
}

// takeHead takes the answer's head off the connection, and no octet more.
func takeHead(ctx context.Context, conn *dial.Conn) (*http1.Response, error) {
	answer, head, taken, _, err := awaitHead(ctx, conn)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Discard(len(head) - taken); err != nil {
		return nil, refusal.Broken(ctx, err)
	}
	return answer, nil
}

// peekLimit is how long a head may be to stay on its connection, in octets; of a longer one every octet is taken as it comes. The
// kernel counts the memory of packets, and that of one that has been taken in part as a whole: a receive buffer of 128 kB was
// seen to be full with 28 kB in it, and then with 2 kB, and nothing more comes before those are taken.
const peekLimit = 16 << 10

// maxInterims is how many interim answers a server may send, more than any does.
const maxInterims = 64

// Heads writes a request and waits for the answer's head, which stays on the connection but for its first taken
// octets, 0 unless it is long: all of them are returned with it. Interim answers are taken off, and returned as well.
func Heads(ctx context.Context, conn *dial.Conn, request []byte, _ budget.Permit) (answer *http1.Response, head []byte, taken int, interims [][]byte, err error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := write(conn, request); err != nil {
		return nil, nil, 0, nil, err
	}
	return awaitHead(ctx, conn)
}

// awaitHead is Heads without the request. The connection's calls end with ctx.
func awaitHead(ctx context.Context, conn *dial.Conn) (answer *http1.Response, head []byte, taken int, interims [][]byte, err error) {
	buffer := make([]byte, 4096)
	have := 0
	for {
		if have == len(buffer) {
			if len(buffer) >= http1.MaxHead {
				return nil, nil, 0, nil, refusal.New(reason.HeadLong.Alone())
			}
			buffer = append(buffer, make([]byte, len(buffer))...)
		}
		n, err := conn.PeekMore(have-taken, buffer[taken:])
		if taken+n > have {
			have = taken + n
		}
		end := http1.HeadEnd(buffer[:have])
		if end < 0 {
			if err != nil {
				return nil, nil, 0, nil, refusal.Broken(ctx, err)
			}
			if (taken > 0 || have >= peekLimit) && conn.Over() == nil {
				if _, err := conn.Discard(have - taken); err != nil {
					return nil, nil, 0, nil, refusal.Broken(ctx, err)
				}
				taken = have
			}
			continue
		}
		answer, err := http1.ParseResponse(buffer[:end])
		if err != nil {
			return nil, nil, 0, nil, refusal.New(reason.AnswerMalformed.With(err))
		}
		if !answer.Interim() {
			return answer, buffer[:end], taken, interims, nil
		}
		if _, err := conn.Discard(end - taken); err != nil {
			return nil, nil, 0, nil, refusal.Broken(ctx, err)
		}
		if len(interims) == maxInterims {
			return nil, nil, 0, nil, refusal.New(reason.InterimEndless.Alone())
		}
		interims = append(interims, bytes.Clone(buffer[:end]))
		have, taken = 0, 0
	}
}

// Continued returns what a program is to be handed of a new server's interim heads and head, if it has read so many interim
// heads of the old one's whole, and these octets of the next head. What it has begun goes on with the same octets of the new
// server's, or is an interim response that is ended without a word of its own.
func Continued(had int, begun []byte, interims [][]byte, head []byte) ([]byte, error) {
	interims = interims[min(had, len(interims)):]
	var out []byte
	switch {
	case len(begun) == 0:
	case len(interims) > 0 && bytes.HasPrefix(interims[0], begun):
		out, interims = append(out, interims[0][len(begun):]...), interims[1:]
	case bytes.HasPrefix(head, begun):
		return head[len(begun):], nil
	default:
		end, ok := http1.EndInterim(begun)
		if !ok {
			return nil, refusal.New(reason.HeadDiffers.Alone())
		}
		out, interims = append(out, end...), interims[min(1, len(interims)):]
	}
	for _, i := range interims {
		out = append(out, i...)
	}
	return append(out, head...), nil
}
