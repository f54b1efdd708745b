package rest

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// metadata is where clouds keep the credentials of a machine.
var metadata = []netip.Addr{netip.MustParseAddr("169.254.169.254"), netip.MustParseAddr("fd00:ec2::254")}

// Whatever is dialled: an address that is, or leads to, the machine's metadata or a link-local one is refused, and
// with Strict one that is not public.
func FuzzGuard(f *testing.F) {
	for _, seed := range []string{
		"127.0.0.1:80", "[::1]:443", "[::ffff:169.254.169.254]:80", "[64:ff9b::a9fe:a9fe]:80", "[2002:a9fe:a9fe::]:80", "[fe80::1%eth0]:1",
		"[fd00:ec2::254]:80", "8.8.8.8:53", "[::169.254.169.254]:80", "0.0.0.0:0", "x", "[2001:0:a9fe:a9fe::5601:5601]:1",
	} {
		f.Add("host.example", seed)
	}
	f.Fuzz(func(t *testing.T, host, address string) {
		target, err := netip.ParseAddrPort(address)
		for _, strict := range []bool{false, true} {
			p, fault := Guard{Strict: strict}.policy()
			if fault != nil {
				t.Fatal(fault)
			}
			refused := p.check(host, address)
			if err != nil {
				if refused == nil {
					t.Errorf("%q is no address, and may be dialled", address)
				}
				continue
			}
			a := target.Addr().WithZone("").Unmap()
			bad := a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified()
			bad = bad || strict && (a.IsLoopback() || a.IsPrivate())
			for _, m := range metadata {
				bad = bad || a == m
			}
			if bad && refused == nil {
				t.Errorf("%q may be dialled, strict %t", address, strict)
			}
		}
	})
}

// A URL of any text is refused, or is an absolute one of HTTP with a host; the error shows nothing of it.
func FuzzURL(f *testing.F) {
	for _, seed := range []string{
		"http://a.example/p?q#f", "https://user:canary@h/", "http:canary", "file:///etc/passwd", "http://[::1]:80/", "http://%zz",
		"//h", "",
		"http://0x7f.1/", "gopher://h", "http://h:99999/", "HTTP://H\x00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		u, err := parseTarget(target)
		if err == nil {
			if u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
				t.Errorf("%q was taken as %+v", target, u)
			}
			if again, err := url.Parse(u.String()); err != nil || again.Host != u.Host {
				t.Errorf("%q became %q", target, u)
			}
		}
		secret := "http://u:canary@" + target
		if _, err := parseTarget(secret); err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("the error shows the URL: %v", err)
		}
	})
}
