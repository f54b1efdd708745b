package rest

import (
	"fmt"
	"net/netip"
)

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

// neverDialled are addresses that no service listens on, or that hand out the credentials of the
// machine to whoever asks.
var neverDialled = prefixes(
	"0.0.0.0/8", "::/128", // unspecified: on most systems the machine itself
	"169.254.0.0/16", "fe80::/10", // link-local: metadata of AWS, Azure, Google and others; ECS and EKS credentials
	"224.0.0.0/4", "ff00::/8", // multicast
	"255.255.255.255/32",                       // broadcast
	"fd00:ec2::/32",                            // AWS: metadata, EKS credentials
	"fd20:ce::254/128",                         // Google: metadata
	"fd00:42::42/128",                          // Scaleway: metadata
	"100.100.100.200/32",                       // Alibaba: metadata
	"192.0.0.192/32", "fd00:c1::a9fe:a9fe/128", // Oracle: metadata
	"168.63.129.16/32", // Azure: WireServer
)

// notPublic are the blocks of the IANA special-purpose address registries (RFC 6890) that are not
// globally reachable, and the tunnels, whose other end may be anywhere.
var notPublic = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"2001::/23",              // protocol assignments, Teredo in them
	"2001:db8::/32",          // documentation
	"2002::/16",              // 6to4
	"2620:4f:8000::/48",      // AS112
	"3fff::/20", "5f00::/16", // documentation, segment routing
)

var (
	globalUnicast = netip.MustParsePrefix("2000::/3")
	nat64         = netip.MustParsePrefix("64:ff9b::/96")   // RFC 6052
	nat64Local    = netip.MustParsePrefix("64:ff9b:1::/48") // RFC 8215
	sixToFour     = netip.MustParsePrefix("2002::/16")      // RFC 3056
	teredo        = netip.MustParsePrefix("2001::/32")      // RFC 4380
	translated    = netip.MustParsePrefix("::ffff:0:0:0/96")
	compatible    = netip.MustParsePrefix("::/96") // RFC 4291, section 2.5.5.1
)

// embedded returns the IPv4 addresses that an IPv6 address may lead to. Mapped ones (::ffff:0:0/96)
// are none: they are unmapped before.
func embedded(a netip.Addr) []netip.Addr {
	if !a.Is6() {
		return nil
	}
	b := a.As16()
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte(b[i : i+4])) }
	switch {
	case nat64.Contains(a), translated.Contains(a):
		return []netip.Addr{at(12)}
	case compatible.Contains(a) && !a.IsUnspecified() && !a.IsLoopback():
		return []netip.Addr{at(12)}
	case nat64Local.Contains(a):
		// The operator may put the address behind a prefix of 48, 56, 64 or 96 bits; byte 8 is left
		// out (RFC 6052, section 2.2).
		return []netip.Addr{
			netip.AddrFrom4([4]byte{b[6], b[7], b[9], b[10]}),
			netip.AddrFrom4([4]byte{b[7], b[9], b[10], b[11]}),
			at(9), at(12),
		}
	case sixToFour.Contains(a):
		return []netip.Addr{at(2)}
	case teredo.Contains(a):
		return []netip.Addr{at(4), netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})}
	case (b[8]&^0x03) == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe: // ISATAP (RFC 5214)
		return []netip.Addr{at(12)}
	}
	return nil
}

// plain returns the address without zone, and an IPv4-mapped one as IPv4.
func plain(a netip.Addr) netip.Addr { return a.WithZone("").Unmap() }

func inAny(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// checkNever refuses what no call may reach.
func checkNever(a netip.Addr) error {
	if inAny(neverDialled, a) {
		return fmt.Errorf("the address %s is link-local, multicast, unspecified or for the machine's metadata", a)
	}
	for _, inner := range embedded(a) {
		if inAny(neverDialled, inner) {
			return fmt.Errorf("the address %s leads to %s, which is link-local, multicast, unspecified "+
				"or for the machine's metadata", a, inner)
		}
	}
	return nil
}

// checkPublic refuses what is not a public unicast address.
func checkPublic(a netip.Addr) error {
	if nat64.Contains(a) { // the way to all of IPv4 in a network without it
		return checkPublic(embedded(a)[0])
	}
	if inAny(notPublic, a) || a.Is6() && !globalUnicast.Contains(a) {
		return fmt.Errorf("the address %s is not public, and not in the guard's Allow list", a)
	}
	return nil
}
