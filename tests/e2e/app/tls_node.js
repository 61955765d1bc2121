// SPDX-License-Identifier: Apache-2.0
// An https service: tls_node.js PORT KEY CERTIFICATE. Node moves the ciphertext itself, around its calls of OpenSSL.
const fs = require("fs");
const https = require("https");

const options = { key: fs.readFileSync(process.argv[3]), cert: fs.readFileSync(process.argv[4]) };
https
  .createServer(options, (request, response) => {
    request.resume();
    request.on("end", () => {
      response.statusCode = request.url.startsWith("/missing/") ? 404 : 200;
      response.end("x".repeat(2000));
    });
  })
  .listen(Number(process.argv[2]), "127.0.0.1");
