package salesforce

import (
	"slices"
	"strings"

	"github.com/stewardhq/steward"
)

// class is how a field's values may travel.
type class struct {
	sensitivity steward.Sensitivity
	token       steward.TokenType // for Personal
}

// The classes of the table below.
var (
	open        = class{sensitivity: steward.Open}
	personName  = class{steward.Personal, steward.TokenPerson}
	mailbox     = class{steward.Personal, steward.TokenEmail}
	phoneNumber = class{steward.Personal, steward.TokenPhone}
	street      = class{steward.Personal, steward.TokenAddress}
	birthDate   = class{steward.Personal, steward.TokenDate}
)

// people are the objects whose records are persons, with a name in Name, FirstName and LastName.
var people = []string{"Contact", "Lead", "User"}

// outside are the objects whose texts people outside the company write: by web form, e-mail, chat.
var outside = []string{"Lead", "Case", "EmailMessage"}

// table classifies the fields whose type alone would say too little or too much: "*" stands for the
// objects that are people, a bare name for a field of any object. Everything else follows from its type,
// see byType.
var table = map[string]class{
	"*.Name": personName, "*.FirstName": personName, "*.MiddleName": personName, "*.LastName": personName, "*.Suffix": personName,
	"*.Alias": personName, "*.CommunityNickname": personName, "*.AssistantName": personName, "*.Username": mailbox,
	"*.Email": mailbox, "*.Phone": phoneNumber, "*.MobilePhone": phoneNumber, "*.HomePhone": phoneNumber, "*.OtherPhone": phoneNumber,
	"*.Fax": phoneNumber, "*.AssistantPhone": phoneNumber, "*.Birthdate": birthDate,
	"*.Street": street, "*.PostalCode": street,
	"*.MailingStreet": street, "*.MailingPostalCode": street, "*.OtherStreet": street, "*.OtherPostalCode": street,
	"*.City": open, "*.State": open, "*.Country": open,
	"*.MailingCity": open, "*.MailingState": open, "*.MailingCountry": open,
	"*.OtherCity": open, "*.OtherState": open, "*.OtherCountry": open,
	"*.Title": open, "*.Department": open, "*.Division": open, "*.CompanyName": open, "Lead.Company": open,

	"Account.Name": open, "Account.Website": open, "Account.AccountNumber": open, "Account.TickerSymbol": open,
	"Account.BillingCity": open, "Account.BillingState": open, "Account.BillingCountry": open,
	"Account.ShippingCity": open, "Account.ShippingState": open, "Account.ShippingCountry": open,
	"Opportunity.Name": open, "Opportunity.StageName": open, "OpportunityHistory.StageName": open,
	"OpportunityStage.MasterLabel": open, "OpportunityStage.ApiName": open,
	"Campaign.Name": open, "Product2.Name": open, "Product2.ProductCode": open, "Pricebook2.Name": open,
	"Group.Name": open, "UserRole.Name": open, "Profile.Name": open, "RecordType.Name": open,
	"Organization.Name": open, "Case.CaseNumber": open, "Contract.ContractNumber": open, "Order.OrderNumber": open,
	"Case.SuppliedName": personName, "EmailMessage.FromName": personName, "EmailMessage.FromAddress": mailbox,
	"EmailMessage.ToAddress": mailbox, "EmailMessage.CcAddress": mailbox, "EmailMessage.BccAddress": mailbox,

	"DeveloperName": open, "TimeZoneSidKey": open, "LocaleSidKey": open,
	"Description": {}, "NextStep": {}, "Subject": {}, "Comments": {},
}

// byType classifies what the table doesn't name. What is absent, such as string, textarea, url and types
// still to be invented, is free text.
var byType = map[string]class{
	"id": open, "reference": open, "picklist": open, "multipicklist": open, "boolean": open,
	"currency": open, "double": open, "percent": open, "int": open, "long": open,
	"date": open, "datetime": open, "time": open,
	"email": mailbox, "phone": phoneNumber,
}

// classify says how values of a field may travel.
func classify(object string, f *field) class {
	keys := []string{object + "." + f.Name, f.Name}
	if slices.Contains(people, object) {
		keys = []string{object + "." + f.Name, "*." + f.Name, f.Name}
	}
	for _, key := range keys {
		if c, ok := table[key]; ok {
			return c
		}
	}
	return byType[f.Type]
}

// untrusted says whether people outside the company can write a field: everything that is text on
// outside objects, and descriptions, into which e-mails and transcripts are copied.
func untrusted(object string, f *field) bool {
	return f.Name == "Description" || f.isText() && slices.Contains(outside, object)
}

// value makes a field of a record: of is the record it lives in, which for "Owner.Name" is the User.
func value(asked string, v any, f *field, of steward.Ref) steward.Field {
	c := classify(of.Object, f)
	out := steward.Field{
		Name: asked, Value: v, Sensitivity: c.sensitivity, Type: c.token,
		Of: of, Untrusted: untrusted(of.Object, f),
	}
	out.Of.Field = f.Name
	if slices.Contains(people, of.Object) && of.ID != "" {
		out.Subject = of.Record()
	}
	return out
}

// defaults are the fields that a read gives when none are asked for, of the objects that sellers ask
// about: nothing that is free text or written by outsiders.
var defaults = map[string][]string{
	"Account": {"Name", "Industry", "Type", "BillingCity", "BillingCountry", "NumberOfEmployees", "AnnualRevenue", "Owner.Name"},
	"Contact": {"Name", "FirstName", "LastName", "Title", "Email", "Phone", "MobilePhone", "Account.Name"},
	"Opportunity": {"Name", "StageName", "Amount", "CloseDate", "Probability", "ForecastCategoryName", "IsClosed", "IsWon",
		"LastActivityDate", "CreatedDate", "Account.Name", "Owner.Name"},
	"Task":  {"Type", "Status", "Priority", "ActivityDate", "IsClosed", "Who.Name", "What.Name", "Owner.Name"},
	"Event": {"StartDateTime", "EndDateTime", "ActivityDate", "Who.Name", "What.Name", "Owner.Name"},
	"User":  {"Name", "FirstName", "LastName", "Email", "Title", "IsActive"},
}

// defaultFields lists them for any object: where the table has none, the first twenty that are safe.
func defaultFields(o *object) []string {
	if list := defaults[o.Name]; list != nil {
		return list
	}
	var list []string
	for i := range o.Fields {
		f := &o.Fields[i]
		plumbing := f.Name == "Id" || f.Name == "IsDeleted" || strings.HasPrefix(f.Name, "System") || f.isCompound()
		if !plumbing && classify(o.Name, f).sensitivity != steward.FreeText && !untrusted(o.Name, f) && len(list) < 20 {
			list = append(list, f.Name)
		}
	}
	return list
}
