package demo

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/cmd/steward/client"
	"github.com/stewardhq/steward/cmd/steward/show"
	"github.com/stewardhq/steward/cmd/steward/terminal"
	"github.com/stewardhq/steward/internal/api/wire"
	"github.com/stewardhq/steward/internal/ledger"
	"github.com/stewardhq/steward/internal/llm"
)

// asked asks as somebody and shows the answer with a few of the records that it rests on.
func (d *teller) asked(ctx context.Context, c colleague, question string, records int) (wire.Answer, error) {
	d.say("%s asks: %s\n", d.Bold(c.Name+", "+c.Role+","), question)
	p := d.Begin("looking for an answer")
	a, _, err := c.Ask(ctx, question, "")
	p.Stop()
	if err != nil {
		return a, err
	}
	if a.Answer != "" {
		d.Markdown(d.Out, a.Answer)
		d.say("")
	}
	if records > 0 {
		show.Records(d.Terminal, a, records)
	}
	return a, client.Failed(a)
}

func (d *teller) numbers(ctx context.Context) error {
	d.step(1, "The same question, to each the numbers that they may see")
	const question = "What is our win rate this quarter by owner?"
	rep, err := d.asked(ctx, d.rep, question, 0)
	if err != nil {
		return err
	}
	manager, err := d.asked(ctx, d.manager, question, 0)
	if err != nil {
		return err
	}
	d.check(counts(rep) > 0 && counts(manager) > 0, "both see numbers: %s rests on %d closed deals, %s on %d",
		d.rep.Name, counts(rep), d.manager.Name, counts(manager))
	ofRep, err := json.Marshal(rep.Results)
	if err != nil {
		return err
	}
	ofManager, err := json.Marshal(manager.Results)
	if err != nil {
		return err
	}
	d.check(!bytes.Equal(ofRep, ofManager), "they differ, since Salesforce lets each see other deals")
	variant := ""
	for _, r := range append(rep.Results, manager.Results...) {
		if variant = r.Variant; variant == "" || r.Formula == "" {
			break
		}
	}
	d.check(variant != "", "every number names its formula's variant, %s", variant)
	return nil
}

// counts adds up the deals that win rates were computed from.
func counts(a wire.Answer) int {
	n := 0.0
	for _, r := range a.Results {
		if r.Metric == "win_rate" {
			n += r.Inputs["won"] + r.Inputs["lost"]
		}
	}
	return int(n)
}

func (d *teller) stalled(ctx context.Context) error {
	d.step(2, "Deals that nobody has touched, each with its link")
	a, err := d.asked(ctx, d.manager, "Which open deals over $50k have had no activity for 30 days?", 10)
	if err != nil {
		return err
	}
	linked := 0
	for _, r := range a.Records {
		if strings.HasPrefix(r.URL, d.Sandbox+"/") && strings.Contains(r.URL, r.ID) {
			linked++
		}
	}
	d.check(linked > 0 && linked == len(a.Records), "%s, each with a link that the server made", terminal.Counted(linked, "deal", "deals"))
	d.check(len(a.Results) == 1 && a.Results[0].Value != nil && int(*a.Results[0].Value) == a.RecordsTotal, "the number told is the number of deals listed")
	return nil
}

// changed is the write of the story.
type changed struct {
	run     steward.RunID
	deal    string // id
	contact string // id
	name    string // the contact's
	token   string // that stands for it
}

func (d *teller) change(ctx context.Context) (changed, error) {
	d.step(3, "A change: the model never learns the name, and nothing is written before a person says so")
	c, dealName, err := d.choose(ctx)
	if err != nil {
		return c, err
	}
	wanted := nextStep(c.name)
	a, err := d.asked(ctx, d.rep, fmt.Sprintf("Set the next step of %s to '%s' and log a call with %s", dealName, wanted, c.name), 0)
	if err != nil {
		return c, err
	}
	c.run = a.Run
	dialogue, raw, err := d.rep.Dialogue(ctx, a.Run, "")
	if err != nil {
		return c, err
	}
	d.say("What the model was told, before any record had been read, and what it asked for:\n")
	first := firstText(dialogue)
	d.say("    %s", terminal.Plain(first))
	for _, m := range dialogue.Messages {
		for _, b := range m.Content {
			if b.Type == llm.ToolUse {
				d.say("    %s %s %s", d.Dim("→"), terminal.Line(b.Name), terminal.Angled(string(b.Input)))
			}
		}
	}
	d.say("")
	c.token = tokenFor(first, wanted, c.name)
	d.check(c.token != "", "the model saw %s instead of %s", c.token, c.name)
	d.check(!mentions(raw, c.name), "nothing that the model was told, or said, has the name in it")

	d.say("")
	if a.Approval == nil {
		d.check(false, "the change waits for approval")
		return c, steward.Errorf(steward.Internal, "the demo can't go on without a change to approve")
	}
	show.Approval(d.Terminal, *a.Approval)
	before, err := d.nextStepOf(ctx, c.deal)
	if err != nil {
		return c, err
	}
	d.check(a.Status == wire.Waiting && before != wanted, "it waits, and Salesforce is as it was")

	d.say("\n%s approves.\n", d.Bold(d.rep.Name))
	p := d.Begin("writing")
	done, _, err := d.rep.Approve(ctx, a.Approval.ID, true)
	p.Stop()
	if err == nil {
		err = client.Failed(done)
	}
	if err != nil {
		return c, err
	}
	d.Markdown(d.Out, done.Answer)
	after, err := d.nextStepOf(ctx, c.deal)
	if err != nil {
		return c, err
	}
	tasks, err := d.soql(ctx, d.rep.User, fmt.Sprintf(
		"SELECT Id, Subject, Type, Status, ActivityDate FROM Task WHERE WhoId = '%s' AND WhatId = '%s' AND Type = 'Call' ORDER BY CreatedDate DESC LIMIT 1", c.contact, c.deal))
	if err != nil {
		return c, err
	}
	d.say("\nRead back from Salesforce itself:")
	rows := [][]string{{"  Next step", terminal.Line(after)}}
	for _, t := range tasks {
		rows = append(rows, []string{"  " + terminal.Value(t["Type"]), fmt.Sprintf("%s (%s, %s)", terminal.Value(t["Subject"]), terminal.Value(t["Status"]), terminal.Value(t["ActivityDate"]))})
	}
	d.Columns(d.Out, rows)
	d.check(after == wanted, "the deal has its next step")
	d.check(len(tasks) == 1 && mentions([]byte(terminal.Value(tasks[0]["Subject"])), c.name), "the call is logged, with the real name")
	return c, nil
}

// nextStep is what the story has set.
func nextStep(name string) string { return "Call " + name + " about renewal" }

// choose finds an open deal of the representative's and a contact at its account, both with a name that
// nothing else has, and the contact's not part of the deal's. The deal has another next step so far.
func (d *teller) choose(ctx context.Context) (c changed, dealName string, err error) {
	deals, err := d.soql(ctx, d.rep.User, "SELECT Id, Name, AccountId, NextStep FROM Opportunity WHERE IsClosed = false ORDER BY Amount DESC NULLS LAST, Id LIMIT 50")
	if err != nil {
		return c, "", err
	}
	for _, deal := range deals {
		dealName = terminal.Value(deal["Name"])
		contacts, err := d.soql(ctx, d.rep.User, fmt.Sprintf("SELECT Id, Name FROM Contact WHERE AccountId = '%s' ORDER BY Id", terminal.Value(deal["AccountId"])))
		if err != nil {
			return c, "", err
		}
		for _, contact := range contacts {
			name := terminal.Value(contact["Name"])
			if strings.ContainsAny(name+dealName, `'"\`) || len(strings.Fields(name)) != 2 || mentions([]byte(dealName), name) || deal["NextStep"] == nextStep(name) {
				continue
			}
			same, err := d.soql(ctx, d.rep.User, fmt.Sprintf("SELECT Id FROM Contact WHERE Name = '%s'", name))
			if err != nil {
				return c, "", err
			}
			alike, err := d.soql(ctx, d.rep.User, fmt.Sprintf("SELECT Id FROM Opportunity WHERE Name = '%s'", dealName))
			if err != nil {
				return c, "", err
			}
			if len(same) == 1 && len(alike) == 1 {
				return changed{deal: terminal.Value(deal["Id"]), contact: terminal.Value(contact["Id"]), name: name}, dealName, nil
			}
		}
	}
	return c, "", steward.Errorf(steward.NotFound, "this sandbox company has no deal to show a change on; choose another --seed")
}

func (d *teller) nextStepOf(ctx context.Context, deal string) (string, error) {
	rows, err := d.soql(ctx, d.rep.User, fmt.Sprintf("SELECT NextStep FROM Opportunity WHERE Id = '%s'", deal))
	if err != nil || len(rows) != 1 {
		return "", errors.Join(err, steward.Errorf(steward.Upstream, "the sandbox gave %d deals for one id", len(rows)))
	}
	if rows[0]["NextStep"] == nil {
		return "", nil
	}
	return terminal.Value(rows[0]["NextStep"]), nil
}

func firstText(d wire.Dialogue) string {
	if len(d.Messages) > 0 && len(d.Messages[0].Content) > 0 {
		return d.Messages[0].Content[0].Text
	}
	return ""
}

// tokenFor finds what stands in a text where the name stands in the same words typed by a person.
func tokenFor(text, typed, name string) string {
	before, after, _ := strings.Cut(typed, name)
	_, rest, found := strings.Cut(text, before)
	token, _, closed := strings.Cut(rest, after)
	if !found || !closed || !strings.HasPrefix(token, "<PERSON_") || !strings.HasSuffix(token, ">") {
		return ""
	}
	return token
}

// mentions looks for a name, and each half of it, in any letters.
func mentions(text []byte, name string) bool {
	folded := bytes.ToLower(text)
	for _, part := range append(strings.Fields(name), name) {
		if bytes.Contains(folded, []byte(strings.ToLower(part))) {
			return true
		}
	}
	return false
}

func (d *teller) record(ctx context.Context, c changed) error {
	d.step(4, "The record: who, when, what and why, and nobody can change it unnoticed")
	var told []wire.Entry
	var write *wire.Entry
	total, calls, decided := 0, 0, true
	err := d.rep.Log(ctx, client.Query("run", string(c.run), "purpose", "troubleshooting"), func(e wire.Entry, _ []byte) error {
		total++
		if e.Kind == ledger.CallIntent || e.Kind == ledger.CallOutcome {
			calls++
			decided = decided && e.Decision != "" && len(e.Policies) > 0 && e.OnBehalfOf != ""
			if e.Effect != steward.Write {
				return nil
			}
		}
		if e.Kind == ledger.CallOutcome && e.Outcome == ledger.OK && strings.Contains(strings.Join(e.Targets, " "), c.deal) {
			write = &e
		}
		told = append(told, e)
		return nil
	})
	if err != nil {
		return err
	}
	show.Entries(d.Terminal, told)
	d.say("%s", d.Dim(fmt.Sprintf("and %d entries for reads and for the model; `steward log --run %s` shows all", total-len(told), c.run)))
	d.say("")
	d.check(decided && calls > 0, "each of the %d entries about a call says on whose behalf, and which policies allowed it", calls)
	if write == nil {
		d.check(false, "the write is on record with its record's id")
		return nil
	}
	d.check(true, "the write is entry %d, with its record's id and what became of it", write.Seq)

	checkpoint, _, err := d.admin.Checkpoint(ctx)
	if err != nil {
		return err
	}
	entries, findings, err := d.Verify(ctx, d.Data)
	if err != nil {
		return err
	}
	d.check(len(findings) == 0 && entries >= checkpoint.Size && checkpoint.Size > write.Seq,
		"verified: %d entries, signed up to %d, nothing was changed", entries, checkpoint.Size)
	return d.tamper(ctx, write.Seq)
}

// tamper flips one bit of an entry in a copy of the store, as somebody with the disk in hands could, and
// verifies the copy.
func (d *teller) tamper(ctx context.Context, seq uint64) (err error) {
	dir, err := os.MkdirTemp("", "steward-demo-copy-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := copyData(dir, d.Data); err != nil {
		return err
	}
	header, name, err := d.Header(ctx, dir, seq)
	if err != nil {
		return err
	}
	_, before, err := d.Verify(ctx, dir)
	if err != nil {
		return err
	}
	var h ledger.Header
	if err := json.Unmarshal(header, &h); err != nil {
		return err
	}
	if len(h.Parts) == 0 {
		return fmt.Errorf("demo: entry %d has no part", seq)
	}
	// The digest of what was written stands in the entry once, and nowhere else in the file.
	digest := []byte(base64.StdEncoding.EncodeToString(h.Parts[0].SHA256))
	file := filepath.Join(dir, name)
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	at := bytes.Index(content, digest)
	if at < 0 {
		return fmt.Errorf("demo: entry %d isn't in one piece in %s", seq, name)
	}
	was := content[at]
	content[at] ^= 1
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return err
	}
	d.say("\nIn a copy of the store one bit is flipped: byte %d of %s, in entry %d, from %q to %q.", at, name, seq, was, content[at])
	_, findings, err := d.Verify(ctx, dir)
	if err != nil {
		return err
	}
	named := false
	for _, f := range findings {
		d.say("  %s", d.Red("✗ "+terminal.Line(f.What)))
		named = named || f.Seq != nil && *f.Seq == seq
	}
	d.check(len(before) == 0 && named, "verify finds it, and names entry %d; before the flip the copy was fine", seq)
	return nil
}

// copyData copies a data folder. Nothing must be writing to it.
func copyData(to, from string) error {
	return filepath.WalkDir(from, func(path string, f fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if f.IsDir() {
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), content, 0o600)
	})
}

func (d *teller) forget(ctx context.Context, c changed) error {
	d.step(5, "Forgetting "+c.name)
	before, raw, err := d.rep.Run(ctx, c.run, "")
	if err != nil {
		return err
	}
	d.say("The stored question, opened by %s:\n    %s", d.rep.Name, terminal.Plain(before.Question))
	d.check(mentions(raw, c.name), "the name can be seen, by the member whose question it was")

	person := "salesforce:Contact:" + c.contact
	d.say("\nThe administrator has the person forgotten: steward erase --person %s --yes\n", person)
	p := d.Begin("destroying keys")
	erasure, _, err := d.admin.Erase(ctx, person, false)
	p.Stop()
	if err != nil {
		return err
	}
	show.Erasure(d.Terminal, erasure)

	after, raw, err := d.rep.Run(ctx, c.run, "")
	if err != nil {
		return err
	}
	d.say("\nThe same question, opened again:\n    %s\n", terminal.Plain(after.Question))
	d.check(!mentions(raw, c.name) && strings.Contains(after.Question, c.token), "the name is gone for everybody: %s stands there, and nothing leads from it to a person", c.token)
	d.check(erasure.Status == "forgotten" && erasure.Keys > 0, "the person's key is destroyed (%s)", terminal.Counted(erasure.Keys, "key", "keys"))
	held, err := holds(d.Data, c.name)
	if err != nil {
		return err
	}
	d.check(held == "", "no file of the data folder has the name in it%s", held)
	entries, findings, err := d.Verify(ctx, d.Data)
	if err != nil {
		return err
	}
	d.check(len(findings) == 0, "the record still verifies: %d entries", entries)
	d.say("%s", d.Dim("Salesforce still has the contact: what the CRM keeps is the CRM's."))
	return nil
}

// holds names the first file of a folder that has a name in clear in it.
func holds(dir, name string) (found string, err error) {
	err = filepath.WalkDir(dir, func(path string, f fs.DirEntry, err error) error {
		if err != nil || f.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err == nil && bytes.Contains(bytes.ToLower(content), []byte(strings.ToLower(name))) {
			found = ", but " + path
		}
		return err
	})
	return found, err
}
