// The proxy that a program's environment names.
package config

import "strings"

// FromEnvironment returns the proxy for http URLs, or with secure for https URLs, and the hosts reached without it,
// that the environment names: http_proxy, https_proxy, all_proxy and no_proxy, in lower or, but for HTTP_PROXY (which
// CGI makes of a request's field), in upper case. What cannot be used counts as not set.
func FromEnvironment(getenv func(string) string, secure bool) (Proxy, []HostPattern) {
	either := func(name string) string {
		if v := getenv(name); v != "" {
			return v
		}
		return getenv(strings.ToUpper(name))
	}
	value := getenv("http_proxy")
	if secure {
		value = either("https_proxy")
	}
	if value == "" {
		value = either("all_proxy")
	}
	if value != "" && !strings.Contains(value, "://") {
		value = "http://" + value
	}
	p, err := parseProxy(value)
	if err != nil || p.Environment {
		return Proxy{}, nil
	}
	var bypass []HostPattern
	for _, entry := range strings.FieldsFunc(either("no_proxy"), func(r rune) bool { return r == ',' || r == ' ' }) {
		if h, err := parseHostPattern(entry); err == nil {
			bypass = append(bypass, h)
		}
	}
	return p, bypass
}
