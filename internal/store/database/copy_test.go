package database

import "testing"

// A backup may come from anybody, and names its tables itself.
func TestNamesOfACopyAreNamesOnly(t *testing.T) {
	name, columns := table{name: `x"; CREATE POLICY p ON members USING (true); --`, columns: []string{"id", `a", "b`}}.quoted()
	if name != `"x""; CREATE POLICY p ON members USING (true); --"` || columns != `"id", "a"", ""b"` {
		t.Errorf("%s (%s)", name, columns)
	}
}
