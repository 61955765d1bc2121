// SPDX-License-Identifier: Apache-2.0
// workload.js HOST PORT SOCKET DATABASE PASSWORD TLS ROUNDS: the workload of the MySQL driver matrix through mysql2.
const mysql = require('mysql2/promise');

async function fails(promise, code) {
  try {
    await promise;
  } catch (e) {
    if (e.errno === code) return;
    throw e;
  }
  throw new Error(`error ${code} did not come`);
}

async function round(c, n) {
  await c.query('SELECT a, b FROM things WHERE a <= ? ORDER BY a', [n % 7]);
  await c.execute('INSERT INTO log (t) VALUES (?)', ['it\'s "x" \\']);
  await c.execute('UPDATE things SET b = ? WHERE a < ?', [`x${n}`, n]);
  await fails(c.query('SELECT nothing FROM things'), 1054);
  await fails(c.execute('SELECT nothing FROM things WHERE a = ?', [n]), 1054);
  await fails(c.execute('INSERT INTO things (a) VALUES (?)', [1]), 1062);
  await c.beginTransaction();
  await c.query('INSERT INTO log (t) VALUES (?)', ['gone']);
  await c.execute('DELETE FROM log WHERE t = ?', ['gone']);
  await c.rollback();
  for (let i = 0; i < 8; i++) await c.execute('SELECT b FROM things WHERE a = ?', [i]);
  await c.query("INSERT INTO log (t) VALUES ('m;1'), ('m2'); SELECT COUNT(*) FROM things; UPDATE things SET b = 'multi' WHERE a = 1");
  await fails(c.query("SELECT a FROM things WHERE a < 4; SELECT nothing FROM things; SELECT 3"), 1054);
  await c.query('CALL two_sets()');
  await c.query('/* two */ CALL two_sets(); SELECT a FROM things WHERE a < 6');
  await c.execute('CALL two_sets()');
  await c.query("SELECT seq, 'some text for a row' AS t FROM seq_1_to_2000");
  await c.query('SELECT SLEEP(0.03) AS timed');
}

async function main([host, port, socketPath, database, password, tls, rounds]) {
  const c = await mysql.createConnection({
    ...(socketPath ? { socketPath } : { host, port: Number(port) }),
    ...(tls ? { ssl: { rejectUnauthorized: false } } : {}),
    user: database, password, database, multipleStatements: true,
  });
  for (let n = 0; n < Number(rounds); n++) await round(c, n);
  await c.end();
}

main(process.argv.slice(2)).catch((e) => {
  console.error(e);
  process.exit(1);
});
