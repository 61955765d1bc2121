// SPDX-License-Identifier: Apache-2.0
//
// node_service.js PORT: node's http with a pool of connections to PostgreSQL that is large enough for all requests.
// /orders/ID/ runs two statements whose column is named after ID, one after the other; other paths run none.
const http = require('http');
const { Pool } = require('pg');

const pool = new Pool({ max: 16 });

async function orders(id) {
	await pool.query(`SELECT 1 AS id_${id}`);
	await pool.query(`SELECT generate_series(1, 3) AS id_${id}`);
}

http.createServer(async (request, response) => {
	const [, page, id] = request.url.split('/');
	if (page === 'orders' && /^\w+$/.test(id))
		await orders(id);
	response.end('ok\n');
}).listen(Number(process.argv[2]), '127.0.0.1');
