// SPDX-License-Identifier: Apache-2.0
//
// node_service.js PORT [CONNECTIONS [HOW]]: node's http with a pool of connections to PostgreSQL, by default one that is large
// enough for all requests. /orders/ID/ runs two statements whose column is named after ID, one after the other; other paths run
// none. HOW: "both": half of the requests run both at once. "client": each request takes a connection for both.
// "transaction": the same, in a transaction. "several": each connection begins with a text of two statements. "elsewhere": after
// the first, half of the requests wait for a timer, a file or what a thread computes.
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const { Pool } = require('pg');

const [, , port, connections, how] = process.argv;
const pool = new Pool({ max: Number(connections ?? 16) });
if (how === 'several')
	pool.on('connect', (client) => client.query("SET client_min_messages TO warning; SET TIME ZONE 'UTC'"));

const elsewhere = [
	() => new Promise((resolve) => setTimeout(resolve, 1)),
	() => new Promise((resolve) => setImmediate(resolve)),
	() => fs.promises.readFile(__filename),
	() => new Promise((resolve) => crypto.pbkdf2('a', 'b', 1000, 32, 'sha256', resolve)),
];

// One after the other, by pool.query() or by that of one of its connections.
async function one_by_one(from, id) {
	const random = Math.floor(Math.random() * 2 * elsewhere.length);

	await from.query(`SELECT 1 AS id_${id}`);
	if (how === 'elsewhere' && random < elsewhere.length)
		await elsewhere[random]();
	await from.query(`SELECT generate_series(1, 3) AS id_${id}`);
}

async function orders(id) {
	if (how === 'both' && !(Number(id.slice(1)) % 2)) {
		await Promise.all([pool.query(`SELECT 1 AS id_${id}`), pool.query(`SELECT generate_series(1, 3) AS id_${id}`)]);
	} else if (how === 'client' || how === 'transaction') {
		const client = await pool.connect();
		try {
			if (how === 'transaction')
				await client.query('BEGIN');
			await one_by_one(client, id);
			if (how === 'transaction')
				await client.query('COMMIT');
		} finally {
			client.release();
		}
	} else {
		await one_by_one(pool, id);
	}
}

http.createServer(async (request, response) => {
	const [, page, id] = request.url.split('/');
	if (page === 'orders' && /^\w+$/.test(id))
		await orders(id);
	response.end('ok\n');
}).listen(Number(port), '127.0.0.1');
