// Salesforce's own command line against the sandbox: sign in with an access token, then what people script with it.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { person, sandbox, step } from './steps.mjs'

const run = promisify(execFile)
const admin = person('admin')

/** What sf prints. */
async function sf(...args) {
  try {
    return (await run('sf', args, { timeout: 50_000, maxBuffer: 1 << 24, env: { ...process.env, SF_ACCESS_TOKEN: admin.access_token } })).stdout
  } catch (e) {
    throw new Error(`sf ${args.join(' ')}: ${e.stdout}${e.stderr}`)
  }
}
const json = async (...args) => JSON.parse(await sf(...args, '--json')).result
const query = (soql, ...args) => json('data', 'query', '--query', soql, ...args)
const csv = async (soql) => (await sf('data', 'query', '--result-format', 'csv', '--query', soql)).trim().split('\n')

await step('org login access-token', async () => {
  const { username, orgId } = await json('org', 'login', 'access-token', '--instance-url', sandbox.instance_url, '--no-prompt', '--alias', 'box', '--set-default')
  assert.equal(username, admin.username)
  assert.match(orgId, /^00D/)
})
await step('org display', async () => {
  const { connectedStatus, apiVersion } = await json('org', 'display')
  assert.deepEqual([connectedStatus, apiVersion], ['Connected', '67.0'])
})
await step('org display user', async () => assert.equal((await json('org', 'display', 'user')).profileName, 'System Administrator'))
await step('org list', async () => assert.equal((await json('org', 'list')).sandboxes[0].alias, 'box'))
await step('org list limits', async () => assert.equal((await json('org', 'list', 'limits')).find((l) => l.name === 'DailyApiRequests').max, 15000))
await step('org list sobject record-counts', async () => {
  const [count] = await json('org', 'list', 'sobject', 'record-counts', '--sobject', 'Account')
  assert.equal(count.count, (await query('SELECT COUNT() FROM Account')).totalSize)
})

await step('sobject list', async () => assert.ok((await json('sobject', 'list', '--sobject', 'standard')).includes('Opportunity')))
await step('sobject describe', async () => {
  const { fields, childRelationships } = await json('sobject', 'describe', '--sobject', 'Account')
  assert.ok(fields.some((f) => f.name === 'Industry' && f.type === 'picklist'))
  assert.ok(childRelationships.some((r) => r.relationshipName === 'Opportunities'))
})

await step('data query', async () => {
  const { records, totalSize, done } = await query('SELECT Id, Name, Owner.Name FROM Account ORDER BY Name LIMIT 2')
  assert.deepEqual([records.length, totalSize, done], [2, 2, true])
})
await step('data query for people', async () => {
  const [{ Name, Owner }] = (await query('SELECT Name, Owner.Name FROM Account ORDER BY Name LIMIT 1')).records
  const table = await sf('data', 'query', '--query', 'SELECT Name, Owner.Name FROM Account ORDER BY Name LIMIT 1')
  for (const part of ['NAME', 'OWNER.NAME', Name, Owner.Name, 'records retrieved: 1']) assert.ok(table.includes(part), `${part} is not in ${table}`)
})
await step('data query as CSV', async () => {
  const lines = await csv('SELECT Id, Account.Owner.Name, Amount FROM Opportunity WHERE Account.Name != null LIMIT 3')
  assert.deepEqual([lines[0], lines.length], ['Id,Account.Owner.Name,Amount', 4])
  assert.match(lines[1], /^006\w{15},[^,]+,[\d.]*$/)
})
await step('data query of groups', async () => {
  const lines = await csv('SELECT StageName, COUNT(Id), SUM(Amount) FROM Opportunity GROUP BY StageName ORDER BY StageName')
  assert.equal(lines[0], 'StageName,count(Id),sum(Amount)')
  assert.match(lines[1], /^Prospecting,\d+,[\d.]+$/)
})
await step('data query with children', async () => {
  const table = await sf('data', 'query', '--query', 'SELECT Name, (SELECT LastName FROM Contacts LIMIT 2) FROM Account LIMIT 2')
  assert.ok(table.includes('CONTACTS.LASTNAME'), table)
})
await step('data query of many pages', async () => {
  const { totalSize, records } = await query('SELECT Id FROM Task')
  assert.ok(totalSize > 2000 && records.length === totalSize)
})
await step('data query with a mistake', async () => {
  await assert.rejects(sf('data', 'query', '--query', 'SELECT Colour FROM Account'), /No such column 'Colour' on entity 'Account'/)
})

let account
await step('data create record', async () => {
  const made = await json('data', 'create', 'record', '--sobject', 'Account', '--values', "Name='Larkspur Robotics' NumberOfEmployees=5 AnnualRevenue=100.5")
  account = made.id
  assert.ok(made.success)
})
await step('data get record', async () => {
  const row = await json('data', 'get', 'record', '--sobject', 'Account', '--where', "Name='Larkspur Robotics'")
  assert.deepEqual([row.Id, row.NumberOfEmployees, row.AnnualRevenue], [account, 5, 100.5])
})
await step('data update record', async () => {
  await sf('data', 'update', 'record', '--sobject', 'Account', '--record-id', account, '--values', 'Phone=123')
  assert.equal((await json('data', 'get', 'record', '--sobject', 'Account', '--record-id', account)).Phone, '123')
})
await step('data delete record', async () => {
  await sf('data', 'delete', 'record', '--sobject', 'Account', '--record-id', account)
  assert.equal((await query(`SELECT COUNT() FROM Account WHERE Id = '${account}'`)).totalSize, 0)
  assert.equal((await query(`SELECT Id FROM Account WHERE Id = '${account}'`, '--all-rows')).totalSize, 1)
})

const family = "SELECT Id, Name, (SELECT LastName, Email FROM Contacts) FROM Account WHERE Id IN (SELECT AccountId FROM Contact) LIMIT 3"
await step('data export and import tree', async () => {
  await sf('data', 'export', 'tree', '--query', family, '--prefix', 'one')
  const made = await json('data', 'import', 'tree', '--files', 'one-Account-Contact.json')
  const accounts = made.filter((r) => r.type === 'Account').map((r) => `'${r.id}'`)
  assert.equal(accounts.length, 3)
  assert.equal((await query(`SELECT COUNT() FROM Contact WHERE AccountId IN (${accounts})`)).totalSize, made.length - 3)
})
await step('data export and import tree with a plan', async () => {
  await sf('data', 'export', 'tree', '--query', family, '--prefix', 'two', '--plan')
  const made = await json('data', 'import', 'tree', '--plan', 'two-Account-Contact-plan.json')
  const contact = made.find((r) => r.type === 'Contact').id
  const { records: [row] } = await query(`SELECT AccountId FROM Contact WHERE Id = '${contact}'`)
  assert.ok(made.some((r) => r.id === row.AccountId))
})

await step('data import bulk', async () => {
  await writeFile('in.csv', 'Name,Phone\nBulky One,1\nBulky Two,2\n')
  const { processedRecords, failedRecords } = await json('data', 'import', 'bulk', '--file', 'in.csv', '--sobject', 'Account', '--wait', '1')
  assert.deepEqual([processedRecords, failedRecords], [2, 0])
})
await step('data export bulk', async () => {
  await sf('data', 'export', 'bulk', '--query', "SELECT Id, Name FROM Account WHERE Name LIKE 'Bulky %' ORDER BY Name", '--output-file', 'out.csv', '--result-format', 'csv', '--wait', '1')
  assert.match(await readFile('out.csv', 'utf8'), /^"Id","Name"\n"001\w{15}","Bulky One"\n"001\w{15}","Bulky Two"\n$/)
})
await step('data upsert bulk', async () => {
  await writeFile('up.csv', (await readFile('out.csv', 'utf8')).replace('Bulky Two', 'Bulky Three'))
  await sf('data', 'upsert', 'bulk', '--file', 'up.csv', '--sobject', 'Account', '--external-id', 'Id', '--wait', '1')
  assert.equal((await query("SELECT COUNT() FROM Account WHERE Name = 'Bulky Three'")).totalSize, 1)
})
await step('data delete bulk', async () => {
  await writeFile('del.csv', (await readFile('out.csv', 'utf8')).replace(/,.*/g, ''))
  await sf('data', 'delete', 'bulk', '--file', 'del.csv', '--sobject', 'Account', '--wait', '1')
  assert.equal((await query("SELECT COUNT() FROM Account WHERE Name LIKE 'Bulky %'")).totalSize, 0)
})
await step('data search', async () => {
  const { records: [{ Name }] } = await query('SELECT Name FROM Account WHERE Name != null LIMIT 1')
  const { searchRecords } = await json('data', 'search', '--query', `FIND {"${Name}"} IN NAME FIELDS RETURNING Account(Id, Name)`)
  assert.ok(searchRecords.some((r) => r.Name === Name))
})
await step('api request rest', async () => {
  assert.equal(JSON.parse(await sf('api', 'request', 'rest', '/services/data/v67.0/limits')).DailyApiRequests.Max, 15000)
})
