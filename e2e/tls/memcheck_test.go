package tls

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"midstream/e2e/lab"
)

// There is no telling which of memcheck's complaints about Go's own stacks and memory are right; the core is loaded past it, so
// that its frames have no names. What counts are errors in the program, the libraries and the shim, and what they have lost.
var (
	complaint = regexp.MustCompile(`(?m)^==\d+==    at 0x[0-9A-F]+: .*\n(==\d+==    by .*\n)*`)
	frame     = regexp.MustCompile(`(?m)^==\d+==    (?:at|by) 0x[0-9A-F]+: (.*)$`)
	loss      = regexp.MustCompile(`(?m)^==\d+== .* (?:definitely|indirectly) lost in .*\n(==\d+==    .*\n)*`)
)

// ofCore reports whether a complaint is about the core: the first frame has no name (in whichever file memcheck believes it to be: the core
// is opened by a thread whose descriptors it does not know), but for that of memcheck's own memmove and its like,
// which the core's C copies octets into Go's memory with; whoever has called that may be beyond what memcheck can follow.
func ofCore(found string) bool {
	for _, f := range frame.FindAllStringSubmatch(found, -1) {
		if !strings.Contains(f[1], "(vg_replace_strmem.c:") && !strings.Contains(f[1], "/vgpreload_memcheck") {
			return strings.HasPrefix(f[1], "???")
		}
	}
	return true
}

// complaints are those that count, ten of them at most.
func complaints(text string) (all []string) {
	for _, found := range complaint.FindAllString(text, -1) {
		if !ofCore(found) && len(all) < 10 {
			all = append(all, found)
		}
	}
	return all
}

func TestComplaintsAboutTheCoreDoNotCount(t *testing.T) {
	const (
		copies = "==7==    at 0x484E7A8: memmove (vg_replace_strmem.c:1385)\n"
		core   = "==7==    by 0xC0001: ???\n"
		shim   = "==7==    by 0x4857B2: keep (framing.c:330)\n"
	)
	for text, count := range map[string]int{
		"==7==    at 0xC0000: ???\n" + core: 0, copies + core: 0, copies: 0, copies + core + shim: 0,
		"==7==    at 0xC0000: ??? (in /tmp/out)\n" + core: 0, copies + shim: 1, copies + shim + core: 1, "==7==    at 0x4857B2: keep (framing.c:330)\n" + core + "==7==\n" + copies: 1,
	} {
		if found := complaints("==7== Invalid write of size 8\n" + text + "==7==  Address 0x0 is not stack'd\n"); len(found) != count {
			t.Errorf("%q: %q", text, found)
		}
	}
}

// travel moves a download by request and back after a failure.
func (s *site) travel(p *lab.Program, out string) lab.Result {
	s.t.Helper()
	os.Remove(out)
	p.Start()
	s.reached(p, out, size/4)
	s.known(p)
	moved := s.migrate("wwan0")
	left := strings.HasSuffix(p.Args[len(p.Args)-1], "=jump") // the program leaves its function, and so does not take the new server
	if len(moved) != 1 || moved[0].OK == left {
		s.t.Errorf("%+v", moved)
	}
	s.reached(p, out, size/2)
	s.Network("wwan0").ResetConnections()
	r := p.Wait()
	s.intact("travelled", out)
	return r
}

// Downloads that are moved, under memcheck.
func TestMemcheck(t *testing.T) {
	for label, gnu := range map[string]bool{"OpenSSL": false, "GnuTLS": true} {
		t.Run(label, func(t *testing.T) {
			s := newSite(t, lab.Link{})
			s.rate = 2 << 20 // the core takes its time here
			s.serve(nil)
			out, said := s.out("out"), s.out("memcheck")
			p := s.Midstream("valgrind", "--log-file="+said, "--error-limit=no", "--fair-sched=try", "--leak-check=full", "--show-leak-kinds=definite,indirect", "--num-callers=25",
				s.fetcher(gnu), s.ca.certificate, host, "443", "/"+name, out).Start()
			s.reached(p, out, size/8)
			moved := 0
			for tries := 0; moved < 2 && tries < 20; tries++ { // under memcheck, a new server may be found to be too slow
				for _, m := range s.migrate(networks[(moved+1)%2]) {
					if m.OK {
						moved++
					}
				}
			}
			if r := p.Wait(); r.Status != 0 || r.Stderr != "" || moved < 2 {
				t.Errorf("moved %d times: %v", moved, r)
			}
			s.intact(label, out)
			text, err := os.ReadFile(said)
			if err != nil || !strings.Contains(string(text), "LEAK SUMMARY") {
				t.Fatalf("memcheck did not come to its end: %v\n%s", err, text)
			}
			for _, found := range append(complaints(string(text)), loss.FindAllString(string(text), 10)...) {
				t.Error(found)
			}
		})
	}
}

// sanitizedShim is a folder with a shim that has sanitizers, and the core: compiled once, in the laboratory's own /run. What
// stands in for dlsym is called before the sanitizers are there.
var sanitizedShim = sync.OnceValues(func() (folder string, err error) {
	sources, err := filepath.Glob("../../shim/*/*.c")
	if err != nil {
		return "", err
	}
	if folder, err = os.MkdirTemp("/run", "sanitized-"); err != nil {
		return "", err
	}
	gcc := func(args ...string) error {
		if text, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("gcc %s: %w\n%s", strings.Join(args, " "), err, text)
		}
		return nil
	}
	objects := make([]string, len(sources))
	errs := make([]error, len(sources))
	work := make(chan int)
	var compilers sync.WaitGroup
	for range runtime.NumCPU() {
		compilers.Go(func() {
			for i := range work {
				objects[i] = filepath.Join(folder, filepath.Base(sources[i])+".o")
				args := []string{"-O1", "-g", "-std=gnu11", "-D_GNU_SOURCE", "-U_FORTIFY_SOURCE", "-fPIC", "-fvisibility=hidden",
					"-fexceptions", "-ftls-model=initial-exec", "-I../../shim", "-fno-omit-frame-pointer", "-c", "-o", objects[i], sources[i]}
				if filepath.Base(sources[i]) != "lookup.c" {
					args = append(args, "-fsanitize=address,undefined")
				}
				errs[i] = gcc(args...)
			}
		})
	}
	for i := range sources {
		work <- i
	}
	close(work)
	compilers.Wait()
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	core, err := filepath.Abs("../../build/libmidstream-core.so")
	if err != nil {
		return "", err
	}
	return folder, errors.Join(os.Symlink(core, filepath.Join(folder, "libmidstream-core.so")),
		gcc(append([]string{"-shared", "-fsanitize=address,undefined", "-Wl,-z,now,-z,nodelete", "-o", filepath.Join(folder, "libmidstream.so"),
			"-Wl,--version-script=../../build/shim/exports.map"}, objects...)...))
})

// sanitized is a program under a sanitized shim, and what fails the test if anything was reported.
func (s *site) sanitized(label string, args []string) (p *lab.Program, reports func()) {
	s.t.Helper()
	folder, err := sanitizedShim()
	if err != nil {
		s.t.Fatal(err)
	}
	library, err := exec.Command("gcc", "-print-file-name=libasan.so").Output()
	if err != nil {
		s.t.Fatal(err)
	}
	preload := strings.TrimSpace(string(library)) + ":" + filepath.Join(folder, "libmidstream.so")
	path := s.out("report-" + label)
	// The shim tells frames by where they lie on the stack: no other place for them, as gcc 14's has by default.
	p = s.Command(args...)
	p.Env = append(p.Env, "LD_PRELOAD="+preload,
		fmt.Sprintf("ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0:log_path=%s:exitcode=9", path), "UBSAN_OPTIONS=print_stacktrace=1:log_path="+path)
	return p, func() {
		s.t.Helper()
		found, _ := filepath.Glob(path + "*")
		for _, file := range slices.Sorted(slices.Values(found)) {
			text, _ := os.ReadFile(file)
			s.t.Errorf("%s", text)
		}
	}
}

// The same with the shim compiled for AddressSanitizer and UndefinedBehaviorSanitizer.
func TestSanitizers(t *testing.T) {
	s := newSite(t, lab.Link{})
	s.serve(nil)
	out := s.out("out")
	clients := map[string][]string{
		"OpenSSL": {s.fetcher(false), s.ca.certificate, host, "443", "/" + name, out},
		"GnuTLS":  {s.fetcher(true), s.ca.certificate, host, "443", "/" + name, out},
		"wget":    {"wget", "-q", "--ca-certificate=" + s.ca.certificate, "-O", out, s.url()},
	}
	for _, how := range []string{"callback=look", "callback=jump"} {
		clients[how] = append(slices.Clone(clients["OpenSSL"]), how)
	}
	clients["function=jump"] = append(slices.Clone(clients["GnuTLS"]), "function=jump")
	for label, args := range clients {
		t.Run(label, func(t *testing.T) {
			s.t = t
			p, reports := s.sanitized(label, args)
			r := s.travel(p, out)
			if r.Status != 0 || r.Stderr != "" {
				t.Errorf("%v", r)
			}
			reports()
		})
	}
}
