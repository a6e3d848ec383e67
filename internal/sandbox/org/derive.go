package org

import (
	"strings"
)

// Blank is a new record of the object: every field present, with its default value.
func (ob *Object) Blank() Row {
	row := make(Row, len(ob.Fields))
	for i := range ob.Fields {
		row[ob.Fields[i].Name] = ob.Fields[i].DefaultValue
	}
	return row
}

// Derive recomputes what follows from a record's other fields; call it after every change to the record,
// and for an opportunity also after a task or event on it was written or taken away.
//
//	Contact, User  Name
//	Opportunity    IsClosed and IsWon; Probability and ForecastCategoryName where they are nil, so
//	               clear those that a change of stage doesn't set itself; ExpectedRevenue =
//	               Amount × Probability; LastActivityDate, the newest ActivityDate of a closed
//	               task or past event on it
//	Task           IsClosed
//	Event          ActivityDate
//
// Ids, OwnerId, system fields, LastStageChangeDate and history rows tell of who acts and when, and are left alone.
func (o *Org) Derive(object string, row Row) {
	switch object {
	case "Opportunity":
		o.deriveStage(row)
		row["LastActivityDate"] = o.lastActivity(row.Text("Id"))
	case "Contact", "User":
		row["Name"] = nil
		if name := strings.TrimSpace(row.Text("FirstName") + " " + row.Text("LastName")); name != "" {
			row["Name"] = name
		}
	case "Task":
		row["IsClosed"] = row["Status"] == "Completed"
	case "Event":
		row["ActivityDate"] = nil
		if start := row.Text("StartDateTime"); len(start) >= len(DateLayout) {
			row["ActivityDate"] = start[:len(DateLayout)]
		}
	}
}

func (o *Org) deriveStage(deal Row) {
	deal["IsClosed"], deal["IsWon"], deal["ExpectedRevenue"] = false, false, nil
	for _, s := range o.Rows["OpportunityStage"] {
		if s["MasterLabel"] != deal["StageName"] {
			continue
		}
		deal["IsClosed"], deal["IsWon"] = s["IsClosed"], s["IsWon"]
		if deal["Probability"] == nil {
			deal["Probability"] = s["DefaultProbability"]
		}
		if deal["ForecastCategoryName"] == nil {
			deal["ForecastCategoryName"] = s["ForecastCategoryName"]
		}
	}
	if deal["Amount"] != nil && deal["Probability"] != nil {
		deal["ExpectedRevenue"] = deal.Number("Amount") * deal.Number("Probability") / 100
	}
}

func (o *Org) lastActivity(deal string) any {
	newest, today := "", o.Today.Format(DateLayout)
	for _, task := range o.Rows["Task"] {
		if task["WhatId"] == deal && task["IsClosed"] == true && !task.True("IsDeleted") {
			newest = max(newest, task.Text("ActivityDate"))
		}
	}
	for _, event := range o.Rows["Event"] {
		if date := event.Text("ActivityDate"); event["WhatId"] == deal && date <= today && !event.True("IsDeleted") {
			newest = max(newest, date)
		}
	}
	if newest == "" {
		return nil
	}
	return newest
}
