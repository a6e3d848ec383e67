package engine_test

import (
	"errors"
	"maps"
	"reflect"
	"testing"
	"time"

	"github.com/stewardhq/steward/internal/sandbox/engine"
	"github.com/stewardhq/steward/internal/sandbox/org"
)

func TestAtomically(t *testing.T) {
	day := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	o := org.Acme(7, day)
	e := engine.New(o, func() time.Time { return day.Add(12 * time.Hour) })
	admin := e.Users()[0].ID
	deal := o.Rows["Opportunity"][9]
	account, contact := deal.Text("AccountId"), ""
	for _, row := range o.Rows["Contact"] {
		if row["AccountId"] == account {
			contact = row.Text("Id")
		}
	}
	ask := func(e *engine.Engine, soql string) *engine.Result {
		t.Helper()
		found, err := e.QueryAll(admin, soql)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	look := func() []any { // rows, what the indexes find, and the bin
		var all []any
		for _, ob := range o.Objects {
			for _, row := range o.Rows[ob.Name] {
				all = append(all, maps.Clone(row))
			}
		}
		for _, soql := range []string{
			"SELECT Id FROM Contact WHERE AccountId = '" + account + "' ORDER BY Id", "SELECT Id, StageName FROM OpportunityHistory WHERE OpportunityId = '" + deal.Text("Id") + "' ORDER BY Id",
			"SELECT Id FROM Task WHERE WhatId = '" + deal.Text("Id") + "' ORDER BY Id", "SELECT Id FROM Opportunity WHERE IsDeleted = true",
		} {
			all = append(all, ask(e, soql))
		}
		return all
	}
	work := func(e *engine.Engine) error {
		made, err := e.Create(admin, "Account", map[string]any{"Name": "Larkspur Robotics"})
		if err == nil {
			err = e.Update(admin, "Contact", contact, map[string]any{"AccountId": made})
		}
		if err == nil {
			err = e.Update(admin, "Opportunity", deal.Text("Id"), map[string]any{"StageName": "Closed Won"})
		}
		if err == nil {
			_, err = e.Create(admin, "Task", map[string]any{"WhatId": deal.Text("Id"), "Status": "Completed", "ActivityDate": "2026-11-22"})
		}
		if err == nil {
			err = e.Atomically(func(e *engine.Engine) error {
				return e.Delete(admin, "Opportunity", o.Rows["Opportunity"][3].Text("Id"))
			})
		}
		if err == nil && ask(e, "SELECT Id FROM Contact WHERE AccountId = '"+made+"'").Total != 1 {
			t.Error("a transaction doesn't see what it has written")
		}
		return err
	}
	before, wrong := look(), errors.New("wrong")
	err := e.Atomically(func(e *engine.Engine) error {
		if err := work(e); err != nil {
			return err
		}
		return wrong
	})
	if !errors.Is(err, wrong) {
		t.Fatal(err)
	}
	if after := look(); !reflect.DeepEqual(before, after) {
		t.Error("something is left of a transaction that failed")
	}
	err = e.Atomically(func(e *engine.Engine) error {
		if err := e.Atomically(func(e *engine.Engine) error { return errors.Join(work(e), wrong) }); !errors.Is(err, wrong) {
			return err
		}
		if ask(e, "SELECT Id FROM Account WHERE Name = 'Larkspur Robotics'").Total != 0 {
			t.Error("something is left of an inner transaction that failed")
		}
		return nil
	})
	if after := look(); err != nil || !reflect.DeepEqual(before, after) {
		t.Errorf("a transaction without effect has one, or fails: %v", err)
	}
	if err := e.Atomically(work); err != nil {
		t.Fatal(err)
	}
	if reflect.DeepEqual(before, look()) || ask(e, "SELECT Id FROM Account WHERE Name = 'Larkspur Robotics'").Total != 1 {
		t.Error("nothing is left of a transaction that went well")
	}
}
