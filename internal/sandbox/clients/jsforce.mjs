// jsforce 3 against the sandbox: what an integration written in JavaScript does all day.
import assert from 'node:assert/strict'
import jsforce from 'jsforce'
import { person, sandbox, step } from './steps.mjs'

const admin = person('admin')
const connect = (version, user = admin) =>
  new jsforce.Connection({ instanceUrl: sandbox.instance_url, accessToken: user.accessToken ?? user.access_token, version })
const c = connect('67.0')
const rejects = (promise, code) => assert.rejects(promise, (e) => (assert.equal(e.errorCode, code), true))
const good = (results, n) => {
  assert.equal(results.length, n)
  for (const r of results) assert.deepEqual([r.success, r.errors], [true, []])
  return results.map((r) => r.id)
}

// Who, and what there is.
await step('identity', async () => {
  const me = await c.identity()
  assert.equal(me.username, admin.username)
  assert.match(me.organization_id, /^00D/)
})
await step('versions', async () => {
  const all = await c.request('/services/data')
  assert.deepEqual([all[0].version, all.at(-1).version], ['50.0', '67.0'])
})
await step('resources', async () => {
  const all = await c.request('/')
  for (const [name, path] of Object.entries(all)) {
    if (name !== 'identity') assert.match(path, /^\/services\/data\/v67\.0\//)
  }
  for (const name of ['sobjects', 'query', 'queryAll', 'limits', 'composite', 'search', 'recent', 'jobs']) assert.ok(all[name], name)
})
await step('limits', async () => {
  const { DailyApiRequests, DailyBulkV2QueryJobs } = await c.limits()
  assert.equal(DailyApiRequests.Max, 15000)
  assert.ok(DailyApiRequests.Remaining < 15000 && DailyBulkV2QueryJobs.Max > 0)
  assert.equal(c.limitInfo.apiUsage.limit, 15000)
})
await step('describe all', async () => {
  const { sobjects, maxBatchSize } = await c.describeGlobal()
  assert.equal(maxBatchSize, 200)
  const account = sobjects.find((o) => o.name === 'Account')
  assert.deepEqual([account.keyPrefix, account.queryable, account.createable], ['001', true, true])
})
await step('describe one', async () => {
  const { fields, childRelationships, recordTypeInfos } = await c.sobject('Account').describe()
  assert.ok(fields.length > 10 && Array.isArray(recordTypeInfos))
  assert.ok(childRelationships.some((r) => r.relationshipName === 'Contacts' && r.childSObject === 'Contact' && r.field === 'AccountId'))
  const id = fields.find((f) => f.name === 'Id')
  assert.deepEqual([id.type, id.idLookup, id.createable], ['id', true, false])
})
await step('describe what is not there', () => rejects(c.describe('Nonsense__c'), 'NOT_FOUND'))
await step('describe through the cache', async () => {
  assert.deepEqual(await c.describe$('Contact'), await c.describe$('Contact'))
})
await step('basics of an object', async () => {
  const { objectDescribe, recentItems } = await c.request('/sobjects/Contact')
  assert.ok(objectDescribe.name === 'Contact' && Array.isArray(recentItems))
})

// Ways in.
const oauth = { loginUrl: sandbox.instance_url, clientId: sandbox.client_id }
await step('sign in by SOAP', async () => {
  const conn = new jsforce.Connection({ loginUrl: sandbox.instance_url })
  const { id, organizationId } = await conn.login(admin.username, sandbox.password)
  assert.match(id, /^005/)
  assert.match(organizationId, /^00D/)
  assert.equal((await conn.query('SELECT Id FROM Account LIMIT 1')).totalSize, 1)
  const { accessToken } = conn
  await conn.logout()
  await rejects(connect('67.0', { access_token: accessToken }).limits(), 'INVALID_SESSION_ID')
})
await step('sign in by OAuth with a password, refresh, sign out', async () => {
  const conn = new jsforce.Connection({ oauth2: oauth })
  await conn.authorize({ grant_type: 'password', username: admin.username, password: sandbox.password })
  assert.ok(conn.accessToken && conn.refreshToken)
  const first = conn.accessToken
  conn.accessToken = 'stale'
  assert.equal((await conn.query('SELECT Id FROM Account LIMIT 1')).totalSize, 1)
  assert.ok(![first, 'stale'].includes(conn.accessToken))
  await conn.logout()
})
await step('a wrong password', () =>
  assert.rejects(new jsforce.Connection({ loginUrl: sandbox.instance_url }).login(admin.username, 'guess'), /INVALID_LOGIN/))
await step('where a browser would be sent', async () => {
  const url = new jsforce.OAuth2({ ...oauth, redirectUri: 'http://localhost:1717/OauthRedirect' }).getAuthorizationUrl({ scope: 'api refresh_token' })
  assert.ok((await fetch(url, { redirect: 'manual' })).status < 400)
})

// Queries.
await step('query', async () => {
  const { totalSize, done, records } = await c.query('SELECT Id, Name, Owner.Name FROM Account ORDER BY Name LIMIT 5')
  assert.deepEqual([totalSize, done, records.length], [5, true, 5])
  assert.match(records[0].attributes.url, /^\/services\/data\/v67\.0\/sobjects\/Account\/001/)
  assert.equal(records[0].Owner.attributes.type, 'User')
})
await step('query with spaces as plus', async () => {
  assert.equal((await c.request('/query/?q=SELECT+Id+FROM+Account+LIMIT+1')).totalSize, 1)
})
await step('page after page', async () => {
  let page = await c.query('SELECT Id FROM Task', { headers: { 'Sforce-Query-Options': 'batchSize=500' } })
  const seen = new Set(page.records.map((r) => r.Id))
  assert.equal(page.records.length, 500)
  while (!page.done) {
    page = await c.queryMore(page.nextRecordsUrl)
    for (const r of page.records) seen.add(r.Id)
  }
  assert.equal(seen.size, page.totalSize)
})
await step('page by itself', async () => {
  const { records } = await c.query('SELECT Id FROM Task').run({ autoFetch: true, maxFetch: 5000 })
  const { totalSize } = await c.query('SELECT COUNT() FROM Task')
  assert.equal(records.length, Math.min(5000, totalSize))
})
await step('query all', async () => assert.ok((await c.query('SELECT Id FROM Account', { scanAll: true })).totalSize > 0))
await step('aggregate', async () => {
  const { records } = await c.query('SELECT StageName, SUM(Amount) total, COUNT(Id) FROM Opportunity GROUP BY StageName HAVING SUM(Amount) > 1000 ORDER BY SUM(Amount) DESC')
  assert.equal(records[0].attributes.type, 'AggregateResult')
  assert.ok(records[0].total >= records[1].total && records[0].expr0 > 0)
})
await step('children', async () => {
  const accounts = await c.sobject('Account').find({}, 'Id, Name').include('Contacts', {}, 'Id, LastName').limit(3).end().limit(3)
  assert.ok(accounts.some((a) => a.Contacts?.records.length > 0))
})
await step('find by conditions', async () => {
  const deals = await c.sobject('Opportunity').find({ IsClosed: false, Amount: { $gte: 10000 }, CloseDate: { $gte: jsforce.Date.toDateLiteral('2026-01-01') } }).limit(7).sort({ Amount: -1 })
  assert.ok(deals.length > 0 && deals.every((d) => d.Amount >= 10000 && !d.IsClosed))
})
await step('count', async () => assert.ok((await c.sobject('Contact').count()) > 0))
await step('a query that is wrong', async () => {
  await assert.rejects(c.query('SELECT Id, Colour FROM Account'), /No such column 'Colour' on entity 'Account'/)
  await rejects(c.query('SELECT Id FROM'), 'MALFORMED_QUERY')
  await rejects(c.query('SELECT Id FROM Nonsense'), 'INVALID_TYPE')
})
await step('a long query', async () => {
  const ids = Array.from({ length: 500 }, (_, i) => `'${String(i).padStart(18, 'x')}'`)
  assert.equal((await c.query(`SELECT Id FROM Account WHERE Name IN (${ids})`)).totalSize, 0)
})

// One record.
let account
await step('create', async () => {
  const made = await c.sobject('Account').create({ Name: 'Larkspur Robotics', Region__c: 'EMEA' })
  assert.deepEqual([made.success, made.errors], [true, []])
  account = made.id
})
await step('retrieve', async () => {
  const row = await c.sobject('Account').retrieve(account)
  assert.deepEqual([row.Name, row.attributes.type, row.Id], ['Larkspur Robotics', 'Account', account])
})
await step('retrieve some fields', async () => {
  const row = await c.sobject('Account').retrieve(account, { fields: ['Name', 'OwnerId'] })
  assert.deepEqual(Object.keys(row), ['attributes', 'Name', 'OwnerId', ...(row.Id ? ['Id'] : [])])
})
await step('update', async () => {
  assert.deepEqual(await c.sobject('Account').update({ Id: account, Phone: '+44 20 7946 0000' }), { id: account, success: true, errors: [] })
  assert.equal((await c.sobject('Account').retrieve(account)).Phone, '+44 20 7946 0000')
})
await step('create what is not complete', async () => {
  await assert.rejects(c.sobject('Contact').create({ FirstName: 'Ada' }), (e) => {
    assert.deepEqual([e.errorCode, e.data.fields], ['REQUIRED_FIELD_MISSING', ['LastName']])
    return true
  })
})
await step('retrieve what is not there', () => rejects(c.sobject('Account').retrieve('001000000000000'), 'NOT_FOUND'))
await step('recent', async () => {
  const recent = await c.recent('Account')
  assert.ok(recent.some((r) => r.Id === account))
})
await step('updated and deleted', async () => {
  const doomed = await c.sobject('Contact').create({ LastName: 'Doomed' })
  await c.sobject('Contact').destroy(doomed.id)
  const from = new Date('2026-11-22T00:00:00Z')
  const to = new Date('2026-11-24T00:00:00Z')
  assert.ok((await c.sobject('Account').updated(from, to)).ids.includes(account))
  const { deletedRecords } = await c.sobject('Contact').deleted(from, to)
  assert.ok(deletedRecords.some((r) => r.id === doomed.id))
})

// Many records.
let contacts = []
await step('create many', async () => {
  contacts = good(await c.sobject('Contact').create(['Ada', 'Grace', 'Edsger'].map((FirstName) => ({ FirstName, LastName: 'Larkspur', AccountId: account }))), 3)
})
await step('create many of two kinds', async () => {
  const results = await c.requestPost('/composite/sobjects', {
    records: [
      { attributes: { type: 'Account' }, Name: 'Two Kinds' },
      { attributes: { type: 'Contact' }, LastName: 'Two Kinds' },
    ],
  })
  assert.deepEqual(good(results, 2).map((id) => id.slice(0, 3)), ['001', '003'])
})
await step('retrieve many', async () => {
  const rows = await c.sobject('Contact').retrieve([...contacts, '003000000000000AAA'])
  assert.deepEqual(rows.map((r) => r?.FirstName ?? null), ['Ada', 'Grace', 'Edsger', null])
})
await step('update many', async () => {
  good(await c.sobject('Contact').update(contacts.map((Id) => ({ Id, Department: 'Research' }))), 3)
  assert.equal((await c.query(`SELECT COUNT() FROM Contact WHERE AccountId = '${account}' AND Department = 'Research'`)).totalSize, 3)
})
await step('some of many are wrong', async () => {
  const results = await c.sobject('Contact').create([{ LastName: 'Right', AccountId: account }, { FirstName: 'Wrong' }])
  assert.deepEqual(results.map((r) => r.success), [true, false])
  assert.deepEqual([results[1].errors[0].statusCode, results[1].errors[0].fields], ['REQUIRED_FIELD_MISSING', ['LastName']])
})
await step('all or none of many', async () => {
  const before = (await c.query('SELECT COUNT() FROM Contact')).totalSize
  const results = await c.sobject('Contact').create([{ LastName: 'Right' }, { FirstName: 'Wrong' }], { allOrNone: true })
  assert.deepEqual(results.map((r) => r.errors[0].statusCode), ['ALL_OR_NONE_OPERATION_ROLLED_BACK', 'REQUIRED_FIELD_MISSING'])
  assert.equal((await c.query('SELECT COUNT() FROM Contact')).totalSize, before)
})
await step('more than fit into one request', async () => {
  const results = await c.sobject('Contact').create(Array.from({ length: 250 }, (_, i) => ({ LastName: `Many ${i}` })), { allowRecursive: true })
  const ids = good(results, 250)
  good(await c.sobject('Contact').destroy(ids, { allowRecursive: true }), 250)
})
await step('delete many', async () => {
  good(await c.sobject('Contact').destroy(contacts), 3)
  await rejects(c.sobject('Contact').retrieve(contacts[0]), 'ENTITY_IS_DELETED')
})
await step('tree', async () => {
  const { hasErrors, results } = await c.requestPost('/composite/tree/Account', {
    records: [{
      attributes: { type: 'Account', referenceId: 'company' }, Name: 'Tree House',
      Contacts: { records: [{ attributes: { type: 'Contact', referenceId: 'climber' }, LastName: 'Branch' }] },
    }],
  })
  assert.deepEqual([hasErrors, results.map((r) => r.referenceId)], [false, ['company', 'climber']])
  assert.equal((await c.sobject('Contact').retrieve(results[1].id)).AccountId, results[0].id)
})
await step('composite', async () => {
  const { compositeResponse: [made, contact, found] } = await c.requestPost('/composite', {
    allOrNone: true,
    compositeRequest: [
      { method: 'POST', url: '/services/data/v67.0/sobjects/Account', referenceId: 'a', body: { Name: 'Composed' } },
      { method: 'POST', url: '/services/data/v67.0/sobjects/Contact', referenceId: 'b', body: { LastName: 'Composed', AccountId: '@{a.id}' } },
      { method: 'GET', url: "/services/data/v67.0/query?q=SELECT Id, Account.Name FROM Contact WHERE Id = '@{b.id}'", referenceId: 'c' },
    ],
  })
  assert.deepEqual([made.httpStatusCode, contact.httpStatusCode, found.httpStatusCode], [201, 201, 200])
  assert.equal(found.body.records[0].Account.Name, 'Composed')
})
await step('composite rolls back', async () => {
  const { compositeResponse } = await c.requestPost('/composite', {
    allOrNone: true,
    compositeRequest: [
      { method: 'POST', url: '/services/data/v67.0/sobjects/Account', referenceId: 'a', body: { Name: 'Never Composed' } },
      { method: 'POST', url: '/services/data/v67.0/sobjects/Contact', referenceId: 'b', body: { AccountId: '@{a.id}' } },
    ],
  })
  assert.deepEqual(compositeResponse.map((r) => [r.httpStatusCode, r.body[0].errorCode]), [[400, 'PROCESSING_HALTED'], [400, 'REQUIRED_FIELD_MISSING']])
  assert.equal((await c.query("SELECT COUNT() FROM Account WHERE Name = 'Never Composed'")).totalSize, 0)
})
await step('delete', async () => {
  const made = await c.sobject('Account').create({ Name: 'Short Lived' })
  assert.deepEqual(await c.sobject('Account').destroy(made.id), { id: made.id, success: true, errors: [] })
  await rejects(c.sobject('Account').retrieve(made.id), 'ENTITY_IS_DELETED')
})

// Many more records, and words.
await step('bulk load', async () => {
  const { successfulResults, failedResults } = await c.bulk2.loadAndWaitForResults({
    object: 'Contact', operation: 'insert', pollInterval: 50, pollTimeout: 20_000,
    input: [{ LastName: 'Bulk One', AccountId: account }, { FirstName: 'Nameless' }, { LastName: 'Bulk Two', AccountId: account }],
  })
  assert.deepEqual([successfulResults.length, failedResults.length], [2, 1])
  assert.match(failedResults[0].sf__Error, /^REQUIRED_FIELD_MISSING/)
})
await step('bulk query', async () => {
  const stream = await c.bulk2.query(`SELECT LastName, Account.Name FROM Contact WHERE AccountId = '${account}' AND LastName LIKE 'Bulk %' ORDER BY LastName`, { pollInterval: 50, pollTimeout: 20_000 })
  assert.deepEqual(await stream.toArray(), ['Bulk One', 'Bulk Two'].map((LastName) => ({ LastName, 'Account.Name': 'Larkspur Robotics' })))
})
await step('bulk delete', async () => {
  const results = await c.sobject('Contact').find({ AccountId: account }, 'Id').destroy({ bulkThreshold: 1, bulkApiVersion: 2, pollInterval: 50 })
  assert.equal((Array.isArray(results) ? results : results.successfulResults).length, 3)
})
await step('search', async () => {
  const { searchRecords } = await c.search('FIND {Larkspur AND Robotics} IN ALL FIELDS RETURNING Account(Id, Name)')
  assert.ok(searchRecords.some((r) => r.Id === account && r.Name === 'Larkspur Robotics'))
})
await step('a search that is wrong', () => rejects(c.search('FIND {'), 'MALFORMED_SEARCH'))

// Permissions, versions and trouble.
await step('every version', async () => {
  for (let v = 50; v <= 67; v++) {
    const { records } = await connect(`${v}.0`).query('SELECT Id FROM Account LIMIT 1')
    assert.ok(records[0].attributes.url.startsWith(`/services/data/v${v}.0/`))
  }
})
await step('a version that is not there', () => rejects(connect('49.0').query('SELECT Id FROM Account'), 'NOT_FOUND'))
await step('a representative sees less', async () => {
  const rep = connect('67.0', person('representative'))
  const mine = (await rep.query('SELECT COUNT() FROM Account')).totalSize
  assert.ok(mine > 0 && mine < (await c.query('SELECT COUNT() FROM Account')).totalSize)
  assert.ok(!(await rep.describe('Account')).fields.some((f) => f.name === 'AnnualRevenue'))
  await assert.rejects(rep.query('SELECT AnnualRevenue FROM Account'), /No such column/)
})
await step('a wrong token', () => rejects(connect('67.0', { access_token: `${admin.access_token}x` }).limits(), 'INVALID_SESSION_ID'))
await step('refresh on 401', async () => {
  let refreshed = 0
  const stale = new jsforce.Connection({
    instanceUrl: sandbox.instance_url, accessToken: 'stale', version: '67.0',
    refreshFn: (_, done) => { refreshed++; done(null, admin.access_token) },
  })
  assert.equal((await stale.query('SELECT Id FROM Account LIMIT 1')).totalSize, 1)
  assert.equal(refreshed, 1)
})
await step('tried again after a 503', async () => {
  await c.request({ method: 'POST', url: `${sandbox.instance_url}/sandbox/faults`, body: JSON.stringify({ path: '/services/data/v67.0/query', status: 503, times: 1 }), headers: { 'Content-Type': 'application/json' } })
  assert.equal((await c.query('SELECT Id FROM Account LIMIT 1')).totalSize, 1)
})
