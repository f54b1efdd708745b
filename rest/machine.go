package rest

import (
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// machineVariables name what a platform serves to a process alone: the calls that it handles, and its
// credentials. Most are on loopback, where the services of a machine are too.
var machineVariables = []string{
	"AWS_LAMBDA_RUNTIME_API", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "ECS_CONTAINER_METADATA_URI",
	"ECS_CONTAINER_METADATA_URI_V4", "ECS_AGENT_URI", "IDENTITY_ENDPOINT", "MSI_ENDPOINT", "IMDS_ENDPOINT", "GCE_METADATA_HOST",
}

// machineEndpoint returns the variable that names the address, if one does.
func machineEndpoint(host string, a netip.Addr, port uint16) string {
	for _, name := range machineVariables {
		value := os.Getenv(name)
		if value == "" {
			continue
		}
		if !strings.Contains(value, "//") {
			value = "http://" + value
		}
		u, err := url.Parse(value)
		if err != nil || portOf(u) != strconv.Itoa(int(port)) {
			continue
		}
		named := hostName(u.Hostname())
		if named == hostName(host) {
			return name
		}
		at, err := netip.ParseAddr(named)
		switch {
		case err != nil && named != "localhost":
		case err != nil || at.IsLoopback() || at.IsUnspecified():
			if isLoopback(a) {
				return name
			}
		case plain(at) == a || slices.Contains(embedded(a), plain(at)):
			return name
		}
	}
	return ""
}

// isLoopback reports whether an address is, or leads to, the machine itself.
func isLoopback(a netip.Addr) bool {
	return a.IsLoopback() || slices.ContainsFunc(embedded(a), netip.Addr.IsLoopback)
}
