package midstream_test

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// bash parts words at = before a completion sees them.
func TestBashCompletesWhatTheLauncherTakes(t *testing.T) {
	const script = `
. ../../package/midstream.bash
_command_offset() { COMPREPLY=("command at $1"); }
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_midstream
printf '%s|' "${COMPREPLY[@]}"`
	for words, want := range map[string]string{
		"midstream |cu":                        "command at 1|",
		"midstream|--reach|=|auto|curl|-":      "command at 4|",
		"midstream|--reach|auto|curl|":         "command at 3|",
		"midstream|--reach|=|a":                "auto|all|",
		"midstream|--reach|=":                  "auto|all|off|",
		"midstream|--tls|=|c":                  "ca|",
		"midstream|--reach|o":                  "off|",
		"midstream|--log|=|debug|--str":        "--strict|",
		"midstream|--log|=|d":                  "debug|",
		"midstream|--log|":                     "off|error|warn|info|debug|trace|",
		"midstream|--config|=|../../VERS":      "../../VERSION|",
		"midstream|--config|=|x|--log|w|wget|": "command at 6|",
		"midstream|--agg":                      "--aggregate|",
		"midstream|--|--strange":               "command at 2|",
		"midstream|--strict|--|curl|--a":       "command at 3|",
	} {
		args := strings.Split(strings.ReplaceAll(words, " ", ""), "|")
		out, err := exec.Command("bash", append([]string{"--norc", "-c", script, "bash"}, args...)...).CombinedOutput()
		if err != nil || string(out) != want {
			t.Errorf("%s: %v, %s, want %s", words, err, out, want)
		}
	}
}

// Every shell offers the options that there are, and no others.
func TestShellsKnowTheOptions(t *testing.T) {
	_, usage, _ := shared.launch(t, nil, "--help")
	var options []string
	for line := range strings.Lines(usage) {
		if word, _, _ := strings.Cut(strings.TrimLeft(line, " "), " "); strings.HasPrefix(word, "--") && strings.HasPrefix(line, "  --") {
			word, _, _ = strings.Cut(word, "=")
			options = append(options, strings.Trim(word, ",-\n"))
		}
	}
	if len(options) < 6 {
		t.Fatalf("%q\n%s", options, usage)
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		text, err := os.ReadFile("../../package/midstream." + shell)
		if err != nil {
			t.Fatal(err)
		}
		for _, option := range options {
			if !strings.Contains(string(text), map[string]string{"fish": "-l "}[shell]+option) {
				t.Errorf("%s does not know --%s", shell, option)
			}
		}
		for _, m := range regexp.MustCompile(`(?:^|[ '{,|])--([a-z]+)|-l ([a-z]+)`).FindAllStringSubmatch(string(text), -1) {
			if name := m[1] + m[2]; !slices.Contains(options, name) && name != "help" && name != "fcs" {
				t.Errorf("%s knows --%s, which there is not", shell, name)
			}
		}
	}
}
