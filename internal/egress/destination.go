package egress

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/stewardhq/steward"
)

// Destination is one place that a workspace's connections or providers name.
type Destination struct {
	URL string // scheme, host and port: "https://acme.my.salesforce.com"; a path is refused
	// Private allows loopback and private addresses, and http:// to loopback, because whoever set up
	// the connection named such a place on purpose. Link-local and metadata addresses stay refused.
	Private bool
}

// ParseDestination reads a URL that somebody entitled to it names as a destination. It is Private
// where the URL itself says so: "localhost", or an address literal that is loopback or private. A
// public-looking name that leads inside is not: set Private by hand where that is meant.
func ParseDestination(raw string) (Destination, error) {
	d := Destination{URL: raw}
	u, err := url.Parse(raw)
	if err == nil {
		addr, literal := netip.ParseAddr(u.Hostname())
		d.Private = strings.EqualFold(u.Hostname(), "localhost") ||
			literal == nil && refusal(addr, public) != "" && refusal(addr, private) == ""
	}
	return d, d.Check()
}

// Check says what is wrong with a destination, as a steward.Error of kind Invalid that says what to
// write instead; nil when it can be used.
func (d Destination) Check() error {
	_, err := d.origin()
	return err
}

// reach is how far a destination may lead.
type reach uint8

const (
	public   reach = iota // https to public addresses
	private               // https to private and loopback addresses too
	loopback              // http, to loopback addresses only
)

// origin is what two URLs must share to be the same destination.
type origin struct {
	scheme, host, port string
	reach              reach // of a Destination's origin; not part of what is compared
}

// String is the origin with its port always written out.
func (o origin) String() string { return o.scheme + "://" + net.JoinHostPort(o.host, o.port) }

func (d Destination) origin() (origin, error) {
	u, err := url.Parse(d.URL)
	if err != nil { // the parser's error repeats the URL, which may hold a password
		return origin{}, steward.Errorf(steward.Invalid, "this is no URL; write it as https://host")
	}
	o, err := originOf(u)
	if err != nil {
		return origin{}, err
	}
	if (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
		return origin{}, steward.Errorf(steward.Invalid, "a destination is scheme and host only; write it as %s", o)
	}
	switch {
	case o.scheme == "http" && !d.Private:
		return origin{}, steward.Errorf(steward.Invalid, "%s would travel unencrypted; use https", o)
	case o.scheme == "http":
		o.reach = loopback
	case d.Private:
		o.reach = private
	}
	return o, nil
}

// originOf reduces a URL to its origin, refusing whatever two programs could read differently: user
// names, zones, names that end in a dot or aren't ASCII, and numbers that pass for addresses.
func originOf(u *url.URL) (origin, error) {
	o := origin{scheme: strings.ToLower(u.Scheme), host: strings.ToLower(u.Hostname()), port: u.Port()}
	if o.scheme != "https" && o.scheme != "http" {
		return o, steward.Errorf(steward.Invalid, "a destination begins with https://")
	}
	if u.User != nil {
		return o, steward.Errorf(steward.Invalid, "a destination holds no user name or password; write it without what stands before the @")
	}
	if addr, err := netip.ParseAddr(o.host); err == nil {
		if addr.Zone() != "" {
			return o, steward.Errorf(steward.Invalid, "a destination's address has no zone; write it without what stands behind the %%")
		}
		o.host = addr.Unmap().String()
	} else if !isName(o.host) {
		return o, steward.Errorf(steward.Invalid,
			"this is no host name: use letters, digits, hyphens and dots (xn--… for other alphabets), or an address such as 192.0.2.1 or [2001:db8::1]")
	}
	if o.port == "" {
		o.port = map[string]string{"https": "443", "http": "80"}[o.scheme]
	}
	if n, err := strconv.ParseUint(o.port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != o.port {
		return o, steward.Errorf(steward.Invalid, "a port is a number from 1 to 65535")
	}
	return o, nil
}

// isName accepts a DNS name in ASCII. The last label must not be a number: resolvers of the C library
// read 2130706433, 0177.1 and 0x7f.1 as 127.0.0.1 (the "ends in a number" rule of
// https://url.spec.whatwg.org/#ends-in-a-number-checker).
func isName(host string) bool {
	if len(host) == 0 || len(host) > 253 {
		return false
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	last := labels[len(labels)-1]
	return strings.Trim(last, "0123456789") != "" && !strings.HasPrefix(last, "0x")
}
