// SPDX-License-Identifier: Apache-2.0
//
// node_pipelined.js PORT: node's http with a client of PostgreSQL that does not wait for answers and, as postgres.js does, writes
// what was asked only when the event loop has read all that had come. /orders/ID/ runs two statements whose column is named after
// ID, one after the other; other paths run none. $PGPORT, $PGUSER, $PGDATABASE: where, without a password.
const http = require('http');
const net = require('net');

const READY = 'Z'.charCodeAt(0);

function message(type, text) {
	const head = Buffer.alloc(type.length + 4);
	head.write(type);
	head.writeInt32BE(text.length + 4, type.length);
	return Buffer.concat([head, Buffer.from(text)]);
}

function connect() {
	const socket = net.connect(Number(process.env.PGPORT), '127.0.0.1');
	const waiting = [() => {}]; // the first answer is the login's
	let unread = Buffer.alloc(0), unwritten = [];

	const query = (text) => new Promise((done) => {
		waiting.push(done);
		if (unwritten.push(message('Q', `${text}\0`)) === 1)
			setImmediate(() => socket.write(Buffer.concat(unwritten.splice(0))));
	});
	socket.on('data', (data) => {
		unread = Buffer.concat([unread, data]);
		while (unread.length >= 5 && unread.length > unread.readInt32BE(1)) {
			if (unread[0] === READY)
				waiting.shift()();
			unread = unread.subarray(1 + unread.readInt32BE(1));
		}
	});
	socket.write(message('', `\0\x03\0\0user\0${process.env.PGUSER}\0database\0${process.env.PGDATABASE}\0\0`));
	return { query, asked: () => waiting.length };
}

const pool = Array.from({ length: 4 }, connect);
const query = (text) => pool.reduce((a, b) => b.asked() < a.asked() ? b : a).query(text);

async function orders(id) {
	await query(`SELECT 1 AS id_${id}`);
	await query(`SELECT generate_series(1, 3) AS id_${id}`);
}

for (const { query } of pool) // so that each does not wait, from the start
	setTimeout(() => ['r0', 'r0', 'r0'].forEach((id) => query(`SELECT 1 AS id_${id}`)), 50);
setTimeout(() => http.createServer(async (request, response) => {
	const [, page, id] = request.url.split('/');
	if (page === 'orders' && /^\w+$/.test(id))
		await orders(id);
	response.end('ok\n');
}).listen(Number(process.argv[2]), '127.0.0.1'), 500);
