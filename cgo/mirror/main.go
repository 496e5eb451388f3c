// Mirror writes what core/channel says of cgo/abi.h, and core/reason of cgo/why.def: go run ./cgo/mirror, from the top of the tree. With -check it
// writes nothing, and fails where a file differs.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
)

func main() {
	check := flag.Bool("check", false, "compare only")
	flag.Parse()
	for _, of := range []struct {
		file string
		make func() ([]byte, error)
	}{
		{"core/reason/table.go", why},
		{"core/channel/abi.go", layouts},
	} {
		if err := mirror(of.file, of.make, *check); err != nil {
			fmt.Fprintln(os.Stderr, "mirror:", err)
			os.Exit(1)
		}
	}
}

func mirror(file string, make func() ([]byte, error), check bool) error {
	source, err := make()
	if err != nil {
		return err
	}
	if !check {
		return os.WriteFile(file, source, 0o666)
	}
	if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, source) {
		return fmt.Errorf("%s is not what cgo/abi.h and cgo/why.def say: make mirror", file)
	}
	return nil
}
