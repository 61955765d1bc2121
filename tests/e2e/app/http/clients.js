// SPDX-License-Identifier: Apache-2.0
// HTTP clients of node: clients.js fetch|http|axios BASE NAME
"use strict";
process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
const [library, base, name] = process.argv.slice(2);
const kinds = ["ok", "big", "chunked", "gzip", "redirect", "nocontent", "notmodified", "missing", "fail", "endless", "hints", "cut",
	"reset", "hangup", "slow", "ok"];
const wanted = kinds.map((kind, i) => ["GET", `/${kind}/${name}-${i}`]);
wanted.push(["HEAD", `/big/${name}-head`], ["POST", `/ok/${name}-small`, "s".repeat(1000)],
	["POST", `/ok/${name}-large`, "l".repeat(2000000)], ["POST", `/ok/${name}-empty`, ""],
	["PUT", `/fail/${name}-put`, "p".repeat(20000)], ["DELETE", `/nocontent/${name}-delete`],
	["PATCH", `/missing/${name}-patch`, "{}"], ["GET", `/ok/${name}-query?token=not-in-any-output&page=2`]);

function withHttp(method, url, body, ms) {
	const module = require(url.startsWith("https") ? "https" : "http");
	withHttp.agent ??= new module.Agent({ keepAlive: true });
	return new Promise((done, fail) => {
		const request = module.request(url, { method, agent: withHttp.agent, timeout: ms }, (answer) => {
			answer.on("end", done).on("error", fail).resume();
		});
		request.on("timeout", () => request.destroy(new Error("timeout"))).on("error", fail);
		if (body) /* in two writes: chunked */
			request.write(body.slice(0, 1));
		request.end(body ? body.slice(1) : undefined);
	});
}

const calls = {
	fetch: async (method, url, body, ms) => (await fetch(url, { method, body, signal: AbortSignal.timeout(ms) })).arrayBuffer(),
	http: withHttp,
	axios: (method, url, data, timeout) => require("axios")({ method, url, data, timeout }),
};

(async () => {
	for (const [method, path, body] of wanted)
		await calls[library](method, base + path, body, path.includes("/slow/") ? 400 : 20000)
			.catch((error) => console.log(path, String(error).slice(0, 100)));
})();
