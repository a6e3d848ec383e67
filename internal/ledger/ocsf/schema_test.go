package ocsf_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// schema is the excerpt in testdata, whose NOTICE says where it is from.
type schema struct {
	Version string
	Classes map[string]struct {
		shape
		Caption  string
		UID      int
		Profiles []string
	}
	Objects map[string]shape
}

type shape struct {
	AtLeastOne []string `json:"at_least_one"`
	Attributes map[string]struct {
		Type     string
		Array    bool
		Required bool
		Profile  string // only events with this profile have it
		Sibling  string // has the caption of this one's value
		Enum     map[string]string
	}
}

func readSchema(t testing.TB) (s schema) {
	t.Helper()
	text, err := os.ReadFile("testdata/schema.json")
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil || len(s.Classes) == 0 {
		t.Fatal(err)
	}
	return s
}

// check holds an event against the schema and lists what is wrong with it.
func (s schema) check(event []byte) (wrong []string) {
	d := json.NewDecoder(strings.NewReader(string(event)))
	d.UseNumber()
	var e map[string]any
	if err := d.Decode(&e); err != nil {
		return []string{err.Error()}
	}
	for _, class := range s.Classes {
		if fmt.Sprint(class.UID) != fmt.Sprint(e["class_uid"]) {
			continue
		}
		metadata, _ := e["metadata"].(map[string]any)
		if metadata["version"] != s.Version {
			wrong = append(wrong, "metadata.version is another")
		}
		var profiles []string
		list, _ := metadata["profiles"].([]any)
		for _, p := range list {
			profiles = append(profiles, fmt.Sprint(p))
			if !slices.Contains(class.Profiles, fmt.Sprint(p)) {
				wrong = append(wrong, fmt.Sprintf("%s has no profile %v", class.Caption, p))
			}
		}
		if fmt.Sprint(e["type_uid"]) != fmt.Sprintf("%d%02s", class.UID, e["activity_id"]) {
			wrong = append(wrong, "type_uid isn't class_uid and activity_id")
		}
		return append(wrong, s.object("event", class.shape, e, profiles)...)
	}
	return []string{fmt.Sprintf("there is no class %v", e["class_uid"])}
}

func (s schema) object(name string, is shape, o map[string]any, profiles []string) (wrong []string) {
	for _, attribute := range slices.Sorted(maps.Keys(o)) {
		at := name + "." + attribute
		a, known := is.Attributes[attribute]
		if !known || a.Profile != "" && !slices.Contains(profiles, a.Profile) {
			wrong = append(wrong, at+" isn't in the schema")
			continue
		}
		values := []any{o[attribute]}
		if a.Array {
			list, ok := o[attribute].([]any)
			if !ok || len(list) == 0 {
				wrong = append(wrong, at+" isn't a list of something")
			}
			values = list
		}
		for _, v := range values {
			wrong = append(wrong, s.value(at, a.Type, v, profiles)...)
			if a.Enum == nil {
				continue
			}
			caption, ok := a.Enum[fmt.Sprint(v)]
			label, labelled := o[a.Sibling].(string)
			switch {
			case !ok:
				wrong = append(wrong, fmt.Sprintf("%s is %v, which isn't one of its values", at, v))
			case !strings.HasSuffix(fmt.Sprint(v), "99") && labelled && label != caption:
				wrong = append(wrong, fmt.Sprintf("%s.%s is %q and not %q", name, a.Sibling, label, caption))
			case strings.HasSuffix(fmt.Sprint(v), "99") && label == "":
				wrong = append(wrong, fmt.Sprintf("%s.%s doesn't say which other", name, a.Sibling))
			}
		}
	}
	for attribute, a := range is.Attributes {
		if _, there := o[attribute]; a.Required && !there && (a.Profile == "" || slices.Contains(profiles, a.Profile)) {
			wrong = append(wrong, name+"."+attribute+" is missing")
		}
	}
	if len(is.AtLeastOne) > 0 && !slices.ContainsFunc(is.AtLeastOne, func(a string) bool { return o[a] != nil }) {
		wrong = append(wrong, fmt.Sprintf("%s has none of %v", name, is.AtLeastOne))
	}
	return wrong
}

func (s schema) value(at, of string, v any, profiles []string) []string {
	ok := false
	switch of {
	case "integer_t", "long_t", "timestamp_t", "port_t":
		n, number := v.(json.Number)
		ok = number && !strings.ContainsAny(n.String(), ".eE")
	case "boolean_t":
		_, ok = v.(bool)
	case "json_t":
		ok = true
	case "object":
		_, ok = v.(map[string]any)
	default:
		if o, object := v.(map[string]any); object {
			is, known := s.Objects[of]
			if !known {
				return []string{at + ": the excerpt has no object " + of}
			}
			return s.object(at, is, o, profiles)
		}
		text, isText := v.(string)
		ok = isText && text != "" && strings.HasSuffix(of, "_t")
	}
	if !ok {
		return []string{fmt.Sprintf("%s is %v, which is no %s", at, v, of)}
	}
	return nil
}
