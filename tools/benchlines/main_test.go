package main

import (
	"strings"
	"testing"
)

func TestConvert(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"a floor", "BenchmarkAppend/writers=32-2   6   38911 entries/s   77822 floor-entries/s  0.5 ratio\n", `{"name":"Append/writers=32","value":38911,"unit":"entries/s","floor":77822,"ratio":0.5}` + "\n"},
		{"several figures", "BenchmarkShred-16 1 0.5 p50-ms 2 p99-ms 7 B/op 1 allocs/op\n", `{"name":"Shred","value":0.5,"unit":"p50-ms","floor":null,"ratio":null}` + "\n" + `{"name":"Shred","value":2,"unit":"p99-ms","floor":null,"ratio":null}` + "\n"},
		{"time only", "BenchmarkMask 100 120.5 ns/op 3 B/op\n", `{"name":"Mask","value":120.5,"unit":"ns/op","floor":null,"ratio":null}` + "\n"},
		{"time beside a figure", "BenchmarkX-2 100 120.5 ns/op 3 rows\n", `{"name":"X","value":3,"unit":"rows","floor":null,"ratio":null}` + "\n"},
		{"nothing to say", "goos: linux\nPASS\nok  	x	1.2s\nBenchmarkX\nBenchmarkY something else here\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, other strings.Builder
			if err := convert(strings.NewReader(c.in), &out, &other); err != nil || out.String() != c.want || other.String() != "" {
				t.Errorf("got  %swant %s%v %s", out.String(), c.want, err, other.String())
			}
		})
	}
	var out, other strings.Builder
	if err := convert(strings.NewReader("--- FAIL: BenchmarkX\nFAIL\n"), &out, &other); err == nil || !strings.Contains(other.String(), "BenchmarkX") {
		t.Errorf("a failure passed: %v, %q", err, other.String())
	}
}
