// Package steward names the things that the whole house talks about; it knows no package but the
// standard library.
//
// Steward is an AI agent server for go-to-market teams. People ask in plain language about their CRM
// and let it act there. One question travels through the house like this:
//
//	edge      api, cmd/steward     takes the question of a signed-in member
//	identity  who is asking?       an API token becomes a Caller, which nobody else can make
//	gateway   tokens in            names, e-mails and phones become tokens: <PERSON_k7q2mh>
//	agent     the run              model and tools in turns, its state stored after each step
//	gateway   Do, the one door     may they? write down the intent, put the real values in, act,
//	                               take them out again, write down the outcome
//	gateway   values out           tokens become values again, read as the member who looks
//
// Everything between the two doors sees tokens only: the agent, the model, the ledger, stored state,
// approvals. That one mechanism minimises what the model sees, keeps the record free of personal
// data, and makes forgetting a person the destruction of a key.
//
// Behind the gateway stand the steps it calls, none of which knows another: policy decides, privacy
// exchanges values for tokens, connector and llm act, ledger writes down, keyring seals. store keeps
// what they hand it, on SQLite. retention conducts forgetting. insight computes revenue figures.
// sandbox is a Salesforce-compatible org to try all of it against, and soql its query language.
package steward
