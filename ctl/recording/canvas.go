// What a figure is drawn on: SVG, or pixels for PNG.
package recording

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

type point struct{ x, y float64 }

// anchor says which part of a text is at its place.
type anchor string

const (
	start  anchor = "start"
	middle anchor = "middle"
	ending anchor = "end"
)

type canvas interface {
	polygon(points []point, fill color.RGBA)
	line(points []point, ink color.RGBA, width float64, dashed bool)
	text(x, y float64, at anchor, size float64, ink color.RGBA, text string)
	bytes() ([]byte, error)
}

// svg is a canvas of SVG 1.1.
type svg struct{ strings.Builder }

func newVector(width, height int) *svg {
	s := &svg{}
	fmt.Fprintf(s, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="Helvetica, Arial, sans-serif">`+"\n", width, height)
	return s
}

func colourCode(c color.RGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

func places(points []point) string {
	words := make([]string, len(points))
	for i, p := range points {
		words[i] = fmt.Sprintf("%.1f,%.1f", p.x, p.y)
	}
	return strings.Join(words, " ")
}

func (s *svg) polygon(points []point, fill color.RGBA) {
	fmt.Fprintf(s, `<polygon points="%s" fill="%s"/>`+"\n", places(points), colourCode(fill))
}

func (s *svg) line(points []point, ink color.RGBA, width float64, dashed bool) {
	dash := ""
	if dashed {
		dash = ` stroke-dasharray="3 3"`
	}
	fmt.Fprintf(s, `<polyline points="%s" fill="none" stroke="%s" stroke-width="%g" stroke-linecap="round"%s/>`+"\n", places(points), colourCode(ink), width, dash)
}

func (s *svg) text(x, y float64, at anchor, size float64, ink color.RGBA, text string) {
	fmt.Fprintf(s, `<text x="%.1f" y="%.1f" font-size="%g" text-anchor="%s" fill="%s">`, x, y, size, at, colourCode(ink))
	xml.EscapeText(s, []byte(text))
	s.WriteString("</text>\n")
}

func (s *svg) bytes() ([]byte, error) { return []byte(s.String() + "</svg>\n"), nil }

// raster is a canvas of pixels, two to each of the figure's in both directions.
type raster struct {
	*image.RGBA
	font  *opentype.Font
	faces map[float64]font.Face
}

const scale = 2

func newRaster(width, height int) (*raster, error) {
	f, err := opentype.Parse(goregular.TTF)
	return &raster{image.NewRGBA(image.Rect(0, 0, width*scale, height*scale)), f, map[float64]font.Face{}}, err
}

func (r *raster) polygon(points []point, fill color.RGBA) {
	if len(points) < 3 {
		return
	}
	v := vector.NewRasterizer(r.Bounds().Dx(), r.Bounds().Dy())
	for i, p := range points {
		if i == 0 {
			v.MoveTo(float32(p.x*scale), float32(p.y*scale))
		} else {
			v.LineTo(float32(p.x*scale), float32(p.y*scale))
		}
	}
	v.ClosePath()
	v.Draw(r, r.Bounds(), image.NewUniform(fill), image.Point{})
}

func (r *raster) line(points []point, ink color.RGBA, width float64, dashed bool) {
	for i := 1; i < len(points); i++ {
		a, b := points[i-1], points[i]
		length := math.Hypot(b.x-a.x, b.y-a.y)
		step := length
		if dashed {
			step = 3
		}
		for from := 0.0; from < length && step > 0; from += 2 * step {
			to := min(from+step, length)
			r.stroke(point{a.x + (b.x-a.x)*from/length, a.y + (b.y-a.y)*from/length}, point{a.x + (b.x-a.x)*to/length, a.y + (b.y-a.y)*to/length}, ink, width)
			if !dashed {
				break
			}
		}
	}
}

// stroke draws a straight line, a little longer than it is, so that the next one joins.
func (r *raster) stroke(a, b point, ink color.RGBA, width float64) {
	length := math.Hypot(b.x-a.x, b.y-a.y)
	if length == 0 {
		return
	}
	dx, dy := (b.x-a.x)/length*width/2, (b.y-a.y)/length*width/2
	points := []point{{a.x - dx - dy, a.y - dy + dx}, {b.x + dx - dy, b.y + dy + dx}, {b.x + dx + dy, b.y + dy - dx}, {a.x - dx + dy, a.y - dy - dx}}
	x0, y0, x1, y1 := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	for _, p := range points {
		x0, y0, x1, y1 = min(x0, p.x), min(y0, p.y), max(x1, p.x), max(y1, p.y)
	}
	// Only as large as the line: there may be thousands.
	at := image.Rect(int(x0*scale)-1, int(y0*scale)-1, int(x1*scale)+2, int(y1*scale)+2)
	v := vector.NewRasterizer(at.Dx(), at.Dy())
	for i, p := range points {
		x, y := float32(p.x*scale-float64(at.Min.X)), float32(p.y*scale-float64(at.Min.Y))
		if i == 0 {
			v.MoveTo(x, y)
		} else {
			v.LineTo(x, y)
		}
	}
	v.ClosePath()
	v.Draw(r, at, image.NewUniform(ink), image.Point{})
}

func (r *raster) text(x, y float64, at anchor, size float64, ink color.RGBA, text string) {
	face := r.faces[size]
	if face == nil {
		var err error
		if face, err = opentype.NewFace(r.font, &opentype.FaceOptions{Size: size * scale, DPI: 72, Hinting: font.HintingNone}); err != nil {
			return
		}
		r.faces[size] = face
	}
	d := font.Drawer{Dst: r, Src: image.NewUniform(ink), Face: face}
	wide := float64(d.MeasureString(text)) / 64
	x *= scale
	switch at {
	case middle:
		x -= wide / 2
	case ending:
		x -= wide
	}
	d.Dot = fixed.Point26_6{X: fixed.Int26_6(x * 64), Y: fixed.Int26_6(y * scale * 64)}
	d.DrawString(text)
}

func (r *raster) bytes() ([]byte, error) {
	var b bytes.Buffer
	err := png.Encode(&b, r.RGBA)
	return b.Bytes(), err
}
