// SPDX-License-Identifier: Apache-2.0
//
// node_service.js PORT [CONNECTIONS]: node's http with a pool of connections to PostgreSQL, by default one that is large enough
// for all requests. /orders/ID/ runs two statements whose column is named after ID, one after the other; other paths run none.
// With a pool of CONNECTIONS, half of the requests run both at once.
const http = require('http');
const { Pool } = require('pg');

const [, , port, connections] = process.argv;
const pool = new Pool({ max: Number(connections ?? 16) });

async function orders(id) {
	const first = pool.query(`SELECT 1 AS id_${id}`);
	if (!connections || Number(id.slice(1)) % 2)
		await first;
	await Promise.all([first, pool.query(`SELECT generate_series(1, 3) AS id_${id}`)]);
}

http.createServer(async (request, response) => {
	const [, page, id] = request.url.split('/');
	if (page === 'orders' && /^\w+$/.test(id))
		await orders(id);
	response.end('ok\n');
}).listen(Number(port), '127.0.0.1');
