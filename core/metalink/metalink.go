// Package metalink reads descriptions of files by their servers (.meta4, RFC 5854): where else a file can be had, and digests of its pieces,
// by which each of them is proved before anybody is handed an octet of it (Pieces.Verify). The package knows no connection.
package metalink

import (
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Type is the media type of a description (RFC 5854 §6.2).
const Type = "application/metalink4+xml"

const (
	// MaxOctets bounds a description: some 40,000 pieces.
	MaxOctets = 4 << 20
	maxDepth  = 8
	maxPieces = 1 << 16
	maxURLs   = 64
	// MaxPiece bounds a piece, which is held until all of it has come.
	MaxPiece = 4 << 20
)

// File is what is said of one.
type File struct {
	Name string
	Size int64    // -1 where nothing is said
	URLs []string // the best first
	// Pieces are nil where there are none that prove anything.
	Pieces *Pieces
	// Whole: there is a digest of the whole file, which says nothing before its end.
	Whole bool
}

var (
	errNot   = errors.New("no Metalink description")
	errDepth = errors.New("it is nested too deep")
	errLarge = errors.New("it says too much")
)

// Parse reads a description of MaxOctets at most, and returns what it says of the file with that name and size (-1: whatever it is): the
// only one there, or that of the name. The error says why there is none.
func Parse(r io.Reader, name string, size int64) (*File, error) {
	d := &decoder{xml: xml.NewDecoder(io.LimitReader(r, MaxOctets+1))}
	if err := d.document(); err != nil {
		return nil, err
	}
	if d.xml.InputOffset() > MaxOctets {
		return nil, errLarge
	}
	found := d.files
	if len(found) > 1 {
		found = slices.DeleteFunc(found, func(f *File) bool { return f.Name != name })
	}
	switch {
	case len(found) != 1:
		return nil, fmt.Errorf("it describes %d files, and not this one", len(d.files))
	case size >= 0 && found[0].Size >= 0 && found[0].Size != size:
		return nil, fmt.Errorf("it describes a file of %d octets instead of %d", found[0].Size, size)
	}
	return found[0], nil
}

// decoder takes the elements that matter, and leaves all others.
type decoder struct {
	xml    *xml.Decoder
	depth  int
	files  []*File
	pieces int // in all of them
}

const namespace = "urn:ietf:params:xml:ns:metalink"

func (d *decoder) document() error {
	for {
		token, err := d.xml.Token()
		if err != nil {
			return errNot
		}
		if e, ok := token.(xml.StartElement); ok {
			if e.Name.Space != namespace || e.Name.Local != "metalink" {
				return errNot
			}
			return d.children(func(e xml.StartElement) error {
				if e.Name.Local != "file" {
					return d.skip()
				}
				return d.file(e)
			})
		}
	}
}

// children calls each with the elements of the namespace within the present one, which it reads to its end.
func (d *decoder) children(each func(xml.StartElement) error) error {
	if d.depth++; d.depth > maxDepth {
		return errDepth
	}
	defer func() { d.depth-- }()
	for {
		token, err := d.xml.Token()
		if err != nil {
			return fmt.Errorf("the description breaks off or is malformed: %w", err)
		}
		switch e := token.(type) {
		case xml.EndElement:
			return nil
		case xml.StartElement:
			if e.Name.Space != namespace {
				err = d.skip()
			} else {
				err = each(e)
			}
			if err != nil {
				return err
			}
		}
	}
}

// skip is xml.Decoder.Skip, bounded in depth.
func (d *decoder) skip() error {
	return d.children(func(xml.StartElement) error { return d.skip() })
}

// text reads the element's own text.
func (d *decoder) text() (string, error) {
	var b strings.Builder
	for {
		token, err := d.xml.Token()
		if err != nil {
			return "", err
		}
		switch e := token.(type) {
		case xml.EndElement:
			return strings.TrimSpace(b.String()), nil
		case xml.StartElement:
			if err := d.skip(); err != nil {
				return "", err
			}
		case xml.CharData:
			if b.Write(e); b.Len() > 8192 {
				return "", errLarge
			}
		}
	}
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Space == "" && a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func (d *decoder) file(e xml.StartElement) error {
	f := &File{Name: attribute(e, "name"), Size: -1}
	if len(d.files) == maxURLs {
		return errLarge
	}
	type place struct {
		url      string
		priority int
	}
	var places []place
	err := d.children(func(e xml.StartElement) error {
		switch e.Name.Local {
		case "size":
			text, err := d.text()
			if n, bad := strconv.ParseInt(text, 10, 64); err == nil && bad == nil && n >= 0 {
				f.Size = n
			}
			return err
		case "hash":
			_, err := d.text()
			f.Whole = f.Whole || digests[attribute(e, "type")] != nil
			return err
		case "pieces":
			p, err := d.piecesOf(e)
			if p != nil && (f.Pieces == nil || p.better(f.Pieces)) {
				f.Pieces = p
			}
			return err
		case "url":
			text, err := d.text()
			priority, bad := strconv.Atoi(attribute(e, "priority"))
			if bad != nil || priority < 1 || priority > 999999 {
				priority = 999999
			}
			if len(places) < maxURLs {
				places = append(places, place{text, priority})
			}
			return err
		}
		return d.skip()
	})
	slices.SortStableFunc(places, func(a, b place) int { return a.priority - b.priority })
	for _, p := range places {
		f.URLs = append(f.URLs, p.url)
	}
	if p := f.Pieces; p != nil && (f.Size < 0 || int64(p.count) != (f.Size+p.length-1)/p.length) {
		f.Pieces = nil // not of this size
	}
	d.files = append(d.files, f)
	return err
}

// piecesOf reads digests of pieces; nil where they prove nothing that can be held.
func (d *decoder) piecesOf(e xml.StartElement) (*Pieces, error) {
	length, bad := strconv.ParseInt(attribute(e, "length"), 10, 64)
	digest := digests[attribute(e, "type")]
	p := &Pieces{length: length, digest: digest}
	good := bad == nil && length > 0 && length <= MaxPiece && digest != nil
	err := d.children(func(e xml.StartElement) error {
		if e.Name.Local != "hash" {
			return d.skip()
		}
		if d.pieces++; d.pieces > maxPieces {
			return errLarge
		}
		text, err := d.text()
		if err != nil || !good {
			return err
		}
		sum, bad := hex.DecodeString(text)
		if good = bad == nil && len(sum) == digest().Size(); good {
			p.sums = append(p.sums, sum...)
			p.count++
		}
		return nil
	})
	if !good || p.count == 0 {
		return nil, err
	}
	return p, err
}
