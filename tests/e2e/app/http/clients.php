<?php
// SPDX-License-Identifier: Apache-2.0
// clients.php curl|stream BASE NAME
[, $library, $base, $name] = $argv;
$wanted = [];
foreach (['ok', 'big', 'chunked', 'gzip', 'redirect', 'nocontent', 'notmodified', 'missing', 'fail', 'endless', 'hints', 'cut', 'reset',
	'hangup', 'slow', 'ok'] as $i => $kind)
	$wanted[] = ['GET', "/$kind/$name-$i", null];
array_push($wanted, ['HEAD', "/big/$name-head", null], ['POST', "/ok/$name-small", str_repeat('s', 1000)],
	['POST', "/ok/$name-large", str_repeat('l', 2000000)], ['PUT', "/fail/$name-put", str_repeat('p', 20000)],
	['DELETE', "/nocontent/$name-delete", null]);
$curl = $library == 'curl' ? curl_init() : null;
foreach ($wanted as [$method, $path, $body]) {
	$seconds = str_contains($path, '/slow/') ? 0.4 : 20;
	if ($library == 'curl') {
		curl_reset($curl);
		curl_setopt_array($curl, [CURLOPT_URL => $base . $path, CURLOPT_RETURNTRANSFER => true, CURLOPT_SSL_VERIFYPEER => false,
			CURLOPT_SSL_VERIFYHOST => 0, CURLOPT_FOLLOWLOCATION => true, CURLOPT_TIMEOUT_MS => (int)($seconds * 1000),
			CURLOPT_CUSTOMREQUEST => $method, CURLOPT_NOBODY => $method == 'HEAD', CURLOPT_ENCODING => '',
			CURLOPT_HTTP_VERSION => CURL_HTTP_VERSION_1_1]);
		if ($body !== null)
			curl_setopt($curl, CURLOPT_POSTFIELDS, $body);
		curl_exec($curl);
	} else {
		@file_get_contents($base . $path, false, stream_context_create(['http' => ['method' => $method, 'timeout' => $seconds,
			'content' => $body ?? '', 'ignore_errors' => true, 'header' => 'Content-Type: text/plain'],
			'ssl' => ['verify_peer' => false, 'verify_peer_name' => false]]));
	}
}
