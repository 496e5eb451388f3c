// Programs that stand in the trailer section of a chunked response (RFC 9112 §7.1.2): they have all of the content.
package resume

import (
	"bytes"
	"context"
	"errors"
	"io"

	"midstream/core/http1"
	"midstream/core/reason"
	"midstream/core/refusal"
)

// insideField reports whether a trailer section that breaks off like this does so inside a field line. Then it can only go on
// with the same field of another server's trailer section: a value cut short would be another value. Between two lines it can be
// ended, as recipients do without those that follow (RFC 9110 §6.5.1).
func insideField(read []byte) bool {
	n := len(read)
	return n > 0 && read[n-1] != '\n' && read[n-1] != '\r'
}

var errMoreContent = error(reason.MoreContent)

// trailer reads the answer to its end, and returns its trailer section with the line that ends it.
func (r *Rest) trailer() ([]byte, error) {
	if t, ok := r.Conn.Over().(interface{ Trailer() []byte }); ok {
		if n, err := r.Content.Read(make([]byte, 1)); n > 0 {
			return nil, errMoreContent
		} else if err != io.EOF {
			return nil, err
		}
		return bytes.Clone(t.Trailer()), nil
	}
	if _, err := r.Content.Run(); err == nil {
		return nil, errMoreContent
	} else if err != io.EOF {
		return nil, err
	}
	return append(r.Content.Trailer(), "\r\n"...), nil
}

// endAfter finds out how the response ends for a program that has read so much of its trailer section: like the new answer, if
// that is one to the same request. The trailer section of a part may speak of that part alone.
func (r *Rest) endAfter(ctx context.Context, read []byte) error {
	if r.Whole && r.Framing.Kind == http1.Chunked {
		all, err := r.trailer()
		if errors.Is(err, errMoreContent) {
			return refusal.New(reason.MoreContent.Alone())
		} else if err != nil {
			return refusal.Broken(ctx, err)
		}
		if len(read) < len(all) && bytes.HasPrefix(all, read) {
			r.Read, r.Ending = read, all[len(read):]
			return nil
		}
	}
	if insideField(read) {
		return refusal.New(reason.TrailerNotSent.Alone())
	}
	return nil
}
