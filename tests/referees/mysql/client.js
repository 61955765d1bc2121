// SPDX-License-Identifier: Apache-2.0
// client.js HOST PORT DATABASE PASSWORD ROUNDS: the ways that mysql2 has of sending statements.
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

async function main([host, port, database, password, rounds]) {
  const c = await mysql.createConnection({ host, port: Number(port), user: database, password, database });
  for (let n = 0; n < Number(rounds); n++) {
    await c.query('SELECT a, b FROM things WHERE a < ?', [n]);
    await c.execute('SELECT b FROM things WHERE a >= ? ORDER BY a', [n]);
    await c.execute('UPDATE things SET b = ? WHERE a = ?', [`it's ${n}`, (n % 9) + 1]);
    await fails(c.query('SELECT nothing FROM things'), 1054);
    await fails(c.execute('INSERT INTO things (a) VALUES (?)', [1]), 1062);
  }
  c.unprepare('SELECT b FROM things WHERE a >= ? ORDER BY a');
  await c.ping();
  await c.end();
}

main(process.argv.slice(2)).catch((e) => {
  console.error(e);
  process.exit(1);
});
