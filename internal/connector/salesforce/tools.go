package salesforce

import (
	"encoding/json"

	"github.com/stewardhq/steward"
	"github.com/stewardhq/steward/internal/connector"
)

// The tools' names.
const (
	queryTool    = "salesforce_query"
	describeTool = "salesforce_describe"
	getTool      = "salesforce_get"
	createTool   = "salesforce_create"
	updateTool   = "salesforce_update"
	logTool      = "salesforce_log_activity"
)

// Limits of what one call may ask for.
const (
	defaultRows   = 200
	maxRows       = 10_000
	maxFields     = 100
	maxConditions = 100
	maxOrders     = 5
	maxInList     = 1_000
)

// Tools lists what is offered. No argument is put into another language as text: values travel as JSON,
// and queries are built as trees of which values are leaves, so every argument is Plain.
func (c *Connector) Tools() []connector.Tool {
	return []connector.Tool{
		{Name: queryTool, Effect: steward.Read, Schema: json.RawMessage(querySchema), Description: "Find records of one Salesforce object and read their fields. " +
			"Only records and fields that the person asking may see come back. The id of each record is always given. " +
			"Names compare without regard to case. Fields of parent records are reached with a dot: Owner.Name, Account.Industry."},
		{Name: describeTool, Effect: steward.Read, Schema: json.RawMessage(describeSchema), Description: "List the fields of a Salesforce object: " +
			"API name, label, type, whether they can be written, picklist values, and the names under which parent records are reached."},
		{Name: getTool, Effect: steward.Read, Schema: json.RawMessage(getSchema), Description: "Read one Salesforce record by its id."},
		{Name: createTool, Effect: steward.Write, Schema: json.RawMessage(createSchema), Description: "Create one Salesforce record. " +
			"To log a call, e-mail or meeting use " + logTool + " instead."},
		{Name: updateTool, Effect: steward.Write, Schema: json.RawMessage(updateSchema), Description: "Change fields of one Salesforce record. " +
			"Fields that are not named stay as they are."},
		{Name: logTool, Effect: steward.Write, Schema: json.RawMessage(logSchema), Description: "Log a call, e-mail or meeting that took place, " +
			"as a completed task on a contact or lead, a deal or account, or both."},
	}
}

const (
	objectSchema = `{"type":"string","description":"API name of the object, such as Account, Contact, Opportunity, Task"}`
	idSchema     = `{"type":"string","description":"The record's Salesforce id, 15 or 18 characters, from a record that was read","pattern":"^([a-zA-Z0-9]{15}|[a-zA-Z0-9]{18})$"}`
	fieldsSchema = `{"type":"array","maxItems":100,"items":{"type":"string"},"description":"API names of the fields to read, parents with a dot: [\"Name\",\"Amount\",\"Owner.Name\"]. Left out: a few usual fields."}`
	valuesSchema = `{"type":"object","minProperties":1,"maxProperties":100,"description":"The fields to write by API name. Dates as YYYY-MM-DD, datetimes in ISO 8601, null to empty a field.","additionalProperties":{"type":["string","number","boolean","null"]}}`

	conditionSchema = `"field":{"type":"string","description":"API name of a field, parents with a dot"},` +
		`"op":{"type":"string","enum":["=","!=","<","<=",">",">=","like","in","not in"],"description":"like takes % for any text and _ for any one character"},` +
		`"value":{"type":["string","number","boolean","null","array"],"items":{"type":["string","number","boolean"]},"maxItems":1000,"description":"What to compare with: an array for in and not in; dates as YYYY-MM-DD, datetimes in ISO 8601; null for empty"},` +
		`"literal":{"type":"string","description":"Instead of value, a relative SOQL date such as TODAY, THIS_QUARTER, LAST_N_DAYS:30"}`

	querySchema = `{"type":"object","additionalProperties":false,"required":["object"],"properties":{` +
		`"object":` + objectSchema + `,"fields":` + fieldsSchema + `,` +
		`"where":{"type":"array","maxItems":100,"description":"Conditions that must all hold. {\"any\":[…]} holds where any of its conditions does.","items":{"type":"object","additionalProperties":false,"properties":{` +
		conditionSchema + `,"any":{"type":"array","minItems":1,"description":"Alternatives, instead of field, op and value","items":{"type":"object","additionalProperties":false,"required":["field","op"],"properties":{` +
		conditionSchema + `}}}}}},` +
		`"order_by":{"type":"array","maxItems":5,"description":"What to sort by, the most important first. Empty values come last.","items":{"type":"object","additionalProperties":false,"required":["field"],"properties":{"field":{"type":"string"},"desc":{"type":"boolean","description":"Largest or latest first"}}}},` +
		`"limit":{"type":"integer","minimum":1,"maximum":10000,"description":"How many records at most; 200 if left out"},` +
		`"skip_hidden":{"type":"boolean","description":"Leave out fields that don't exist or may not be seen, instead of failing"}}}`

	describeSchema = `{"type":"object","additionalProperties":false,"required":["object"],"properties":{"object":` + objectSchema + `}}`
	getSchema      = `{"type":"object","additionalProperties":false,"required":["object","id"],"properties":{"object":` + objectSchema + `,"id":` + idSchema + `,"fields":` + fieldsSchema + `}}`
	createSchema   = `{"type":"object","additionalProperties":false,"required":["object","values"],"properties":{"object":` + objectSchema + `,"values":` + valuesSchema + `}}`
	updateSchema   = `{"type":"object","additionalProperties":false,"required":["object","id","values"],"properties":{"object":` + objectSchema + `,"id":` + idSchema + `,"values":` + valuesSchema + `}}`

	logSchema = `{"type":"object","additionalProperties":false,"required":["type","subject"],"anyOf":[{"required":["who_id"]},{"required":["what_id"]}],"properties":{` +
		`"type":{"type":"string","enum":["call","email","meeting"]},` +
		`"subject":{"type":"string","minLength":1,"maxLength":255,"description":"One line that says what it was about"},` +
		`"who_id":{"type":"string","description":"Id of the contact or lead it was with"},` +
		`"what_id":{"type":"string","description":"Id of the deal, account or other record it was about"},` +
		`"date":{"type":"string","format":"date","description":"The day it took place, YYYY-MM-DD; today if left out"}}}`
)
