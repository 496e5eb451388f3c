// The demonstration as a recording of the terminal, asciicast version 2: https://docs.asciinema.org/manual/asciicast/v2/.

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
	"unicode/utf8"
)

// screen is the real standard output; os.Stdout may lead to a recording as well.
var screen = os.Stdout

// record has all that is printed written into a file as well, until the function that it returns is called.
func record(path string) (end func(), err error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		file.Close()
		return nil, err
	}
	begun := time.Now()
	fmt.Fprintf(file, "{\"version\": 2, \"width\": 110, \"height\": 32, \"timestamp\": %d, \"title\": \"make demo\"}\n", begun.Unix())
	done := make(chan struct{})
	os.Stdout = w
	go func() {
		defer close(done)
		defer file.Close()
		buffer := make([]byte, 32<<10)
		kept := 0 // octets of a character that has not come whole
		for {
			n, err := r.Read(buffer[kept:])
			screen.Write(buffer[kept : kept+n])
			n += kept
			whole := n
			for whole > 0 && n-whole < utf8.UTFMax && !utf8.Valid(buffer[:whole]) {
				whole--
			}
			if whole > 0 {
				writeEvent(file, time.Since(begun), string(buffer[:whole]))
			}
			kept = copy(buffer, buffer[whole:n])
			if err != nil {
				return
			}
		}
	}()
	return func() {
		os.Stdout = screen
		w.Close()
		<-done
	}, nil
}

func writeEvent(w io.Writer, at time.Duration, text string) {
	// A terminal that a program writes to goes to the line's beginning by itself; a player does not.
	line := make([]byte, 0, len(text))
	for i := range len(text) {
		if text[i] == '\n' && (i == 0 || text[i-1] != '\r') {
			line = append(line, '\r')
		}
		line = append(line, text[i])
	}
	quoted, _ := json.Marshal(string(line))
	fmt.Fprintf(w, "[%.6f, \"o\", %s]\n", at.Seconds(), quoted)
}
