// A service for Node that knows DATABASE_URL, and listens on a port of its own.
const http = require('http');
const { Pool } = require('pg');

const pool = new Pool({ connectionString: process.env.DATABASE_URL });

async function answer(request) {
  await pool.query('create table if not exists notes (text text)');
  if (request.method === 'POST') {
    let text = '';
    for await (const part of request) text += part;
    await pool.query('insert into notes values ($1)', [text]);
  }
  const { rows } = await pool.query('select text from notes order by text');
  return rows.map((row) => row.text).join(' ');
}

const server = http.createServer((request, response) => {
  if (request.url === '/health') return response.end('well');
  answer(request).then((text) => response.end(text), (err) => {
    console.error(err);
    response.writeHead(500).end(err.message);
  });
});
server.listen(3000);
process.on('SIGTERM', () => server.close(() => process.exit(0)));
