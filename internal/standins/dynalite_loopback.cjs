// Runs dynalite, which plays DynamoDB, in memory and on 127.0.0.1 only.
//
// It takes a free port, prints "port N" when it serves, and ends when its standard input does: whoever
// started it takes it along, even when killed. Each access key has tables of its own. dynalite knows no
// time to live; what a table was told of it is kept here, and removes nothing.

const http = require('node:http')
const path = require('node:path')

const dynalite = require(path.join(process.argv[2], 'node_modules', 'dynalite'))

const accounts = new Map()

function account (request) {
  const key = /Credential=([^/]*)\//.exec(request.headers.authorization)?.[1] ?? ''
  let found = accounts.get(key)
  if (!found) {
    const server = dynalite({ createTableMs: 0, deleteTableMs: 0, updateTableMs: 0 })
    found = { handle: server.listeners('request')[0].bind(server), ttl: new Map() }
    accounts.set(key, found)
  }
  return found
}

function answer (response, status, body) {
  response.writeHead(status, { 'Content-Type': 'application/x-amz-json-1.0' })
  response.end(JSON.stringify(body))
}

// ask sends a request to dynalite by itself, to learn whether a table exists.
function ask (request, target, body, done) {
  const headers = { ...request.headers, 'x-amz-target': target, 'content-length': Buffer.byteLength(body) }
  const { port } = server.address()
  http.request({ host: '127.0.0.1', port, method: 'POST', headers, agent: false }, (response) => {
    response.resume()
    response.on('end', () => done(response.statusCode === 200))
  }).on('error', () => done(false)).end(body)
}

function timeToLive (request, response, { ttl }) {
  const chunks = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => {
    const { TableName: name, TimeToLiveSpecification: specification } = JSON.parse(Buffer.concat(chunks))
    const body = JSON.stringify({ TableName: name })
    ask(request, 'DynamoDB_20120810.DescribeTable', body, (exists) => {
      const type = 'com.amazonaws.dynamodb.v20120810#ResourceNotFoundException'
      if (!exists) {
        ttl.delete(name)
        return answer(response, 400, { __type: type, message: `Requested resource not found: Table: ${name} not found` })
      }
      if (specification) {
        if (Boolean(ttl.get(name)) === specification.Enabled) {
          return answer(response, 400, {
            __type: 'com.amazon.coral.validate#ValidationException',
            message: `TimeToLive is already ${specification.Enabled ? 'enabled' : 'disabled'}`
          })
        }
        ttl.set(name, specification.Enabled ? specification.AttributeName : '')
        return answer(response, 200, { TimeToLiveSpecification: specification })
      }
      const attribute = ttl.get(name)
      answer(response, 200, {
        TimeToLiveDescription: attribute
          ? { TimeToLiveStatus: 'ENABLED', AttributeName: attribute }
          : { TimeToLiveStatus: 'DISABLED' }
      })
    })
  })
}

const server = http.createServer((request, response) => {
  const mine = account(request)
  if ((request.headers['x-amz-target'] ?? '').endsWith('TimeToLive')) {
    timeToLive(request, response, mine)
    return
  }
  if ((request.headers['x-amz-target'] ?? '').endsWith('.CreateTable')) {
    // A table is active a moment after the answer; who waits for it looks again a second later.
    const end = response.end.bind(response)
    response.end = (...body) => setTimeout(end, 10, ...body)
  }
  mine.handle(request, response)
})

// dynalite throws when a client goes away in the middle of a request.
process.on('uncaughtException', (error) => {
  console.error(error)
  if (error.code !== 'ECONNRESET') process.exit(1)
})

server.keepAliveTimeout = 0 // the tests close connections themselves
server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`))
process.stdin.on('end', () => process.exit(0)) // what hangs need not be waited for
process.stdin.resume()
