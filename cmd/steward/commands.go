package main

import (
	"github.com/stewardhq/steward/cmd/steward/closed"
	"github.com/stewardhq/steward/cmd/steward/command"
	"github.com/stewardhq/steward/cmd/steward/member"
	"github.com/stewardhq/steward/cmd/steward/provider"
)

// commands is the one table of them, in the order in which people are shown them.
func commands() command.Table {
	return command.Table{
		{Name: "demo", Summary: "show all of Steward in half a minute, with nothing to set up", Usage: "[--once]", Run: runDemo, Operator: true},
		{Name: "ask", Summary: "ask a question about the CRM, or have something changed there", Usage: "QUESTION", Run: member.Ask(examples())},
		{Name: "approve", Summary: "confirm or refuse a change; without ID, list what waits", Usage: "[ID] [--deny]", Run: member.Approve},
		{Name: "run show", Summary: "show a question and its answer again", Usage: "ID", Run: member.ShowRun},
		{Name: "log", Summary: "read the record of what was done", Usage: "[--run ID]", Run: member.Log},
		{Name: "verify", Summary: "check that nobody changed the record", Run: runVerify, Operator: true},
		{Name: "export", Summary: "write the record out, for other people's verifiers and tools", Usage: "--tlog DIR | --format ocsf|jsonl|parquet [--out FILE]", Run: runExport, Operator: true},
		{Name: "receipt", Summary: "have it proven that an entry is on record", Usage: "SEQ [--out FILE]", Run: member.Receipt},
		{Name: "proof", Summary: "have it proven that an entry is in the log, or that the log only grew", Usage: "SEQ | --from SIZE [--to SIZE]", Run: member.Proof},
		{Name: "key rotate", Summary: "replace the key that signs the record", Run: member.RotateKey},
		{Name: "erase", Summary: "forget a person", Usage: "--person salesforce:Contact:ID|EMAIL|PHONE|NAME --yes | --list", Run: member.Erase},
		{Name: "certificates", Summary: "show what certifies that something was forgotten, or check it", Usage: "[ID] | --check FILE --vkey KEY", Run: member.Certificates},
		{Name: "retention", Summary: "show what is kept how long and what goes next, or change that", Usage: "[--set CLASS=DAYS | --confirm]", Run: member.Retention},
		{Name: "hold place", Summary: "keep everything, or what is kept of a person or a run, from being purged or forgotten", Usage: "--ground CODE [--person salesforce:Contact:ID|EMAIL | --run ID]", Run: member.PlaceHold},
		{Name: "hold show", Summary: "show what is under a hold on a person or a run", Usage: "ID --purpose audit", Run: member.ShowHold},
		{Name: "hold release", Summary: "let go again what a hold kept", Usage: "ID", Run: member.ReleaseHold},
		{Name: "backup", Summary: "copy the data, or the keyring, or prove that a backup can be restored", Usage: "--to DIR | --keyring-to DIR | --check DIR", Run: runBackup, Operator: true},
		{Name: "keyring rotate", Summary: "give the keyring new keys, from its root down", Run: runRotateKeyring, Operator: true},
		{Name: "restore", Summary: "put a backup of the data back, under the keys of today", Usage: "--from DIR", Run: runRestore, Operator: true},
		{Name: "init", Summary: "make a data folder with a workspace and its first administrator", Usage: "--workspace NAME --admin EMAIL", Run: runInit, Operator: true},
		{Name: "serve", Summary: "serve the API", Run: runServe, Operator: true},
		{Name: "workspace show", Summary: "show the workspace that your token belongs to", Run: member.ShowWorkspace},
		{Name: "workspace close", Summary: "close the workspace, and have all of it deleted after a grace or at once", Usage: "[--grace DAYS | --delete] --yes", Run: member.CloseWorkspace},
		{Name: "workspace reopen", Summary: "open a closed workspace again, within its grace", Run: member.ReopenWorkspace},
		{Name: "workspace closed", Summary: "list workspaces that were deleted, with what certifies it", Run: closed.List(closings), Operator: true},
		{Name: "member add", Summary: "add a person to the workspace", Usage: "--email EMAIL --role admin|manager|member|auditor", Run: member.AddMember},
		{Name: "member list", Summary: "list the workspace's members", Run: member.ListMembers},
		{Name: "member remove", Summary: "remove a member and revoke their tokens", Usage: "EMAIL|ID", Run: member.RemoveMember},
		{Name: "token issue", Summary: "make an API token, for yourself or, as an administrator, for a member", Usage: "[--member EMAIL]", Run: member.IssueToken},
		{Name: "token list", Summary: "list API tokens", Usage: "[--member EMAIL]", Run: member.ListTokens},
		{Name: "token revoke", Summary: "end an API token now", Usage: "ID", Run: member.RevokeToken},
		{Name: "connect salesforce", Summary: "connect your own Salesforce account with a browser; or one by a token or as a service user", Usage: "[--instance-url URL] [--access-token - | --service-user NAME]", Run: member.Connect},
		{Name: "disconnect salesforce", Summary: "end that connection, and forget its credential", Usage: "[--member EMAIL]", Run: member.Disconnect},
		{Name: "provider register", Summary: "propose a provider of models, with the arrangement under which it keeps nothing", Usage: "--kind anthropic --region R --model ID --arrangement FILE", Run: provider.Register},
		{Name: "provider approve", Summary: "agree to a provider that another administrator registered", Usage: "NAME/VERSION", Run: provider.Approve},
		{Name: "provider list", Summary: "list the providers that are registered, all versions", Run: provider.List},
		{Name: "provider retire", Summary: "end the use of a provider, for good", Usage: "NAME/VERSION", Run: provider.Retire},
		{Name: "sandbox serve", Summary: "serve a Salesforce-compatible org of invented people to try things on", Usage: "[--data acme|empty]", Run: runSandbox, Operator: true},
		{Name: "sandbox answers", Summary: "tell what is true of that org, to check answers against", Usage: "[--data acme|empty] [--as USERNAME]", Run: runAnswers, Operator: true},
		{Name: "help", Summary: "explain a command", Usage: "[COMMAND]", Run: command.Help},
		{Name: "version", Summary: "print the version", Run: command.Version},
	}
}
