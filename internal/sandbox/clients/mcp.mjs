// Two MCP servers for Salesforce against the sandbox: what an agent of another make does there.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { person, sandbox, step } from './steps.mjs'

const admin = person('admin')

async function connected(name, command, args, env, act) {
  const client = new Client({ name: 'steps', version: '1.0.0' })
  await step(`${name}: connect`, () => client.connect(new StdioClientTransport({ command, args, env: { ...process.env, ...env }, stderr: 'ignore' })))
  const call = async (tool, given) => {
    const { content, isError } = await client.callTool({ name: tool, arguments: given })
    const text = content.map((part) => part.text).join('\n')
    if (isError) throw new Error(text)
    return text
  }
  await act(client, call)
  await client.close()
}

await step('sf: sign in for its MCP server', () => {
  execFileSync('sf', ['org', 'login', 'access-token', '--instance-url', sandbox.instance_url, '--no-prompt', '--alias', 'box', '--set-default'], {
    env: { ...process.env, SF_ACCESS_TOKEN: admin.access_token }, stdio: 'pipe',
  })
})
await connected('@salesforce/mcp', 'sf-mcp-server', ['--orgs', 'ALLOW_ALL_ORGS', '--toolsets', 'orgs,data', '--no-telemetry'], {}, async (client, call) => {
  const at = { usernameOrAlias: admin.username, directory: process.cwd() }
  await step('@salesforce/mcp: tools', async () => {
    const names = (await client.listTools()).tools.map((tool) => tool.name)
    assert.ok(names.includes('run_soql_query'), names.join())
  })
  await step('@salesforce/mcp: list_all_orgs', async () => assert.ok((await call('list_all_orgs', { directory: at.directory })).includes(admin.username)))
  await step('@salesforce/mcp: run_soql_query', async () => {
    const text = await call('run_soql_query', { ...at, query: 'SELECT Name, Owner.Name FROM Account ORDER BY Name LIMIT 2', useToolingApi: false })
    assert.match(text, /"totalSize": ?2/)
  })
  await step('@salesforce/mcp: a query with a mistake', () =>
    assert.rejects(call('run_soql_query', { ...at, query: 'SELECT Colour FROM Account', useToolingApi: false }), /No such column 'Colour'/))
})

await connected('tsmztech', 'salesforce-connector', [], {
  SALESFORCE_CONNECTION_TYPE: 'User_Password', SALESFORCE_INSTANCE_URL: sandbox.instance_url,
  SALESFORCE_USERNAME: admin.username, SALESFORCE_PASSWORD: sandbox.password, SALESFORCE_TOKEN: '',
}, async (client, call) => {
  let id
  await step('tsmztech: tools', async () => assert.ok((await client.listTools()).tools.length >= 10))
  await step('tsmztech: search objects', async () => assert.match(await call('salesforce_search_objects', { searchPattern: 'Opportunity' }), /OpportunityHistory/))
  await step('tsmztech: describe', async () => assert.match(await call('salesforce_describe_object', { objectName: 'Account' }), /Industry/))
  await step('tsmztech: query', async () => {
    const text = await call('salesforce_query_records', { objectName: 'Contact', fields: ['LastName', 'Account.Name'], limit: 3, whereClause: "AccountId != null" })
    assert.match(text, /Query returned 3 records/)
  })
  await step('tsmztech: query with children', async () => {
    assert.match(await call('salesforce_query_records', { objectName: 'Account', fields: ['Name', '(SELECT LastName FROM Contacts)'], limit: 2 }), /Contacts/)
  })
  await step('tsmztech: aggregate', async () => {
    const text = await call('salesforce_aggregate_query', {
      objectName: 'Opportunity', selectFields: ['StageName', 'SUM(Amount) Total'], groupByFields: ['StageName'], havingClause: 'SUM(Amount) > 1000', orderBy: 'SUM(Amount) DESC',
    })
    assert.match(text, /Closed Won/)
  })
  await step('tsmztech: insert', async () => {
    const text = await call('salesforce_dml_records', { operation: 'insert', objectName: 'Account', records: [{ Name: 'Larkspur Robotics' }, { Name: 'Larkspur Energy' }] })
    assert.match(text, /Successful: 2/)
  })
  await step('tsmztech: update', async () => {
    const text = await call('salesforce_query_records', { objectName: 'Account', fields: ['Id'], whereClause: "Name = 'Larkspur Robotics'" })
    id = /001\w{15}/.exec(text)[0]
    assert.match(await call('salesforce_dml_records', { operation: 'update', objectName: 'Account', records: [{ Id: id, Phone: '5' }] }), /Successful: 1/)
  })
  await step('tsmztech: search', async () => {
    assert.match(await call('salesforce_search_all', { searchTerm: 'Larkspur', searchIn: 'NAME FIELDS', objects: [{ name: 'Account', fields: ['Name', 'Phone'], limit: 5 }] }), /Larkspur/)
  })
  await step('tsmztech: delete', async () => {
    assert.match(await call('salesforce_dml_records', { operation: 'delete', objectName: 'Account', records: [{ Id: id }] }), /Successful: 1/)
  })
})
