// Several laboratories at a time, for a download mostly waits: a process has one only, so that each lane is a process of its own, which
// takes the names of programs on its standard input and answers each with its row, as a line of JSON.

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sync"

	"midstream/e2e/lab"
)

// lane is such a process: it ends with its input.
func lane(work string, sameLeaf bool) {
	s := &lab.Stage{}
	t := newTable(s, work, sameLeaf)
	for in, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout); in.Scan(); {
		for _, p := range programs {
			if p.name == in.Text() {
				out.Encode(t.try(p))
			}
		}
	}
	s.Clear()
}

// tryAll has all programs tried, so many at a time. A lane that breaks down is an error, after the others have done their work.
func tryAll(wanted []program, work string, sameLeaf bool, lanes int) (map[string]row, error) {
	var mu sync.Mutex // of all that follows
	rows := map[string]row{}
	var failure error
	next := make(chan program)
	var all sync.WaitGroup
	for range min(lanes, len(wanted)) {
		all.Add(1)
		go func() {
			defer all.Done()
			err := serveLane(next, work, sameLeaf, func(p program, r row) {
				mu.Lock()
				defer mu.Unlock()
				rows[p.name] = r
				fmt.Println(r)
			})
			if err != nil {
				mu.Lock()
				failure = err
				mu.Unlock()
				for range next { // what it would have been given, the others are not waiting for
				}
			}
		}()
	}
	for _, p := range wanted {
		next <- p
	}
	close(next)
	all.Wait()
	return rows, failure
}

func serveLane(next <-chan program, work string, sameLeaf bool, found func(program, row)) error {
	c := exec.Command("/proc/self/exe", "-lane", work, fmt.Sprintf("-same-leaf=%v", sameLeaf))
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		return err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	defer c.Wait()
	defer in.Close()
	answers := json.NewDecoder(out)
	for p := range next {
		fmt.Fprintln(in, p.name)
		var r row
		if err := answers.Decode(&r); err != nil {
			return fmt.Errorf("the laboratory broke down over %s: %w", p.name, err)
		}
		found(p, r)
	}
	return nil
}
