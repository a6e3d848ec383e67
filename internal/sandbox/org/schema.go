package org

// The picklists that the generator draws from too.
func regionNames() []string {
	var names []string
	for _, r := range sellingRegions() {
		names = append(names, r.name)
	}
	return names
}
func industries() []string {
	return []string{"Agriculture", "Banking", "Biotechnology", "Construction", "Education", "Energy", "Engineering",
		"Healthcare", "Hospitality", "Insurance", "Manufacturing", "Retail", "Technology", "Transportation", "Utilities"}
}
func leadSources() []string {
	return []string{"Web", "Partner Referral", "Trade Show", "Outbound", "Customer Referral", "Other"}
}
func forecastCategories() []string {
	return []string{"Omitted", "Pipeline", "Best Case", "Commit", "Closed"}
}

// stage is one step of the sales process.
type stage struct {
	name        string
	probability float64 // percent
	closed, won bool
	forecast    string
}

func stages() []stage {
	return []stage{
		{"Prospecting", 10, false, false, "Pipeline"},
		{"Qualification", 20, false, false, "Pipeline"},
		{"Needs Analysis", 40, false, false, "Pipeline"},
		{"Proposal/Price Quote", 60, false, false, "Best Case"},
		{"Negotiation/Review", 80, false, false, "Commit"},
		{"Closed Won", 100, true, true, "Closed"},
		{"Closed Lost", 0, true, false, "Omitted"},
	}
}

func stageNames() []string {
	var names []string
	for _, s := range stages() {
		names = append(names, s.name)
	}
	return names
}

// schema is every object of the org. What real orgs let only Setup change (users, roles, profiles, stages,
// the organization) is read-only here.
func schema() []Object {
	return []Object{
		{Name: "Organization", Label: "Organization", LabelPlural: "Organizations", KeyPrefix: "00D", Sharing: PublicRead,
			Fields: fields(readOnly(
				text("Name", "Name", 80).named(),
				text("OrganizationType", "Edition", 40),
				text("InstanceName", "Instance Name", 5),
				flag("IsSandbox", "Is Sandbox"),
				of("TrialExpirationDate", "Trial Expiration Date", DateTime),
				text("NamespacePrefix", "Namespace Prefix", 15),
				text("Country", "Country", 80),
				text("TimeZoneSidKey", "Time Zone", 40),
				text("DefaultLocaleSidKey", "Locale", 40),
				text("LanguageLocaleKey", "Language", 40),
				of("FiscalYearStartMonth", "Fiscal Year Starts In", Int),
			), created(), modified())},
		{Name: "Profile", Label: "Profile", LabelPlural: "Profiles", KeyPrefix: "00e", Sharing: PublicRead,
			Fields: fields(readOnly(text("Name", "Name", 255).named()), created(), modified())},
		{Name: "UserRole", Label: "Role", LabelPlural: "Roles", KeyPrefix: "00E", Sharing: PublicRead,
			Fields: fields(readOnly(
				text("Name", "Name", 80).named(),
				text("DeveloperName", "Developer Name", 80),
				ref("ParentRoleId", "Parent Role", "", "", "UserRole"),
			), modified())},
		{Name: "User", Label: "User", LabelPlural: "Users", KeyPrefix: "005", Sharing: PublicRead,
			Fields: fields(readOnly(
				text("Username", "Username", 80),
				text("LastName", "Last Name", 80),
				text("FirstName", "First Name", 40),
				text("Name", "Full Name", 121).named(),
				of("Email", "Email", Email),
				text("Title", "Title", 80),
				text("Division", "Division", 80),
				flag("IsActive", "Active"),
				ref("ProfileId", "Profile", "Profile", "Users", "Profile"),
				ref("UserRoleId", "Role", "UserRole", "Users", "UserRole"),
				ref("ManagerId", "Manager", "Manager", "ManagedUsers", "User"),
				text("TimeZoneSidKey", "Time Zone", 40),
				text("LocaleSidKey", "Locale", 40),
			), created(), modified())},
		{Name: "Account", Label: "Account", LabelPlural: "Accounts", KeyPrefix: "001", Sharing: Private,
			Fields: fields([]Field{
				text("Name", "Account Name", 255).named().required(),
				list("Type", "Account Type", "Prospect", "Customer", "Partner", "Other"),
				list("Industry", "Industry", industries()...),
				of("Phone", "Account Phone", Phone),
				of("Website", "Website", URL),
				text("BillingCity", "Billing City", 40),
				text("BillingCountry", "Billing Country", 80),
				of("NumberOfEmployees", "Employees", Int),
				of("AnnualRevenue", "Annual Revenue", Currency),
				list("Region__c", "Region", regionNames()...).restricted(),
				of("Description", "Account Description", TextArea),
				owner(),
			}, deleted(), created(), modified())},
		{Name: "Contact", Label: "Contact", LabelPlural: "Contacts", KeyPrefix: "003", Sharing: ControlledByParent,
			Fields: fields([]Field{
				ref("AccountId", "Account ID", "Account", "Contacts", "Account"),
				text("LastName", "Last Name", 80).required(),
				text("FirstName", "First Name", 40),
				text("Name", "Full Name", 121).named().computed(),
				text("Title", "Title", 128),
				text("Department", "Department", 80),
				of("Email", "Email", Email),
				of("Phone", "Business Phone", Phone),
				of("MobilePhone", "Mobile Phone", Phone),
				of("Description", "Contact Description", TextArea),
				owner(),
			}, deleted(), created(), modified())},
		{Name: "Opportunity", Label: "Opportunity", LabelPlural: "Opportunities", KeyPrefix: "006", Sharing: Private,
			Fields: fields([]Field{
				ref("AccountId", "Account ID", "Account", "Opportunities", "Account"),
				ref("ContactId", "Contact ID", "Contact", "", "Contact").createOnly(),
				text("Name", "Name", 120).named().required(),
				of("Description", "Description", TextArea),
				list("StageName", "Stage", stageNames()...).restricted().required(),
				of("Amount", "Amount", Currency),
				of("Probability", "Probability (%)", Percent),
				of("ExpectedRevenue", "Expected Amount", Currency).computed(),
				of("CloseDate", "Close Date", Date).required(),
				list("Type", "Opportunity Type", "New Business", "Expansion", "Renewal"),
				text("NextStep", "Next Step", 255),
				list("LeadSource", "Lead Source", leadSources()...),
				flag("IsClosed", "Closed").computed(),
				flag("IsWon", "Won").computed(),
				list("ForecastCategoryName", "Forecast Category", forecastCategories()...).restricted(),
				of("LastActivityDate", "Last Activity", Date).computed(),
				of("LastStageChangeDate", "Last Stage Change Date", DateTime).computed(),
				owner(),
			}, deleted(), created(), modified())},
		{Name: "OpportunityStage", Label: "Opportunity Stage", LabelPlural: "Opportunity Stages", KeyPrefix: "01J", Sharing: PublicRead,
			Fields: fields(readOnly(
				text("MasterLabel", "Master Label", 255).named(),
				text("ApiName", "API Name", 255),
				flag("IsActive", "Is Active"),
				of("SortOrder", "Sort Order", Int),
				flag("IsClosed", "Closed"),
				flag("IsWon", "Won"),
				list("ForecastCategoryName", "Forecast Category Name", forecastCategories()...),
				of("DefaultProbability", "Probability (%)", Percent),
			), created(), modified())},
		{Name: "OpportunityHistory", Label: "Opportunity History", LabelPlural: "Opportunity History", KeyPrefix: "008", Sharing: ControlledByParent,
			Fields: fields(readOnly(
				ref("OpportunityId", "Opportunity ID", "Opportunity", "OpportunityHistories", "Opportunity"),
				list("StageName", "Stage", stageNames()...),
				of("Amount", "Amount", Currency),
				of("Probability", "Probability (%)", Percent),
				of("CloseDate", "Close Date", Date),
			), deleted(), created(), readOnly(of("SystemModstamp", "System Modstamp", DateTime).always()))},
		{Name: "Task", Label: "Task", LabelPlural: "Tasks", KeyPrefix: "00T", Sharing: Private,
			Fields: fields([]Field{
				ref("WhoId", "Name ID", "Who", "Tasks", "Contact"),
				ref("WhatId", "Related To ID", "What", "Tasks", "Account", "Opportunity"),
				text("Subject", "Subject", 255).named(),
				of("ActivityDate", "Due Date Only", Date),
				list("Status", "Status", "Not Started", "In Progress", "Completed", "Waiting on someone else", "Deferred").
					restricted().defaults("Not Started").required(),
				list("Priority", "Priority", "High", "Normal", "Low").restricted().defaults("Normal").required(),
				list("Type", "Type", "Call", "Email", "Meeting", "Other"),
				list("TaskSubtype", "Task Subtype", "Task", "Call", "Email").restricted().defaults("Task").createOnly(),
				of("Description", "Description", TextArea),
				flag("IsClosed", "Closed").computed(),
				owner(),
			}, deleted(), created(), modified())},
		{Name: "Event", Label: "Event", LabelPlural: "Events", KeyPrefix: "00U", Sharing: Private,
			Fields: fields([]Field{
				ref("WhoId", "Name ID", "Who", "Events", "Contact"),
				ref("WhatId", "Related To ID", "What", "Events", "Account", "Opportunity"),
				text("Subject", "Subject", 255).named(),
				of("StartDateTime", "Start Date Time", DateTime).required(),
				of("EndDateTime", "End Date Time", DateTime).required(),
				of("ActivityDate", "Due Date Only", Date).computed(),
				of("Description", "Description", TextArea),
				owner(),
			}, deleted(), created(), modified())},
	}
}

// fields puts the id in front of what it is given.
func fields(groups ...[]Field) []Field {
	all := []Field{{Name: "Id", Label: "Record ID", Type: ID, Length: 18}}
	for _, g := range groups {
		all = append(all, g...)
	}
	return all
}

func deleted() []Field { return readOnly(flag("IsDeleted", "Deleted")) }

func created() []Field {
	return readOnly(
		of("CreatedDate", "Created Date", DateTime).always(),
		ref("CreatedById", "Created By ID", "CreatedBy", "", "User").always(),
	)
}

func modified() []Field {
	return readOnly(
		of("LastModifiedDate", "Last Modified Date", DateTime).always(),
		ref("LastModifiedById", "Last Modified By ID", "LastModifiedBy", "", "User").always(),
		of("SystemModstamp", "System Modstamp", DateTime).always(),
	)
}

func readOnly(in ...Field) []Field {
	for i := range in {
		in[i] = in[i].computed()
	}
	return in
}

func owner() Field { return ref("OwnerId", "Owner ID", "Owner", "", "User").always() }

// of makes a field that may be null and may be written, with the length that Salesforce gives its type.
func of(name, label string, t FieldType) Field {
	f := Field{Name: name, Label: label, Type: t, Nillable: true, Createable: true, Updateable: true}
	f.Length = map[FieldType]int{Email: 80, Phone: 40, URL: 255, TextArea: 32000, Picklist: 255, Reference: 18}[t]
	f.Custom = len(name) > 3 && name[len(name)-3:] == "__c"
	return f
}

func text(name, label string, length int) Field {
	f := of(name, label, String)
	f.Length = length
	return f
}

func flag(name, label string) Field {
	f := of(name, label, Boolean).always()
	f.DefaultValue = false
	return f
}

func list(name, label string, values ...string) Field {
	f := of(name, label, Picklist)
	f.Picklist = values
	return f
}

func ref(name, label, relationship, children string, to ...string) Field {
	f := of(name, label, Reference)
	f.RelationshipName, f.ChildRelationshipName, f.ReferenceTo = relationship, children, to
	return f
}

func (f Field) required() Field      { f.Required, f.Nillable = true, false; return f }
func (f Field) always() Field        { f.Nillable = false; return f }
func (f Field) computed() Field      { f.Createable, f.Updateable = false, false; return f }
func (f Field) createOnly() Field    { f.Updateable = false; return f }
func (f Field) restricted() Field    { f.Restricted = true; return f }
func (f Field) named() Field         { f.NameField = true; return f }
func (f Field) defaults(v any) Field { f.DefaultValue = v; return f }

// profiles are what the company lets its people do. Nobody but the administrator moves an account to another
// region, and representatives don't see what an account earns.
func profiles() []Profile {
	all, keep, look := Access{true, true, true, true}, Access{Create: true, Read: true, Edit: true}, Access{Read: true}
	access := func(deal Access) map[string]Access {
		return map[string]Access{
			"Organization": look, "Profile": look, "UserRole": look, "User": look, "OpportunityStage": look, "OpportunityHistory": look,
			"Account": deal, "Contact": deal, "Opportunity": deal, "Task": all, "Event": all,
		}
	}
	return []Profile{
		{Name: "System Administrator", ViewAll: true, ModifyAll: true, Objects: access(all)},
		{Name: "Sales Manager", Objects: access(keep), Fields: map[string]FieldAccess{
			"Account.Region__c": {Read: true},
		}},
		{Name: "Sales Representative", Objects: access(keep), Fields: map[string]FieldAccess{
			"Account.Region__c":     {Read: true},
			"Account.AnnualRevenue": {},
		}},
	}
}
