<?php
// SPDX-License-Identifier: Apache-2.0
// The workload of the driver matrix through PDO: workload.php ROUNDS; where to is in libpq's variables.
declare(strict_types=1);

$db = new PDO('pgsql:user=' . getenv('PGUSER'));
$db->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);

function run(PDO $db, string $sql, array $values = []): array
{
	$s = $db->prepare($sql);
	$s->execute($values);
	return $s->columnCount() ? $s->fetchAll() : [];
}

function fails(PDO $db, string $state, string $sql, array $values): void
{
	try {
		run($db, $sql, $values);
	} catch (PDOException $e) {
		if ($e->getCode() === $state) {
			return;
		}
		throw $e;
	}
	throw new RuntimeException('no error');
}

for ($n = 0; $n < (int) $argv[1]; $n++) {
	run($db, 'SELECT a, b FROM things WHERE a <= ? ORDER BY a', [$n % 7]);
	run($db, 'INSERT INTO log (t) VALUES (?)', ['x']);
	run($db, 'UPDATE things SET b = ? WHERE a < ?', ['x', $n]);
	fails($db, '22012', 'SELECT 1 / ?::int AS zero', [0]);
	fails($db, '23505', 'INSERT INTO things (a) VALUES (?)', [1]);
	$db->beginTransaction();
	run($db, 'INSERT INTO log (t) VALUES (?) RETURNING t', ['kept']);
	run($db, 'DELETE FROM log WHERE t = ?', ['kept']);
	$db->rollBack();
	$again = $db->prepare('SELECT b FROM things WHERE a = ?');
	for ($i = 0; $i < 8; $i++) {
		$again->execute([$i]);
		$again->fetchAll();
	}
	$again = null;
	$db->exec("INSERT INTO log (t) VALUES ('m;1'), ('m2'); SELECT count(*) FROM things; UPDATE things SET b = 'multi' WHERE a = 1");
	run($db, "SELECT n, 'some text for a row' AS t FROM generate_series(1, ?::int) n", [2000]);
	$db->pgsqlCopyFromArray('log', array_fill(0, 3, 'copied'));
	$db->query('SELECT pg_sleep(0.03) AS timed')->fetchAll();
}
