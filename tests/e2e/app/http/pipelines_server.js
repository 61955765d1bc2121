// SPDX-License-Identifier: Apache-2.0
//
// pipelines_server.js PORT: node's http, the same answer to all.
require('http').createServer((request, response) => {
	request.resume();
	request.on('end', () => response.end('twenty bytes of body'));
}).listen(Number(process.argv[2]), '127.0.0.1');
