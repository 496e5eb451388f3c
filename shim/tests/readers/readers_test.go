// Package readers tests what the shim reads by itself – the configuration, the manager's order, netlink's answers, files of
// /proc, DNS – against what the octets mean: however they are split, and with checks of memory.
package readers

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"midstream/core/config"
)

// In read/read.c.
const (
	route       = 'n'
	link        = 'l'
	driver      = 'v'
	interfaces  = 'd'
	settings    = 'c'
	settingsOf  = 'o' // the same by a file's name
	order       = 'u'
	set         = 'e'
	gone        = 's'
	dns         = 'x'
	tunnel      = 't'
	clientHello = 'h'
	instruction = 'i'
)

var helper struct {
	in  io.WriteCloser
	out *bufio.Reader
}

func TestMain(m *testing.M) {
	os.Exit(func() int {
		folder, err := os.MkdirTemp("", "readers")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(folder)
		runtime := filepath.Join(folder, "runtime")
		if err := os.Mkdir(runtime, 0o700); err != nil {
			panic(err)
		}
		files, err := filepath.Glob("read/*.c")
		if err != nil {
			panic(err)
		}
		program := filepath.Join(folder, "read")
		// The shim's files call each other; what is not tried here is not there.
		args := []string{"-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
			"-fno-pie", "-no-pie", "-ftls-model=initial-exec", "-w", "-Wl,--unresolved-symbols=ignore-all", "-I../..", "-o", program,
			"../../process/calls.c", "../../process/lines.c", "../../process/runtime.c"}
		if text, err := exec.Command("cc", append(args, files...)...).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "compile read/*.c: %v\n%s", err, text)
			return 1
		}
		read := exec.Command(program)
		read.Env = append(os.Environ(), "MIDSTREAM_RUNTIME_DIR="+runtime)
		read.Stderr = os.Stderr
		if helper.in, err = read.StdinPipe(); err != nil {
			panic(err)
		}
		out, err := read.StdoutPipe()
		if err != nil {
			panic(err)
		}
		helper.out = bufio.NewReader(out)
		if err := read.Start(); err != nil {
			panic(err)
		}
		code := m.Run()
		helper.in.Close()
		if err := read.Wait(); err != nil && code == 0 {
			fmt.Fprintf(os.Stderr, "read: %v\n", err)
			code = 1
		}
		return code
	}())
}

func once(t testing.TB, kind byte, seed uint32, name string, octets []byte) string {
	t.Helper()
	message := binary.NativeEndian.AppendUint32([]byte{kind}, seed)
	message = binary.NativeEndian.AppendUint32(message, uint32(len(name)))
	message = binary.NativeEndian.AppendUint32(message, uint32(len(octets)))
	message = append(append(message, name...), octets...)
	if _, err := helper.in.Write(message); err != nil {
		t.Fatal(err)
	}
	line, err := helper.out.ReadString('\n')
	if err != nil {
		t.Fatalf("read.c ended: %v", err)
	}
	return strings.TrimSuffix(line, "\n")
}

// ask returns what the shim makes of the octets, which is to be the same however they come.
func ask(t testing.TB, kind byte, name string, octets []byte) string {
	t.Helper()
	whole := once(t, kind, 0, name, octets)
	for seed := range uint32(3) {
		if split := once(t, kind, seed+1, name, octets); split != whole {
			t.Fatalf("%c %q %q:\nin one piece %s\nin pieces    %s (%d)", kind, name, octets, whole, split, seed+1)
		}
	}
	return whole
}

// attribute is one of rtnetlink(7)'s.
func attribute(kind uint16, value ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	return append(b, make([]byte, -len(b)&3)...)
}

// answer is a message of netlink's, of RTM_NEWROUTE.
func answer(length, kind byte, attributes ...[]byte) []byte {
	body := append([]byte{2, length, 0, 0, 254, 3, 0, kind, 0, 0, 0, 0}, bytes.Join(attributes, nil)...)
	b := binary.NativeEndian.AppendUint32(nil, uint32(16+len(body)))
	b = binary.NativeEndian.AppendUint16(b, 24)
	return append(append(b, make([]byte, 10)...), body...)
}

// readRoute is what route_find() is to make of an answer.
func readRoute(b []byte) string {
	b = b[:min(len(b), 1024)]
	if len(b) < 28 || binary.NativeEndian.Uint16(b[4:]) != 24 || b[16+7] != 1 {
		return "no"
	}
	var index, metric uint32
	table := uint32(b[16+4])
	through := 0
	if b[16+1] == 0 {
		through = 1
	}
	for a := b[28:]; len(a) >= 4; {
		length := int(binary.NativeEndian.Uint16(a))
		if length < 4 || length > len(a) {
			break
		}
		switch value := a[4:length]; binary.NativeEndian.Uint16(a[2:]) {
		case 4: // RTA_OIF
			if len(value) >= 4 {
				index = binary.NativeEndian.Uint32(value)
			}
		case 6: // RTA_PRIORITY
			if len(value) >= 4 {
				metric = binary.NativeEndian.Uint32(value)
			}
		case 15: // RTA_TABLE
			if len(value) >= 4 {
				table = binary.NativeEndian.Uint32(value)
			}
		case 5, 18: // RTA_GATEWAY, RTA_VIA
			through = 1
		}
		a = a[min(len(a), (length+3)&^3):]
	}
	return fmt.Sprint(index, metric, through, table)
}

func FuzzRoute(f *testing.F) {
	index, metric := attribute(4, 3, 0, 0, 0), attribute(6, 100, 0, 0, 0)
	f.Add(answer(0, 1, attribute(15, 254, 0, 0, 0), attribute(5, 10, 0, 0, 1), index, metric))
	f.Add(answer(24, 1, index, attribute(18, 10, 0, 1, 2, 3, 4)))
	f.Add(answer(0, 1, attribute(9, bytes.Repeat([]byte{8, 0, 0, 0}, 10)...)))
	f.Add(answer(0, 7, index))
	f.Add(append(answer(0, 1, index), 4, 0, 4, 0))
	f.Add(answer(0, 1, attribute(1, make([]byte, 1024-28-8)...), []byte{4, 0, 4, 0}))
	f.Add(answer(0, 1, attribute(1, make([]byte, 1024-28-8)...), []byte{4, 0, 6, 0}))
	f.Add(answer(0, 1, []byte{0, 0, 4, 0}))
	f.Fuzz(func(t *testing.T, octets []byte) {
		if got, want := ask(t, route, "", octets), readRoute(octets); got != want {
			t.Fatalf("%x: %s, want %s", octets, got, want)
		}
	})
}

func FuzzLink(f *testing.F) {
	seed := make([]byte, 32)
	seed[4] = 16
	for _, flags := range []byte{0, 1} {
		seed[24], seed[26] = flags, flags
		f.Add(bytes.Clone(seed))
	}
	f.Fuzz(func(t *testing.T, octets []byte) {
		const up = 1 | 1<<16 // IFF_UP, IFF_LOWER_UP
		want := len(octets) < 32 || binary.NativeEndian.Uint16(octets[4:]) != 16 || binary.NativeEndian.Uint32(octets[24:])&up == up
		if got := ask(t, link, "", octets) == "1"; got != want {
			t.Fatalf("%x: %v", octets, got)
		}
	})
}

// A link's driver, of which the rest may not have fitted into the answer.
func FuzzDriver(f *testing.F) {
	link := func(attributes ...[]byte) []byte {
		body := append([]byte{0, 0, 254, 255, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0}, bytes.Join(attributes, nil)...)
		b := binary.NativeEndian.AppendUint32(nil, uint32(16+len(body)))
		b = binary.NativeEndian.AppendUint16(b, 16)
		return append(append(b, make([]byte, 10)...), body...)
	}
	tun := attribute(18, attribute(1, []byte("tun\x00")...)...)
	whole := link(attribute(3, []byte("vpn0\x00")...), attribute(10, 7, 0, 0, 0), tun)
	f.Add(whole)
	f.Add(whole[:len(whole)-2])
	f.Add(link(attribute(18, append(attribute(1, []byte("wireguard\x00")...), attribute(2, make([]byte, 1400)...)...)...)))
	f.Add(link(attribute(18, attribute(1, bytes.Repeat([]byte{'x'}, 99)...)...)))
	f.Add(link([]byte{200, 0, 18, 0, 9, 0, 1, 0, 't', 'u', 'n'}))
	for octets, want := range map[string]string{
		string(whole): "65534 7 1 74756e", string(link()): "65534 0 0 ",
		string(link(attribute(18, append(attribute(1, []byte("wireguard\x00")...), attribute(2, make([]byte, 1400)...)...)...))): "65534 0 1 776972656775617264",
	} {
		if got := ask(f, driver, "", []byte(octets)); got != want {
			f.Errorf("%x: %s, not %s", octets, got, want)
		}
	}
	f.Fuzz(func(t *testing.T, octets []byte) { ask(t, driver, "", octets) })
}

// must reports whether the configuration forbids new connections over the interface where the shim has to know.
func must(c *config.Config, name string) bool {
	for _, rule := range c.Policy.Rules {
		if rule.Avoid == name {
			return true
		}
	}
	return c.Interfaces[name].Never || !c.Failover.Enabled || len(c.Sessions.Include)+len(c.Sessions.Exclude) > 0
}

var configurations = []string{
	"[interfaces.wwan0]\nkind = 'tunnel'\nmetered = true # a\n",
	"interfaces.wwan0.kind=\"wifi\"\ninterfaces.wwan0.cost = 0.5",
	"[interfaces.wwan0]\ncost = 1e2\nmetered = false\n[interfaces.wwan1]\nkind = \"tunnel\"",
	"[policy]\nleave_tunnel = true",
	"policy.prefer = [ \"wlan0\", 'wwan0' ]",
	"policy.prefer = [ \"wlan0\",\n 'wwan0' ]",
	"policy.prefer = ['enp0s31f6', 'enp0s31f7', 'enp0s31f8', 'enp0s31f9', 'enp0s31f10', 'wwan01', 'wwan02']",
	"policy.prefer = ['enp0s31f6', 'enp0s31f7', 'enp0s31f8', 'enp0s31f9', 'enp0s31f10abcde', 'wwan01']",
	"",
	"[tls]\nhttp2 = \"keep\"\n",
	" [ tls ] # a\r\n\thttp2='keep' # b\r\n",
	"tls.http2 = \"keep\"",
	"[migration]\nproof = \"whole\" # a\n",
	"migration = { single = false, proof = 'whole' }\n",
	"migration.proof = 'trust'",
	"[tls]\nhttp2 = \"avoid\"\n[failover]\nenabled = false\n",
	"failover.enabled = false",
	"tls = { http2 = \"keep\" }\n",
	"tls = { identity = 'issuer', http2 = 'keep' }\n",
	"[tls]\nidentity = \"issuer\"\nhttp2 = \"keep\"\n",
	"tls.identity = 'key'",
	"[tls]\nhttp3 = \"refuse\"\n",
	"tls = { http3 = 'refuse', http2 = 'keep' }\n",
	"tls.http3 = 'allow'\nfailover.enabled = false",
	"[\"tls\"]\n\"http2\" = \"keep\"\n",
	"tls . http2 = \"keep\"\n'tls'.x = 1",
	"[interfaces.wwan0]\nnever = true\ncost = 2\n",
	"[interfaces]\nwwan0.never=true",
	"[interfaces.\"wwan0\"]\ndns = [ # all\n\"1.1.1.1\",\n\"[::1]:53\" ]\nnever\t=\ttrue",
	"interfaces = { wwan0 = { never = true } }",
	"interfaces.wwan0 = { never = true }",
	"[[policy.rules]]\nwhen = 'wlan0.rtt > 3'\navoid = \"wwan0\"\n",
	"policy.rules = [\n{ when = '''\nwlan0.rtt > 3''', avoid = \"wwan0\" } ]",
	"[policy]\nprefer = [\"a\", \"b\"]\nrules = []",
	"[[policy.servers]]\nhost = \"*\"\nprefer = [\"10.0.0.0/8\"]\n[[sessions.exclude]]\ncommand = \"wget\"",
	"[sessions]\nexclude = [{ port = 80 }]",
	"sessions.include = [\n {host='a'}]\n",
	"[migration]\nsingle = true\n[[migration.pairs]]\nfrom='a'\nto='b'\nsingle=false\n",
	"[interfaces.w]\nprovider = \"\"\"\n[tls]\nhttp2 = 'keep'\"\"\"\n",
	"[interfaces.w]\nprovider = '''\n[tls]'''\n[failover]\nenabled=false",
}

// costs and kindOf are what the core says of an interface, as far as the shim asks for it.
func costs(i config.Interface) bool { return i.Metered != nil && *i.Metered || i.Cost > 0 }

func kindOf(i config.Interface) string {
	switch i.Kind {
	case "":
		return ""
	case "tunnel":
		return "t"
	}
	return "n"
}

// What is left to the core to say: whether the file is valid at all. And texts of several lines, which nothing that the
// shim looks for needs.
func FuzzConfiguration(f *testing.F) {
	for _, text := range configurations {
		f.Add(text)
	}
	folder := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		const name = "wwan0"
		found := ask(t, settings, name, []byte(text))
		says := func(letter string) bool { return strings.Contains(found, letter) }
		if !utf8.ValidString(text) || strings.ContainsAny(text, "\\") || strings.Contains(text, `"""`) || strings.Contains(text, "'''") {
			return
		}
		file := filepath.Join(folder, "config.toml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(file)
		if err != nil {
			return
		}
		if says("k") != (c.TLS.HTTP2 == config.HTTP2Keep) {
			t.Errorf("%q: the shim keeps HTTP/2: %v", text, says("k"))
		}
		if says("w") != (c.Migration.Proof == config.ProofWhole) {
			t.Errorf("%q: the shim makes digests: %v", text, says("w"))
		}
		if says("r") != (c.TLS.HTTP3 == config.HTTP3Refuse) {
			t.Errorf("%q: the shim refuses HTTP/3: %v", text, says("r"))
		}
		if must(c, name) && !says("f") {
			t.Errorf("%q: the shim does not see that %s is forbidden", text, name)
		}
		if says("l") && !c.Policy.LeaveTunnel && !slices.Contains(c.Policy.Prefer, name) {
			t.Errorf("%q: the shim leaves a tunnel over %s", text, name)
		}
		if strings.Contains(text, "{") {
			return // nothing is connected over the interface then
		}
		if costs(c.Interfaces[name]) && !says("c") {
			t.Errorf("%q: the shim does not see that %s costs", text, name)
		}
		if kind := kindOf(c.Interfaces[name]); kind != "" && !says(kind) {
			t.Errorf("%q: the shim does not see what %s is: %s", text, name, found)
		}
	})
}

// Nobody writes to the FIFO, and the other one never ends: whoever waits for that waits for ever.
func TestConfigurationIsNoFile(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, "/dev/zero"} {
		if got := once(t, settingsOf, 0, path, nil); got != "." {
			t.Errorf("%s: %s", path, got)
		}
	}
}

func FuzzInterfaces(f *testing.F) {
	f.Add([]byte("Inter-|   Receive\n face |bytes\n    lo: 1 2\n  eth0:123 4 5\nwlan0: 1\nbr-lan:1"))
	f.Add([]byte(strings.Repeat("a", 300) + ":\nverylongname1234: 1\nverylongname123: 1\n:\n  :"))
	f.Fuzz(func(t *testing.T, octets []byte) {
		var want strings.Builder
		lines := strings.Split(string(octets), "\n")
		if lines[len(lines)-1] == "" {
			lines = lines[:len(lines)-1]
		}
		for _, line := range lines {
			line, _, _ = strings.Cut(line[:min(len(line), 255)], "\x00")
			name, _, found := strings.Cut(strings.TrimLeft(line, " "), ":")
			if found && len(name) < 16 && name != "lo" {
				fmt.Fprintf(&want, "%x ", name)
			}
		}
		if got := ask(t, interfaces, "", octets); got != want.String() {
			t.Fatalf("%q: %s, want %s", octets, got, want.String())
		}
	})
}

func FuzzOrder(f *testing.F) {
	f.Add("wlan0", "eth0 wlan0 wwan0")
	f.Add("wlan0", "wlan0")
	f.Add("w", "wlan0  w ")
	f.Add("wlan", strings.Repeat("wlan0 ", 84)+"a wlan wlan0")
	f.Add("w", strings.Repeat("wlan0 ", 85)+"wlan0")
	f.Add("wwan0", "wlan0 :wwan0 :")
	f.Fuzz(func(t *testing.T, name, text string) {
		if name == "" || strings.ContainsAny(name, " :\x00") || strings.ContainsAny(text, "\x00") || strings.Contains(" "+text, "  ") {
			return
		}
		// What does not fit is left out, a name at a time.
		text = text[:min(len(text), 511)]
		words := strings.Split(text, " ")
		if len(text) == 511 {
			words = words[:len(words)-1]
		}
		want := "no 0"
		for at, word := range words {
			if own, costs := strings.CutPrefix(word, ":"); own == name {
				want = fmt.Sprintf("%d %d", at, map[bool]int{true: 1}[costs])
				break
			}
		}
		if got := ask(t, order, name, []byte(text)); got != want {
			t.Fatalf("%q in %q: %s, want %s", name, text, got, want)
		}
	})
}

func FuzzSet(f *testing.F) {
	const begin = "pos:\t0\nflags:\t02\nmnt_id:\t15\n"
	f.Add(5, uint32(0x19), uint64(1)<<63|7, uint64(41), []byte(begin))
	f.Add(7, uint32(0x40000000), uint64(0), uint64(1), []byte(strings.Repeat("x", 500)+"\n"))
	f.Add(7, uint32(0x40000019), uint64(7), uint64(1), []byte("tfd: 7 events: 0\n"))
	f.Add(7, uint32(0xc0002019), uint64(7), uint64(1<<40), []byte(strings.Repeat("x", 513)+"\n"))
	f.Fuzz(func(t *testing.T, fd int, events uint32, data, inode uint64, octets []byte) {
		fd &= 1<<30 - 1
		line := fmt.Sprintf("tfd: %8d events: %8x data: %16x  pos:0 ino:%x sdev:9\n", fd, events, data, inode)
		got := ask(t, set, "", append(octets, line...))
		// One line stands there as the kernel writes it, unless there are octets before it that the kernel does not write.
		if len(octets) > 0 && (octets[len(octets)-1] != '\n' || bytes.Contains(octets, []byte("tfd:")) || longestLine(octets) >= 512) {
			return
		}
		want := fmt.Sprintf("%d %x %x %x", fd, events, data, inode)
		if events&syscall.EPOLLONESHOT != 0 && events&(syscall.EPOLLERR|syscall.EPOLLHUP) == 0 {
			want += " fired"
		}
		if got != want {
			t.Fatalf("%q: %s, want %s", octets, got, want)
		}
	})
}

func longestLine(octets []byte) (longest int) {
	for line := range bytes.Lines(octets) {
		longest = max(longest, len(line))
	}
	return longest
}

// A thread's call, as the kernel tells it: at once.
func TestGone(t *testing.T) {
	for text, want := range map[string]string{
		"running\n":            "0",
		"-1 0x7ffc1 0x7f001\n": "0",
		"0 0x7 0x7ffe0 0x1000 0x0 0x0 0x0 0x7ffc1 0x7f001\n":  "0",
		"0 0x8 0x7ffe0 0x1000 0x0 0x0 0x0 0x7ffc1 0x7f001\n":  "1",
		"35 0x7 0x7ffe0 0x1000 0x0 0x0 0x0 0x7ffc1 0x7f001\n": "1",
		"": "0",
	} {
		if got := once(t, gone, 0, "7", []byte(text)); got != want {
			t.Errorf("%q: %s", text, got)
		}
	}
}

func FuzzDNS(f *testing.F) {
	message := []byte("\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01")
	f.Add(message)
	f.Add(append([]byte{0, byte(len(message))}, message...))
	f.Add(message[:12])
	f.Add(message[:11])
	f.Fuzz(func(t *testing.T, octets []byte) {
		p := octets
		if len(p) > 14 && int(binary.BigEndian.Uint16(p)) == len(p)-2 {
			p = p[2:]
		}
		want := ""
		if len(p) >= 12 && len(p) <= 1232 && p[2]&0x80 != 0 {
			want = fmt.Sprintf("%x", p)
		}
		if _, got, _ := strings.Cut(ask(t, dns, "", octets), " "); got != want {
			t.Fatalf("%x: %s", octets, got)
		}
	})
}

func FuzzTunnel(f *testing.F) {
	f.Add([]byte("CONNECT a.example:443 HTTP/1.1\r\n"))
	f.Add([]byte("CONNECT [::1]:443 HTTP/1.1\r\n"))
	f.Add([]byte("CONNECT " + strings.Repeat("a", 263) + " "))
	f.Add([]byte("CONNECT " + strings.Repeat("a", 264) + " "))
	f.Add([]byte("CONNECT "))
	f.Fuzz(func(t *testing.T, octets []byte) {
		if len(octets) == 0 {
			return
		}
		want := "no"
		if rest, found := bytes.CutPrefix(octets, []byte("CONNECT ")); found && len(rest) > 0 {
			end := bytes.IndexFunc(rest, func(r rune) bool { return r <= ' ' })
			if end >= 0 && end <= 263 && rest[end] == ' ' {
				want = fmt.Sprintf("%x", rest[:end])
			}
		}
		if got := ask(t, tunnel, "", octets); got != want {
			t.Fatalf("%q: %s, want %s", octets, got, want)
		}
	})
}

// sent is the ClientHello of that client.
func sent(config *tls.Config) []byte {
	client, server := net.Pipe()
	defer server.Close()
	go func() {
		tls.Client(client, config).Handshake()
		client.Close()
	}()
	octets := make([]byte, 16<<10)
	n, _ := server.Read(octets)
	return octets[:n]
}

// heard is what Go's own server makes of a ClientHello, nil if nothing.
func heard(octets []byte) (hello *tls.ClientHelloInfo) {
	client, server := net.Pipe()
	go func() {
		client.Write(octets)
		client.Close()
	}()
	tls.Server(server, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		hello = h
		return nil, errors.New("it has been read")
	}}).Handshake()
	server.Close()
	return hello
}

// isOrdinary is 1 where a server with a key of P-256 can answer with TLS 1.2 or 1.3.
func isOrdinary(h *tls.ClientHelloInfo) int {
	suites := map[uint16][]uint16{
		tls.VersionTLS13: {tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256},
		tls.VersionTLS12: {tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256},
	}
	group := slices.Contains(h.SupportedCurves, tls.X25519) || slices.Contains(h.SupportedCurves, tls.CurveP256)
	for version, of := range suites {
		if group && slices.Contains(h.SignatureSchemes, tls.ECDSAWithP256AndSHA256) && slices.Contains(h.SupportedVersions, version) &&
			slices.ContainsFunc(of, func(suite uint16) bool { return slices.Contains(h.CipherSuites, suite) }) {
			return 1
		}
	}
	return 0
}

// What Go's TLS makes of a ClientHello in one record, the reader makes of it too.
func FuzzClientHello(f *testing.F) {
	for _, protocols := range [][]string{nil, {"h2", "http/1.1"}, {"http/1.1"}, {"h2"}, {"spdy/3", "x"}} {
		for _, name := range []string{"files.example", strings.Repeat("a.", 120) + "example"} {
			whole := sent(&tls.Config{ServerName: name, NextProtos: protocols})
			f.Add(whole)
			f.Add(whole[:len(whole)/2])
			f.Add(whole[:60])
		}
	}
	f.Add(sent(&tls.Config{ServerName: "a.example", MaxVersion: tls.VersionTLS12}))
	f.Add(sent(&tls.Config{ServerName: "a.example", MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}))
	f.Add(sent(&tls.Config{ServerName: "a.example", CurvePreferences: []tls.CurveID{tls.CurveP384}}))
	f.Fuzz(func(t *testing.T, octets []byte) {
		var protocols, http, ordinary int
		var name string
		got := ask(t, clientHello, "", octets)
		if _, err := fmt.Sscanf(got+" -", "%d %d %d %s", &protocols, &http, &ordinary, &name); err != nil {
			t.Fatalf("%x: %q: %v", octets, got, err)
		}
		hello := heard(octets)
		if hello == nil || len(octets) < 9 || int(binary.BigEndian.Uint16(octets[3:])) < 4+int(binary.BigEndian.Uint32(octets[5:])&0xffffff) {
			return // no ClientHello, or one in several records
		}
		is := func(p string) bool { return p == "h2" || p == "http/1.1" || p == "http/1.0" }
		want := fmt.Sprintf("%d %d %d %x", min(len(hello.SupportedProtos), 1), 0, isOrdinary(hello), hello.ServerName)
		if slices.ContainsFunc(hello.SupportedProtos, is) {
			want = fmt.Sprintf("1 1 %d %x", isOrdinary(hello), hello.ServerName)
		}
		if got != want {
			t.Fatalf("%x: %s, want %s", octets, got, want)
		}
	})
}
