// Command benchlines turns what `go test -bench` prints into lines of JSON, one a figure: name, value,
// unit, and the floor that was measured beside it with the ratio of the two, or null.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
)

func main() {
	if err := convert(os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "benchlines:", err)
		os.Exit(1)
	}
}

type figure struct {
	Name  string   `json:"name"`
	Value float64  `json:"value"`
	Unit  string   `json:"unit"`
	Floor *float64 `json:"floor"`
	Ratio *float64 `json:"ratio"`
}

// convert writes figures to out and passes failures on to other, at which it fails itself.
func convert(in io.Reader, out, other io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	encoder := json.NewEncoder(out)
	failed := false
	for lines.Scan() {
		line := lines.Text()
		for _, f := range figures(line) {
			if err := encoder.Encode(f); err != nil {
				return err
			}
		}
		if strings.HasPrefix(line, "FAIL") || strings.HasPrefix(line, "--- FAIL") || strings.HasPrefix(line, "panic:") {
			failed = true
			fmt.Fprintln(other, line)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if failed {
		return fmt.Errorf("a benchmark failed")
	}
	return nil
}

// processors is the suffix that says on how many a benchmark ran.
var processors = regexp.MustCompile(`-\d+$`)

// figures reads one line: a name, a count, and pairs of number and unit. A unit "floor-x" is the floor of
// the unit "x". The time an operation took is a figure only where the benchmark reports none of its own, and
// allocations are none.
func figures(line string) (list []figure) {
	words := strings.Fields(line)
	if len(words) < 4 || !strings.HasPrefix(words[0], "Benchmark") {
		return nil
	}
	units := map[string]float64{}
	var order []string
	for i := 2; i+1 < len(words); i += 2 {
		value, err := strconv.ParseFloat(words[i], 64)
		if err != nil {
			return nil
		}
		units[words[i+1]] = value
		order = append(order, words[i+1])
	}
	name := processors.ReplaceAllString(strings.TrimPrefix(words[0], "Benchmark"), "")
	var time []figure
	for _, unit := range order {
		f := figure{Name: name, Value: units[unit], Unit: unit}
		switch {
		case unit == "B/op" || unit == "allocs/op" || unit == "MB/s" || unit == "ratio" || strings.HasPrefix(unit, "floor-"):
			continue
		case unit == "ns/op":
			time = append(time, f)
			continue
		}
		if floor, ok := units["floor-"+unit]; ok && floor != 0 {
			ratio := f.Value / floor
			f.Floor, f.Ratio = &floor, &ratio
		}
		list = append(list, f)
	}
	if len(list) == 0 {
		return time
	}
	return list
}
