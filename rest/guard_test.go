package rest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/lambdabiz/lambdabiz/rest"
)

func TestGuardByDefault(t *testing.T) {
	t.Parallel()
	refused := []string{
		"0.0.0.0", "0.1.2.3", "::", "169.254.169.254", "169.254.170.2", "169.254.170.23", "fe80::1", "fe80::1%lo",
		"febf::1", "224.0.0.1", "239.1.1.1", "ff02::1", "255.255.255.255", "fd00:ec2::254", "fd00:ec2::23",
		"fd20:ce::254", "fd00:42::42", "fd00:c1::a9fe:a9fe", "100.100.100.200", "192.0.0.192", "168.63.129.16",
		"::ffff:169.254.169.254", "::169.254.169.254", "::ffff:0:169.254.169.254", // mapped, compatible, translated
		"64:ff9b::169.254.169.254", "64:ff9b:1::169.254.169.254", "64:ff9b:1:a9fe:a9:fe00::", // NAT64
		"64:ff9b:1:fea9:fe:a9fe::", "64:ff9b:1:0:a9:fea9:fe00:0",
		"2002:a9fe:a9fe::1", "2001:0:a9fe:a9fe::", "2001:0:808:808:0:0:5601:5601", // 6to4, Teredo
		"2001:db8::5efe:a9fe:a9fe", "2001:db8::200:5efe:a9fe:a9fe", // ISATAP
		"64:ff9b::100.100.100.200", "2002:6464:64c8::", "::ffff:0.0.0.0", "64:ff9b::224.0.0.1",
	}
	named := rest.Guard{Strict: true, Allow: []string{"a.example"}}
	for _, a := range refused {
		if err := rest.CheckAddress(rest.Guard{}, "a.example", join(a)); err == nil {
			t.Errorf("%s was let through", a)
		}
		if err := rest.CheckAddress(named, "a.example", join(a)); err == nil {
			t.Errorf("%s was let through by the name of the host", a)
		}
	}
	for _, a := range []string{
		"127.0.0.1", "::1", "10.1.2.3", "192.168.1.1", "172.16.0.1", "100.64.0.1", "fd12::1", "8.8.8.8", "1.1.1.1",
		"2606:4700::1111", "::ffff:127.0.0.1", "64:ff9b::8.8.8.8", "2002:808:808::1",
	} {
		if err := rest.CheckAddress(rest.Guard{}, "a.example", join(a)); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
}

func TestGuardStrict(t *testing.T) {
	t.Parallel()
	strict := rest.Guard{Strict: true}
	for _, a := range []string{
		"127.0.0.1", "127.8.9.1", "::1", "10.1.2.3", "192.168.1.1", "172.31.0.1", "100.64.0.1", "fd12::1", "fec0::1",
		"192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "240.0.0.1", "::ffff:127.0.0.1",
		"::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::8.8.8.8", "2002:808:808::1", "2001::1", "2001:db8::1",
		"3fff::1", "100::1", "5f00::1", "4000::1",
	} {
		if err := rest.CheckAddress(strict, "a.example", join(a)); err == nil {
			t.Errorf("%s was let through", a)
		}
	}
	for _, a := range []string{"8.8.8.8", "2606:4700::1111", "64:ff9b::8.8.8.8", "::ffff:1.1.1.1"} {
		if err := rest.CheckAddress(strict, "a.example", join(a)); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
}

func TestGuardAllowList(t *testing.T) {
	t.Parallel()
	g := rest.Guard{
		Strict: true, Ports: []int{443},
		Allow: []string{"10.0.0.0/8", "192.168.1.7", "hr.internal", "fd12::/16", "169.254.1.1", "::1"},
	}
	for _, test := range []struct {
		host, address string
		ok            bool
	}{
		{"a.example", "10.9.9.9:443", true},
		{"a.example", "[::ffff:10.9.9.9]:443", true},
		{"a.example", "192.168.1.7:443", true},
		{"a.example", "192.168.1.8:443", false},
		{"HR.internal.", "192.168.1.8:443", true},
		{"evil-hr.internal", "192.168.1.8:443", false},
		{"hr.internal", "169.254.169.254:443", false},
		{"a.example", "[fd12::1]:443", true},
		{"a.example", "169.254.1.1:443", true},
		{"a.example", "[::1]:443", true},
		{"a.example", "10.9.9.9:80", false},
		{"a.example", "nonsense", false},
	} {
		if err := rest.CheckAddress(g, test.host, test.address); (err == nil) != test.ok {
			t.Errorf("%s %s: got %v", test.host, test.address, err)
		}
	}
}

func TestBadGuard(t *testing.T) {
	t.Parallel()
	for _, allow := range []string{"", "http://a.example", "a.example:80", "10.0.0.0/33", "*.example", "a b"} {
		_, err := rest.NewClient(rest.Config{Guard: rest.Guard{Allow: []string{allow}}})
		wantError(t, err, "check Guard.Allow")
	}
	_, err := rest.NewClient(rest.Config{Guard: rest.Guard{Ports: []int{0}}})
	wantError(t, err, "check Guard.Ports")
}

// A strict guard must stop every way to write loopback, and what merely resolves to it.
func TestGuardStopsHostileForms(t *testing.T) {
	t.Parallel()
	var reached atomic.Int32
	host := serve(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	u, _ := url.Parse(host)
	client := newClient(t, rest.Config{Guard: rest.Guard{Strict: true}})
	rest.SetResolver(client, resolver(t, func(int) netip.Addr { return netip.MustParseAddr("127.0.0.1") }))
	for _, form := range []string{
		"localhost", "127.0.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "0", "0.0.0.0",
		"[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::]", "[::127.0.0.1]", "127.0.0.1.", "rebound.example",
		"LOCALHOST", "%6c%6f%63alhost", "①②⑦.⓪.⓪.①",
	} {
		_, err := rest.Attempt(context.Background(), client, "GET", "http://"+form+":"+u.Port(), nil)
		if err == nil {
			t.Errorf("%s was let through", form)
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("the service was reached %d times", n)
	}
	// The twin: without the guard the same forms do arrive.
	open := newClient(t, rest.Config{})
	for _, form := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]"} {
		if _, err := rest.Attempt(context.Background(), open, "GET", "http://"+form+":"+u.Port(), nil); err != nil {
			t.Errorf("%s: %v", form, err)
		}
	}
}

func TestGuardStopsMetadata(t *testing.T) {
	t.Parallel()
	client := newClient(t, rest.Config{})
	rest.SetResolver(client, resolver(t, func(int) netip.Addr { return netip.MustParseAddr("169.254.169.254") }))
	for _, target := range []string{
		"http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://[::ffff:169.254.169.254]/",
		"http://[::ffff:a9fe:a9fe]/", "http://[64:ff9b::a9fe:a9fe]/", "http://metadata.example/", "http://0.0.0.0/",
	} {
		_, err := rest.Attempt(context.Background(), client, "GET", target, nil)
		if e := failure(t, err, rest.ReasonRefused); !errors.Is(err, rest.ErrRefused) || e.Retryable() {
			t.Errorf("%s: got %v", target, err)
		}
	}
}

// A name that is harmless when it is looked up first, and loopback when it is dialled again.
func TestGuardStopsRebinding(t *testing.T) {
	t.Parallel()
	var reached atomic.Int32
	host := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
		w.Header().Set("Connection", "close")
	})
	u, _ := url.Parse(host)
	client := newClient(t, rest.Config{Guard: rest.Guard{Strict: true, Allow: []string{"127.0.0.1"}}})
	rest.SetResolver(client, resolver(t, func(n int) netip.Addr {
		return netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + n)})
	}))
	target := "http://rebind.example:" + u.Port()
	if _, err := rest.Attempt(context.Background(), client, "GET", target, nil); err != nil {
		t.Fatal(err)
	}
	_, err := rest.Attempt(context.Background(), client, "GET", target, nil)
	wantReason(t, err, rest.ReasonRefused)
	if n := reached.Load(); n != 1 {
		t.Errorf("the service was reached %d times, want 1", n)
	}
}

func TestProxyOfTheEnvironmentIsIgnored(t *testing.T) {
	var reached atomic.Int32
	proxy := serve(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	t.Setenv("HTTP_PROXY", proxy)
	t.Setenv("http_proxy", proxy)
	_, err := rest.Attempt(context.Background(), newClient(t, rest.Config{}), "GET", "http://169.254.169.254/", nil)
	wantReason(t, err, rest.ReasonRefused)
	if reached.Load() != 0 {
		t.Error("the proxy was used")
	}
}

func join(address string) string { return net.JoinHostPort(address, "80") }

// resolver answers every name with the address that answer gives for the nth question.
func resolver(t *testing.T, answer func(n int) netip.Addr) *net.Resolver {
	t.Helper()
	var asked atomic.Int32
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go answerDNS(server, func() netip.Addr { return answer(int(asked.Add(1)) - 1) })
		return client, nil
	}}
}

// answerDNS serves one question over a stream (RFC 1035, section 4.2.2): an A record, and nothing for
// other types.
func answerDNS(conn net.Conn, answer func() netip.Addr) {
	defer func() { _ = conn.Close() }()
	query := make([]byte, 2048)
	n, err := conn.Read(query)
	if err != nil || n < 14 {
		return
	}
	query = query[2:n]
	end := 12
	for end < len(query) && query[end] != 0 {
		end += int(query[end]) + 1
	}
	question := query[12 : end+5]
	isA := question[len(question)-3] == 1
	reply := append([]byte{query[0], query[1], 0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0}, question...)
	if isA {
		reply[7] = 1
		a := answer().As4()
		reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, a[0], a[1], a[2], a[3])
	}
	_, _ = conn.Write(append([]byte{byte(len(reply) >> 8), byte(len(reply))}, reply...))
}

func TestRedirectToMetadataIsRefused(t *testing.T) {
	t.Parallel()
	host := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
	})
	client := newClient(t, rest.Config{})
	for _, to := range []string{
		"http://169.254.169.254/latest", "http://[::ffff:169.254.169.254]/", "//169.254.169.254/",
		"http://0.0.0.0/", "file:///etc/passwd", "gopher://127.0.0.1/", "http://user:pass@127.0.0.1/",
	} {
		_, err := rest.Attempt(context.Background(), client, "GET", host+"/?to="+url.QueryEscape(to), nil)
		e := failure(t, err, rest.ReasonRefused)
		if e.Retryable() || strings.Contains(fmt.Sprint(err), "pass@") {
			t.Errorf("%s: got %v", to, err)
		}
	}
}
