// What doctor says of programs: whether Midstream can be preloaded into them, which the launcher knows, and which of their downloads
// can be moved, which follows from the library that they have TLS by.
package doctor

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// usual are programs that people download with; those that are installed are looked at when none are named.
var usual = []string{
	"curl", "wget", "aria2c", "axel", "lftp", "apt-get", "pip3", "git", "ffmpeg", "mpv", "vlc", "yt-dlp", "http", "rsync", "wget2", "npm", "node", "cargo", "java",
	"firefox", "firefox-esr", "chromium", "google-chrome", "steam", "flatpak", "snap", "docker", "podman", "rclone", "skopeo", "kubectl", "gh",
}

// partly are programs of which something is known that cannot be seen in their files: docs/programs.md.
var partly = map[string]string{
	"git":           "only what it fetches by GET (from plain web servers) can be moved, not the usual exchange with POST",
	"rsync":         "it speaks no HTTP",
	"npm":           "what comes over TLS cannot be moved: its TLS library is linked in",
	"node":          "what comes over TLS cannot be moved: its TLS library is linked in, or works on memory",
	"java":          "what comes over TLS cannot be moved: Java has TLS of its own",
	"firefox":       "what comes over TLS can be moved only to a server with the same key: it verifies certificates by itself",
	"firefox-esr":   "what comes over TLS can be moved only to a server with the same key: it verifies certificates by itself",
	"chromium":      "what comes over TLS cannot be moved: its TLS library is linked in",
	"google-chrome": "what comes over TLS cannot be moved: its TLS library is linked in",
}

// Installed are the usual programs that there are.
func Installed() (names []string) {
	for _, name := range usual {
		if _, err := exec.LookPath(name); err == nil {
			names = append(names, name)
		}
	}
	return names
}

// Programs looks at each; those that can be served are told of in one line, unless they were asked for.
func (f *Findings) Programs(names []string, asked bool) {
	var good []string
	for _, name := range names {
		text, weight := lookAtProgram(name)
		switch {
		case weight == Fine && !asked:
			good = append(good, name)
		case weight == Problem && !asked:
			f.Add(Note, name, text) // it may be used for other things than downloads
		default:
			f.Add(weight, name, text)
		}
	}
	if len(good) > 0 {
		f.Add(Fine, "programs", "downloads of these can be moved: "+strings.Join(good, " "))
	}
}

// lookAtProgram says what is to be expected of one.
func lookAtProgram(name string) (text, weight string) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "there is no such program", Problem
	}
	if limit := LauncherSays(name); limit != "" {
		return limit, Problem
	}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	for _, known := range []string{filepath.Base(name), filepath.Base(path)} {
		if what, ok := partly[known]; ok {
			return what, Note
		}
	}
	switch library := tlsOf(path); library {
	case "":
		return "its downloads can be moved; those over TLS, where its TLS is OpenSSL's or GnuTLS's", Fine
	default:
		return "its downloads can be moved, also those over TLS (" + library + ")", Fine
	}
}

// LauncherSays asks the launcher what it would say before it starts the program with these options of its own, "" if nothing.
func LauncherSays(name string, options ...string) string {
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	launcher := filepath.Join(filepath.Dir(self), "midstream")
	var said bytes.Buffer
	c := exec.Command(launcher, append(append([]string{"--look"}, options...), "--", name)...)
	c.Stderr = &said
	if c.Run() == nil || said.Len() == 0 {
		return ""
	}
	line, _, _ := strings.Cut(said.String(), "\n")
	return strings.TrimPrefix(line, "midstream: ")
}

// tlsOf names the TLS library that the program's file, or a library that it asks for, is linked with; "" where none is to be seen.
func tlsOf(path string) string {
	seen := map[string]bool{}
	queue := []string{path}
	for len(queue) > 0 && len(seen) < 64 {
		at := queue[0]
		queue = queue[1:]
		f, err := elf.Open(at)
		if err != nil {
			continue
		}
		needed, _ := f.ImportedLibraries()
		f.Close()
		for _, name := range needed {
			switch {
			case strings.HasPrefix(name, "libssl.so.3"), strings.HasPrefix(name, "libssl.so.1.1"):
				return "OpenSSL"
			case strings.HasPrefix(name, "libgnutls.so"):
				return "GnuTLS"
			case seen[name]:
				continue
			}
			seen[name] = true
			if file := libraryFile(name); file != "" {
				queue = append(queue, file)
			}
		}
	}
	return ""
}

// libraryFile is where the dynamic linker usually finds a library.
func libraryFile(name string) string {
	for _, pattern := range []string{"/lib/*-linux-gnu", "/usr/lib/*-linux-gnu", "/lib64", "/usr/lib64", "/usr/local/lib", "/lib", "/usr/lib"} {
		files, _ := filepath.Glob(filepath.Join(pattern, name))
		slices.Sort(files)
		if len(files) > 0 {
			return files[0]
		}
	}
	return ""
}
