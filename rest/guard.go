package rest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Guard says which addresses calls may reach. It is asked about each address when it is dialled, after
// name resolution: what a URL looks like, redirects, and names whose address changes make no
// difference.
//
// The zero value refuses link-local, multicast and unspecified addresses and those of the metadata
// services of the clouds, also in their forms inside IPv6 (IPv4-mapped, NAT64, 6to4, Teredo, ISATAP).
// Loopback and private networks are let through, as they are where services usually are; set Strict
// when URLs come from people outside. What the platform serves to the process alone is refused always,
// also with Allow: the addresses in AWS_LAMBDA_RUNTIME_API, AWS_CONTAINER_CREDENTIALS_FULL_URI,
// IDENTITY_ENDPOINT and their like.
type Guard struct {
	// Strict refuses everything that is not a public unicast address, by the special-purpose
	// registries of IANA (RFC 6890), apart from Allow.
	Strict bool
	// Allow lists what is let through beyond the rules: addresses ("10.0.0.7"), networks in CIDR
	// notation ("10.0.0.0/8"), and host names ("hr.internal"), which are compared with the URL's host.
	// A host name does not let through what the zero value refuses, because its address is decided by
	// whoever runs the name server; an address or network does.
	Allow []string
	// Ports lists the ports that may be dialled. The default is all.
	Ports []int
}

// policy is a Guard that has been checked.
type policy struct {
	strict   bool
	networks []netip.Prefix
	hosts    []string
	ports    []int
}

func (g Guard) policy() (policy, error) {
	p := policy{strict: g.Strict, ports: slices.Clone(g.Ports)}
	for _, port := range g.Ports {
		if port < 1 || port > 65535 {
			return policy{}, fmt.Errorf("check Guard.Ports: %d is not from 1 to 65535", port)
		}
	}
	for _, entry := range g.Allow {
		if network, err := netip.ParsePrefix(entry); err == nil {
			p.networks = append(p.networks, network.Masked())
		} else if addr, err := netip.ParseAddr(entry); err == nil {
			addr = plain(addr)
			p.networks = append(p.networks, netip.PrefixFrom(addr, addr.BitLen()))
		} else if entry == "" || strings.ContainsAny(entry, ":/*@ ") {
			return policy{}, fmt.Errorf("check Guard.Allow: %q is no address, network (10.0.0.0/8) or host name "+
				"without port", entry)
		} else {
			p.hosts = append(p.hosts, hostName(entry))
		}
	}
	return p, nil
}

func hostName(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

// refusal is the guard's answer to a dial.
type refusal struct{ why string }

func (r *refusal) Error() string { return r.why }

// check decides about an address (ip:port) that is about to be dialled for a host.
func (p policy) check(host, address string) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return &refusal{fmt.Sprintf("the address %q is not ip:port", address)}
	}
	if len(p.ports) > 0 && !slices.Contains(p.ports, int(target.Port())) {
		return &refusal{"the port " + strconv.Itoa(int(target.Port())) + " is not in the guard's Ports"}
	}
	a := plain(target.Addr())
	if variable := machineEndpoint(host, a, target.Port()); variable != "" {
		return &refusal{"the address " + address + " is that of " + variable + ", which hands out credentials"}
	}
	if inAny(p.networks, a) {
		return nil
	}
	if err := checkNever(a); err != nil {
		return &refusal{err.Error()}
	}
	if !p.strict || slices.Contains(p.hosts, hostName(host)) {
		return nil
	}
	if err := checkPublic(a); err != nil {
		return &refusal{err.Error()}
	}
	return nil
}

// dialTimeout limits one connection attempt, below the time of the call.
const dialTimeout = 10 * time.Second

// dial connects with the check on each address that is really dialled.
func (p policy) dial(resolver *net.Resolver) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		d := net.Dialer{
			Timeout: dialTimeout, KeepAlive: 30 * time.Second, Resolver: resolver,
			ControlContext: func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
				return p.check(host, resolved)
			},
		}
		return d.DialContext(ctx, network, address)
	}
}
