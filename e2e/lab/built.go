// What has been built, in a place that every user can reach: a checkout may lie below a home that only its owner can enter,
// and some programs that are tested give up being root.

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// builtDir shows build/ inside the laboratory.
const builtDir = labDir + "/build"

// top is the project's top folder: the nearest above the working directory that has a go.mod, "" if none has.
func top() string {
	dir, err := os.Getwd()
	for err == nil && dir != "/" {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	return ""
}

// showBuilt puts build/ at builtDir. What has not been built yet is missed by Build.
func showBuilt() error {
	build := filepath.Join(top(), "build")
	if _, err := os.Stat(build); err != nil || top() == "" {
		return nil
	}
	if err := os.MkdirAll(builtDir, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount(build, builtDir, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("show %s at %s: %w", build, builtDir, err)
	}
	return nil
}

// Root is the top folder of the project: the nearest above the working directory that has a go.mod.
func Root(t T) string {
	t.Helper()
	dir := top()
	if dir == "" {
		t.Fatalf("lab: no go.mod in the working directory or above")
	}
	return dir
}

// Build is the path of an artefact in build/, where every user can reach it once labDir is opened to them; the test fails if it
// has not been built.
func Build(t T, name string) string {
	t.Helper()
	path := filepath.Join(builtDir, name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("lab: %v; run make first", err)
	}
	return path
}
