package egress

import "net/netip"

// block is a range of addresses that isn't the public Internet.
type block struct {
	prefix netip.Prefix
	what   string
	never  bool // not even where a connection names it
}

// blocks follows the IANA special-purpose address registries
// (https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry) and the
// addresses at which clouds hand out their machines' credentials. The first block that holds an
// address decides.
var blocks = []block{
	{netip.MustParsePrefix("100.100.100.200/32"), "a cloud's metadata address", true}, // Alibaba
	{netip.MustParsePrefix("168.63.129.16/32"), "a cloud's metadata address", true},   // Azure's host agent
	{netip.MustParsePrefix("192.0.0.192/32"), "a cloud's metadata address", true},     // Oracle
	{netip.MustParsePrefix("fd00:ec2::/32"), "a cloud's metadata address", true},      // Amazon
	{netip.MustParsePrefix("fd20:ce::254/128"), "a cloud's metadata address", true},   // Google
	{netip.MustParsePrefix("169.254.0.0/16"), "a link-local address, where clouds keep their metadata", true},
	{netip.MustParsePrefix("fe80::/10"), "a link-local address", true},
	{netip.MustParsePrefix("0.0.0.0/8"), "an unspecified address", true},
	{netip.MustParsePrefix("224.0.0.0/4"), "a multicast address", true},
	{netip.MustParsePrefix("240.0.0.0/4"), "a reserved address", true},
	{netip.MustParsePrefix("ff00::/8"), "a multicast address", true},
	{netip.MustParsePrefix("127.0.0.0/8"), "a loopback address", false},
	{netip.MustParsePrefix("::1/128"), "a loopback address", false},
	{netip.MustParsePrefix("::/96"), "an unspecified address", true},
	{netip.MustParsePrefix("10.0.0.0/8"), "a private address", false},
	{netip.MustParsePrefix("172.16.0.0/12"), "a private address", false},
	{netip.MustParsePrefix("192.168.0.0/16"), "a private address", false},
	{netip.MustParsePrefix("100.64.0.0/10"), "an address behind a carrier's NAT", false},
	{netip.MustParsePrefix("192.0.0.0/24"), "a reserved address", false},
	{netip.MustParsePrefix("192.0.2.0/24"), "an address for documentation", false},
	{netip.MustParsePrefix("198.18.0.0/15"), "an address for benchmarks", false},
	{netip.MustParsePrefix("198.51.100.0/24"), "an address for documentation", false},
	{netip.MustParsePrefix("203.0.113.0/24"), "an address for documentation", false},
	{netip.MustParsePrefix("fc00::/7"), "a private address", false},
	{netip.MustParsePrefix("fec0::/10"), "a private address", false},
	{netip.MustParsePrefix("100::/64"), "a discarding address", true},
	{netip.MustParsePrefix("2001::/23"), "a reserved address", true}, // Teredo, which hides an IPv4 address, is in it
	{netip.MustParsePrefix("2001:db8::/32"), "an address for documentation", false},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "an address behind a local NAT64", true},
}

// carriers are the ranges of IPv6 that carry an IPv4 address, from the byte at which it stands.
var carriers = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, // NAT64, RFC 6052
	{netip.MustParsePrefix("2002::/16"), 2},     // 6to4, RFC 3056
}

// refusal says what an address is that may not be connected to within a reach; "" where it may be.
func refusal(addr netip.Addr, within reach) string {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return "no address"
	}
	if within == loopback && !addr.IsLoopback() {
		return "an address that is not this machine, over unencrypted http"
	}
	for _, c := range carriers {
		if c.prefix.Contains(addr) {
			// It ends at some gateway, from where a private address would be somebody else's.
			b := addr.As16()
			return refusal(netip.AddrFrom4([4]byte(b[c.at:c.at+4])), public)
		}
	}
	for _, b := range blocks {
		if b.prefix.Contains(addr) {
			if b.never || within == public {
				return b.what
			}
			return ""
		}
	}
	return ""
}
