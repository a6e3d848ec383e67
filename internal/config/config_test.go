package config

import (
	"flag"
	"io"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/stewardhq/steward"
)

func env(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

func TestDefaults(t *testing.T) {
	for _, c := range []struct {
		vars map[string]string
		data string
	}{
		{map[string]string{"HOME": "/home/ana"}, "/home/ana/.local/share/steward"},
		{map[string]string{"HOME": "/home/ana", "XDG_DATA_HOME": "/var/ana"}, "/var/ana/steward"},
		{map[string]string{"HOME": "/home/ana", "XDG_DATA_HOME": "relative"}, "/home/ana/.local/share/steward"},
	} {
		if got := ForServer(env(c.vars)); got.Data != c.data || got.Listen != "127.0.0.1:7878" || !got.Today.IsZero() {
			t.Errorf("%v gave %+v", c.vars, got)
		}
	}
	if got := ForClient(env(nil)); got != (Client{URL: "http://127.0.0.1:7878"}) {
		t.Errorf("without variables a client is %+v", got)
	}
}

func TestFlagsWin(t *testing.T) {
	c := ForClient(env(map[string]string{"STEWARD_URL": "http://127.0.0.1:1", "STEWARD_TOKEN": "stw_env"}))
	if c.URL != "http://127.0.0.1:1" || c.Token != "stw_env" {
		t.Fatalf("the environment gave %+v", c)
	}
	f := flag.NewFlagSet("", flag.ContinueOnError)
	c.Flags(f)
	if err := f.Parse([]string{"--url", "http://127.0.0.1:2", "--token", "stw_flag"}); err != nil {
		t.Fatal(err)
	}
	if c.URL != "http://127.0.0.1:2" || c.Token != "stw_flag" {
		t.Errorf("the flags left %+v", c)
	}
	// A token must not be shown as the default of its flag.
	if def := f.Lookup("token").DefValue; def != "" {
		t.Errorf("the token's flag shows %q as its default", def)
	}
}

func TestCheckListen(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:7878": true, "127.0.0.1:0": true, "[::1]:7878": true, "localhost:80": true, "127.9.9.9:1": true, "[::ffff:127.0.0.1]:1": true,
		"0.0.0.0:7878": false, ":7878": false, "[::]:7878": false, "192.0.2.1:80": false, "example.com:80": false, "7878": false, "": false,
	} {
		err := CheckListen(address)
		if (err == nil) != want {
			t.Errorf("%q: %v", address, err)
		}
		if err != nil && steward.KindOf(err) != steward.Invalid {
			t.Errorf("%q: the refusal is of kind %v", address, steward.KindOf(err))
		}
	}
}

func TestDay(t *testing.T) {
	var s Server
	f := flag.NewFlagSet("", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	s.TodayFlag(f)
	if err := f.Parse([]string{"--today", "2026-13-01"}); err == nil {
		t.Error("a thirteenth month was taken")
	}
	if err := f.Parse([]string{"--today", "2027-02-03"}); err != nil {
		t.Fatal(err)
	}
	real := time.Date(2026, 11, 23, 23, 59, 59, 5, time.UTC)
	clock := s.Today.Clock(func() time.Time { return real })
	if got, want := clock(), time.Date(2027, 2, 3, 23, 59, 59, 5, time.UTC); !got.Equal(want) {
		t.Errorf("the clock says %v, not %v", got, want)
	}
	before := clock()
	real = real.Add(2 * time.Second)
	if got := clock(); got.Sub(before) != 2*time.Second {
		t.Errorf("at midnight the clock moved by %v", got.Sub(before))
	}
	if got := (Day{}).Clock(func() time.Time { return real })(); !got.Equal(real) {
		t.Errorf("without a day the clock says %v", got)
	}
	if (&s.Today).String() != "2027-02-03" || (&Day{}).String() != "" {
		t.Error("a day doesn't print as it is written")
	}
}

func TestSalesforceFlags(t *testing.T) {
	var s Server
	if got := s.Salesforce.LoginServers(); len(got) != 1 || got[0] != "https://login.salesforce.com" {
		t.Errorf("by default people sign in at %v", got)
	}
	f := flag.NewFlagSet("", flag.ContinueOnError)
	s.SalesforceFlags(f)
	if err := f.Parse([]string{
		"--public-url", "https://steward.acme.example", "--salesforce-client-id", "3MVG9", "--salesforce-client-secret", "secret", "--salesforce-key", "key.pem",
		"--salesforce-login", "https://acme.my.salesforce.com", "--salesforce-login", "https://test.salesforce.com",
	}); err != nil {
		t.Fatal(err)
	}
	want := Salesforce{ClientID: "3MVG9", SecretFile: "secret", KeyFile: "key.pem", Logins: []string{"https://acme.my.salesforce.com", "https://test.salesforce.com"}}
	if s.PublicURL != "https://steward.acme.example" || !reflect.DeepEqual(s.Salesforce, want) || !reflect.DeepEqual(s.Salesforce.LoginServers(), want.Logins) {
		t.Errorf("the flags left %+v", s)
	}
}

func TestEraseWithin(t *testing.T) {
	for _, c := range []struct {
		days    int
		server  string
		backups time.Duration
		good    bool
	}{
		{30, "", 0, true}, {1, "", 0, true}, {90, "", 0, true}, {0, "", 0, false}, {91, "", 0, false}, {-1, "", 0, false},
		{7, "http://127.0.0.1:8200", 7 * 24 * time.Hour, false}, {8, "http://127.0.0.1:8200", 7 * 24 * time.Hour, true},
	} {
		s := ForServer(func(string) string { return "" })
		f := flag.NewFlagSet("", flag.ContinueOnError)
		s.EraseFlag(f)
		if err := f.Parse([]string{"--erase-within", strconv.Itoa(c.days)}); err != nil {
			t.Fatal(err)
		}
		s.KeyServer, s.KeyServerBackups = c.server, c.backups
		if err := s.CheckErase(); (err == nil) != c.good {
			t.Errorf("%d days with backups of the key server of %v: %v", c.days, c.backups, err)
		}
	}
}

func TestCheckPublicURL(t *testing.T) {
	for address, want := range map[string]string{
		"https://steward.acme.example": "https://steward.acme.example", "https://steward.acme.example:8443/": "https://steward.acme.example:8443", "http://127.0.0.1:7878": "http://127.0.0.1:7878",
		"http://steward.acme.example": "", "https://a/b": "", "https://a?b": "", "https://a#b": "", "https://u@a": "", "steward.acme.example": "", "": "", "https://%zz": "",
	} {
		got, err := CheckPublicURL(address)
		if got != want || (err == nil) != (want != "") || err != nil && steward.KindOf(err) != steward.Invalid {
			t.Errorf("%q: %q, %v", address, got, err)
		}
	}
}
