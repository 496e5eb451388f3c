// Get downloads with Go's own HTTP client: get URL FILE.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	err := get(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func get(url, file string) error {
	r, err := http.Get(url)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, r.Body)
	return err
}
