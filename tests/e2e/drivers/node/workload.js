// SPDX-License-Identifier: Apache-2.0
// The workload of the driver matrix through node's pg: workload.js ROUNDS; where to is in libpq's variables.
'use strict';
const { Client } = require('pg');
const Cursor = require('pg-cursor');

async function fails(client, text, values, code) {
	try {
		await client.query(text, values);
	} catch (e) {
		if (e.code === code) return;
		throw e;
	}
	throw new Error('no error');
}

async function round(client, n) {
	await client.query('SELECT a, b FROM things WHERE a <= $1 ORDER BY a', [n % 7]);
	await client.query('INSERT INTO log (t) VALUES ($1)', ['x']);
	await client.query('UPDATE things SET b = $1 WHERE a < $2', ['x', n]);
	await fails(client, 'SELECT 1 / $1::int AS zero', [0], '22012');
	await fails(client, 'INSERT INTO things (a) VALUES ($1)', [1], '23505');
	await client.query('BEGIN');
	await client.query('INSERT INTO log (t) VALUES ($1) RETURNING t', ['kept']);
	await client.query('DELETE FROM log WHERE t = $1', ['kept']);
	await client.query('ROLLBACK');
	for (let i = 0; i < 8; i++)
		await client.query({ name: 'again', text: 'SELECT b FROM things WHERE a = $1', values: [i] });
	await client.query("INSERT INTO log (t) VALUES ('m;1'), ('m2'); SELECT count(*) FROM things; " +
		"UPDATE things SET b = 'multi' WHERE a = 1");
	await client.query("SELECT n, 'some text for a row' AS t FROM generate_series(1, $1) n", [2000]);
	const cursor = client.query(new Cursor('SELECT a, b FROM things WHERE a > $1', [60]));
	let got = 0, rows;
	while ((rows = await cursor.read(15)).length) got += rows.length;
	if (got !== 40) throw new Error(`${got} rows`);
	await cursor.close();
	// What a program does that does not wait: pg queues them and sends one after the other.
	await Promise.all([1, 2, 3].map((i) => client.query('INSERT INTO log (t) VALUES ($1)', [String(i)])));
	await client.query('SELECT pg_sleep(0.03) AS timed');
}

(async () => {
	const client = new Client({ ssl: process.env.PGSSLMODE === 'require' ? { rejectUnauthorized: false } : false });
	await client.connect();
	for (let n = 0; n < Number(process.argv[2]); n++) await round(client, n);
	await client.end();
})().catch((e) => {
	console.error(e);
	process.exit(1);
});
