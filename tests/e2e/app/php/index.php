<?php
// SPDX-License-Identifier: Apache-2.0
// /orders/ID/ runs two statements whose column is named after ID; other paths run none.
declare(strict_types=1);

[, $page, $id] = explode('/', parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH));
if ($page === 'orders' && preg_match('/^\w+$/', $id)) {
	$db = new PDO('pgsql:user=' . getenv('PGUSER'), null, null, [PDO::ATTR_PERSISTENT => true]);
	$db->query("SELECT 1 AS id_$id")->fetchAll();
	$db->query("SELECT generate_series(1, 3) AS id_$id")->fetchAll();
}
echo "ok\n";
