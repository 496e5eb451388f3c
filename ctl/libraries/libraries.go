// Package libraries finds out which version of Midstream's libraries is installed beside a program of it.
package libraries

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Folder is where the libraries are, seen from the folder above the program's; set when it is linked, as the launcher's is.
var Folder = "lib/midstream"

// Section is where a library has its version: shim/process/version.c.
const Section = ".midstream.version"

// Names are those of the libraries.
var Names = []string{"libmidstream.so", "libmidstream-core.so"}

// Libraries returns the folder of the libraries that belong to this program: the build tree's, or the installed ones.
func Libraries() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	beside := filepath.Dir(self)
	installed := Folder
	if !filepath.IsAbs(installed) {
		installed = filepath.Join(filepath.Dir(beside), Folder)
	}
	for _, folder := range []string{beside, installed} {
		if _, err := os.Stat(filepath.Join(folder, Names[0])); err == nil {
			return folder, nil
		}
	}
	return "", fmt.Errorf("there is no %s in %s or %s: build or install Midstream again", Names[0], beside, installed)
}

// Of reads the version that a library carries.
func Of(library string) (string, error) {
	f, err := elf.Open(library)
	if err != nil {
		return "", err
	}
	defer f.Close()
	s := f.Section(Section)
	if s == nil {
		return "", fmt.Errorf("%s carries no version", library)
	}
	text, err := s.Data()
	return strings.TrimRight(string(text), "\x00"), err
}
