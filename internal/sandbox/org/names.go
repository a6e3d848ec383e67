package org

import "strings"

// The invented people. Contacts' names are chosen so that a search for one of their parts finds that person
// and nothing else: five letters or more, no word of English, no place, no brand, none a part of another,
// none shared with a user or an account.

var contactFirstNames = []string{
	"Aaliyah", "Abdullah", "Adebayo", "Agnieszka", "Akosua", "Alasdair", "Alejandro", "Amadou", "Andrzej", "Anneliese",
	"Annika", "Arvind", "Ayesha", "Beatriz", "Bernhard", "Bogdan", "Bronagh", "Camila", "Cedric", "Chiara",
	"Chidinma", "Chukwuemeka", "Cormac", "Cristobal", "Daniela", "Dariusz", "Declan", "Delphine", "Demetrios", "Desmond",
	"Diarmuid", "Dmitri", "Domenico", "Dorota", "Eamonn", "Edoardo", "Eduardo", "Eleni", "Elodie", "Emilia",
	"Enrique", "Esteban", "Eugenia", "Fabrizio", "Federica", "Fernanda", "Fiorella", "Florian", "Francesca", "François",
	"Gabriela", "Gaurav", "Genevieve", "Giancarlo", "Gianluca", "Gintaras", "Giulia", "Goran", "Grzegorz", "Guillermo",
	"Gustavo", "Harish", "Haruto", "Heinrich", "Henrike", "Hiroshi", "Horacio", "Hussein", "Ibrahim", "Ignacio",
	"Ingrid", "Iskander", "Isolde", "Jaroslav", "Javier", "Jelena", "Joachim", "Joaquin", "Johanna", "Jürgen",
	"Karolina", "Katarzyna", "Kavita", "Kazimierz", "Kenji", "Kristoffer", "Kwabena", "László", "Leandro", "Leilani",
	"Leticia", "Lieselotte", "Lorcan", "Ludmila", "Ludovic", "Łukasz", "Maksim", "Malgorzata", "Marcelo", "Margarethe",
	"Marjolein", "Matthias", "Mauricio", "Meenakshi", "Mikhail", "Mireille", "Miroslav", "Nadezhda", "Naledi", "Natsuki",
	"Naveen", "Ngozi", "Niamh", "Nikolai", "Noémie", "Obinna", "Oksana", "Olufunke", "Olumide", "Paulina",
	"Philippe", "Piotr", "Priyanka", "Radoslav", "Rafaela", "Rajesh", "Reinhard", "Rodrigo", "Róisín", "Rosalind",
	"Ruxandra", "Sandeep", "Sanjana", "Saoirse", "Sebastian", "Sergei", "Shabnam", "Shreya", "Siddharth", "Sigrid",
	"Siobhan", "Solveig", "Søren", "Stanislaw", "Stefanos", "Svetlana", "Takashi", "Tamsin", "Tariq", "Tatiana",
	"Thaddeus", "Thandiwe", "Theodora", "Thorsten", "Tobias", "Tomasz", "Ulrike", "Vaclav", "Valentina", "Veronika",
	"Vikram", "Vincenzo", "Wangari", "Wiktor", "Wilhelmina", "Wojciech", "Xiomara", "Yannick", "Yevgenia", "Yukiko",
	"Yusuf", "Zainab", "Zbigniew", "Zsófia", "Zuzana",
}

var contactLastNames = []string{
	"Abernathy", "Achterberg", "Adeyemi", "Agarwal", "Akintola", "Andersson", "Arslan", "Asante", "Azikiwe", "Banerjee",
	"Baranowski", "Bergström", "Bhattacharya", "Bielecki", "Björklund", "Blaszczyk", "Bocharov", "Borowski", "Bouchard", "Boutros",
	"Brzezinski", "Castellanos", "Chakraborty", "Charpentier", "Chaudhary", "Chernyshev", "Cisneros", "Colquhoun", "Contreras", "D'Agostino",
	"D'Ambrosio", "Dabrowski", "Delacroix", "Demirel", "Desrosiers", "Dimitriou", "Dlamini", "Drozdov", "Dubrovsky", "Eberhardt",
	"Echeverria", "Eriksson", "Escobedo", "Espinoza", "Ferreira", "Fitzgerald", "Forsberg", "Fothergill", "Friedrichsen", "Fujimoto",
	"Galvão", "Giannopoulos", "Gillespie", "Goldschmidt", "Gonçalves", "Gorbachenko", "Grabowski", "Grünwald", "Gudmundsson", "Gutiérrez",
	"Halvorsen", "Hasegawa", "Hernández", "Hoffmann", "Hovhannisyan", "Ibáñez", "Iglesias", "Ivanenko", "Jablonski", "Jamieson",
	"Jankowski", "Jayawardena", "Johansson", "Jovanovic", "Kaczmarek", "Kalinowski", "Karlsson", "Katsaros", "Kavanagh", "Khachaturian",
	"Kipkemboi", "Kirchhoff", "Kobayashi", "Kowalczyk", "Krishnamurthy", "Kristiansen", "Kruszewski", "Kurosawa", "Kuznetsov", "Lachapelle",
	"Laghari", "Lefebvre", "Leszczynski", "Lewandowski", "Lindqvist", "Lundgren", "MacGillivray", "MacPherson", "Mahlangu", "Majumdar",
	"Makinde", "Malhotra", "Mankiewicz", "Marchetti", "Marinescu", "Mascarenhas", "Mazurek", "McAllister", "McDonagh", "McLoughlin",
	"Mendonça", "Mikkelsen", "Moriarty", "Mukherjee", "Mwangi", "Nakamura", "Narayanan", "Ndlovu", "Nieminen", "Oikonomou",
	"Novotny", "Nowakowski", "O'Callaghan", "O'Donoghue", "O'Flaherty", "O'Sullivan", "Odhiambo", "Okonkwo", "Olszewski", "Onyango",
	"Oyelaran", "Pacheco", "Palaniappan", "Papadakis", "Parthasarathy", "Pellegrini", "Petrosyan", "Pfeiffer", "Pietrangeli", "Popescu",
	"Przybylski", "Quaresma", "Quispe", "Raghunathan", "Ramaswamy", "Rasmussen", "Rautenbach", "Rezende", "Riquelme", "Rosenbaum",
	"Rousseau", "Rutkowski", "Sakamoto", "Salvatierra", "Santangelo", "Schäfer", "Sepúlveda", "Shevchenko", "Sigurdsson", "Sorensen",
	"Stavropoulos", "Steinhauer", "Subramanian", "Szczepanski", "Szymanski", "Takahashi", "Tanaka", "Thibodeaux", "Thorvaldsen", "Tkachenko",
	"Tshabalala", "Tuominen", "Uchida", "Urquhart", "Vaidyanathan", "Valenzuela", "Vandenberghe", "Vasiliev", "Venkatesan", "Villalobos",
	"Vukovic", "Watanabe", "Weissmann", "Wickramasinghe", "Wisniewski", "Yamamoto", "Yilmaz", "Zabriskie", "Zamorano", "Zielinski",
}

// plainLetters spells a name as an e-mail address would.
var plainLetters = strings.NewReplacer("ç", "c", "ü", "u", "ö", "o", "ä", "a", "ã", "a", "á", "a", "é", "e", "í", "i", "ó", "o",
	"ú", "u", "ñ", "n", "ø", "o", "Ł", "L", "'", "")

func mailbox(first, last, domain string) string {
	return strings.ToLower(plainLetters.Replace(first)+"."+plainLetters.Replace(last)) + "@" + domain
}

// Users are the same in every org, so that scripts may know them: the administrator first, then for each
// region its manager and four representatives.
var userNames = [][2]string{
	{"Rosamund", "Whitfield"},
	{"Theresa", "Hargreaves"}, {"Benedikt", "Aldersson"}, {"Sunita", "Raghavan"},
	{"Marcus", "Pemberton"}, {"Luciana", "Arredondo"}, {"Trevor", "Kilbride"}, {"Nathalie", "Beaumont"},
	{"Katrin", "Vogelsang"}, {"Olivier", "Marchand"}, {"Aisling", "Brannigan"}, {"Mateusz", "Zawadzki"},
	{"Keiko", "Tachibana"}, {"Arjun", "Deshmukh"}, {"Weiling", "Tjandra"}, {"Callum", "Redfern"},
}

// An account is called by one of these and a noun of its trade.
var accountWords = []string{
	"Amberway", "Aurora", "Beacon", "Bluepeak", "Brightwater", "Cedarpoint", "Clearpath", "Cobalt", "Coralbay", "Driftwood",
	"Elmstead", "Ember", "Evermark", "Falcon", "Fernhill", "Foxglen", "Glacier", "Goldcrest", "Granitefall", "Harborline",
	"Highmoor", "Hollowbrook", "Inkwell", "Ironbridge", "Juniper", "Kestrel", "Lakeshore", "Larkspur", "Maplecroft", "Meridian",
	"Moonstone", "Nimbus", "Northgate", "Oakhaven", "Orchard", "Pinecrest", "Prairie", "Quarry", "Redwood", "Ridgeline",
	"Riverbend", "Saltmarsh", "Silverleaf", "Starfield", "Stonecrest", "Summitview", "Sunridge", "Thistle", "Tidewell", "Vantage",
	"Westbrook", "Willowbank", "Yarrow", "Zephyr",
}

// tradeNouns stand in the order of industries.
var tradeNouns = [][]string{
	{"Farms", "Seeds"}, {"Bank", "Savings"}, {"Biotech", "Genomics"}, {"Builders", "Roofing"}, {"Academy", "Learning"},
	{"Energy", "Solar"}, {"Engineering", "Instruments"}, {"Clinics", "Health"}, {"Hotels", "Resorts"}, {"Insurance", "Mutual"},
	{"Plastics", "Tooling"}, {"Grocers", "Outfitters"}, {"Robotics", "Software"}, {"Freight", "Shipping"}, {"Power", "Water"},
}

// place is where accounts of a region are.
type place struct{ city, country string }

// region is where people sell, and how the invented telephone numbers there look. The numbers are in
// ranges that the regulators keep free for fiction.
type region struct {
	name   string
	places []place
	phones []string // "#" stands for a digit
}

func sellingRegions() []region {
	return []region{
		{"Americas", []place{
			{"Boston", "United States"}, {"Chicago", "United States"}, {"Denver", "United States"}, {"Seattle", "United States"},
			{"Atlanta", "United States"}, {"Toronto", "Canada"}, {"Calgary", "Canada"},
		}, []string{
			"+1-212-555-01##", "+1-303-555-01##", "+1-312-555-01##", "+1-404-555-01##", "+1-415-555-01##", "+1-503-555-01##",
			"+1-512-555-01##", "+1-602-555-01##", "+1-617-555-01##", "+1-702-555-01##", "+1-713-555-01##", "+1-206-555-01##",
			"+1-801-555-01##", "+1-816-555-01##", "+1-901-555-01##", "+1-919-555-01##",
		}},
		{"EMEA", []place{
			{"Manchester", "United Kingdom"}, {"Leeds", "United Kingdom"}, {"Bristol", "United Kingdom"},
			{"Hamburg", "Germany"}, {"Cologne", "Germany"}, {"Munich", "Germany"},
		}, []string{"+44 7700 900###", "+49 30 23125 ###", "+49 40 66969 ###"}},
		{"APAC", []place{
			{"Sydney", "Australia"}, {"Melbourne", "Australia"}, {"Brisbane", "Australia"}, {"Perth", "Australia"},
		}, []string{"+61 2 5550 ####"}},
	}
}

// What people write about deals. {name}, {first}, {email} and {phone} are a contact's.
var (
	nextSteps = []string{
		"Call {name} about renewal", "Send revised quote to {email}", "Confirm budget with {first}", "Waiting for {name} to return from leave",
		"Book demo for the operations team", "Legal review of order form", "Get security questionnaire signed off",
		"Agree on start date", "Ring {phone} once procurement has decided", "Prepare business case",
	}
	callSubjects = []string{"Call with {name}", "Call: pricing follow-up", "Left voicemail on {phone}", "Discovery call", "Call: timeline check"}
	mailSubjects = []string{"Email: proposal sent to {email}", "Email: answers to open questions", "Email: meeting notes for {first}", "Email: quote"}
	meetSubjects = []string{"Meeting with {name}", "Demo of the platform", "Workshop on rollout plan", "Quarterly review"}
	taskNotes    = []string{
		"{name} asked for references in the same industry.", "Reached {first} on {phone}; wants numbers by next week.",
		"Shared the pricing sheet with {email}.", "Went through the plan, no blockers.", "Budget holder joined and had questions on support.",
	}
	dealNotes = []string{
		"Introduced by {name} ({email}).", "Replaces a spreadsheet process in two plants.", "Sponsor is {name}, reachable on {phone}.",
		"Competes with an in-house build.", "Bundle of licences and onboarding.",
	}
	contactNotes = []string{"{first} prefers calls on {phone} before noon.", "Met at a trade show.", "Copy {email} on every quote."}
	dealKinds    = map[string][]string{
		"New Business": {"Pilot", "Rollout", "Platform"},
		"Expansion":    {"Expansion", "Upgrade", "Added Seats"},
		"Renewal":      {"Renewal"},
	}
	jobs = [][2]string{
		{"Head of Procurement", "Procurement"}, {"Operations Director", "Operations"}, {"IT Manager", "IT"}, {"Chief Financial Officer", "Finance"},
		{"VP of Logistics", "Operations"}, {"Systems Analyst", "IT"}, {"Plant Manager", "Operations"}, {"Buyer", "Procurement"},
		{"Chief Information Officer", "IT"}, {"Controller", "Finance"}, {"Marketing Director", "Marketing"},
	}
)

// mention fills a text in with a contact's details; a text that needs one the contact lacks becomes nil.
func mention(text string, contact Row) any {
	if !strings.Contains(text, "{") {
		return text
	}
	for _, slot := range [][2]string{{"{name}", "Name"}, {"{first}", "FirstName"}, {"{email}", "Email"}, {"{phone}", "Phone"}} {
		if strings.Contains(text, slot[0]) {
			if contact[slot[1]] == nil {
				return nil
			}
			text = strings.ReplaceAll(text, slot[0], contact.Text(slot[1]))
		}
	}
	return text
}
