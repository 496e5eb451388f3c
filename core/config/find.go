// Where the configuration is looked for.
package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// EnvFile names the environment variable that points to the configuration file.
const EnvFile = "MIDSTREAM_CONFIG"

const systemFile = "/etc/midstream/config.toml"

// Find returns the file to Load: $MIDSTREAM_CONFIG, whether it exists or not, else the first that
// exists of $XDG_CONFIG_HOME/midstream/config.toml (by default under ~/.config) and
// /etc/midstream/config.toml, else "", for the built-in defaults.
func Find() string {
	if file := os.Getenv(EnvFile); file != "" {
		return file
	}
	for _, file := range []string{userFile(), systemFile} {
		if file != "" && !missing(file) {
			return file
		}
	}
	return ""
}

// userFile follows the XDG Base Directory Specification: a relative path in the variable is invalid
// and counts as unset.
func userFile() string {
	dir := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) {
		home := os.Getenv("HOME")
		if !filepath.IsAbs(home) {
			return ""
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "midstream", "config.toml")
}

// missing is true only where there is certainly no file: one that cannot be looked at is an error to
// be told by Load, not to be passed over. Another user's private home is passed over, though: a
// program that has dropped its privileges still has the HOME of the one that started it.
func missing(file string) bool {
	_, err := os.Stat(file)
	if errors.Is(err, fs.ErrPermission) {
		_, err = os.Stat(filepath.Dir(file))
	}
	return err != nil
}
