# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash

nginx_pass() {
	case ${NGINX_PASS:-} in
	fastcgi)
		echo "fastcgi_pass app; fastcgi_keep_conn on; include /etc/nginx/fastcgi_params;"
		echo "fastcgi_param SCRIPT_FILENAME $BATS_TEST_DIRNAME/app/php/index.php;"
		;;
	uwsgi) echo "uwsgi_pass app; include /etc/nginx/uwsgi_params;" ;;
	*)
		# shellcheck disable=SC2016 # nginx's own variables
		echo 'proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;'
		;;
	esac
}

# nginx_start NAME UPSTREAM [KEEPALIVE]: a proxy before UPSTREAM (127.0.0.1:8000 or unix:/path), its port in $E2E/NAME.port.
# $NGINX_TLS: more lines for its server; with them it speaks TLS. $NGINX_PASS: fastcgi or uwsgi, instead of HTTP.
nginx_start() {
	local name=$1 upstream=$2 keepalive=${3:-0} port dir=$E2E/$1.d
	port=$(e2e_port)
	echo "$port" >"$E2E/$name.port"
	mkdir -p "$dir"
	cat >"$dir/nginx.conf" <<-CONF
		daemon off;
		user root;
		worker_processes 2;
		pid $dir/pid;
		error_log $dir/error.log;
		events { worker_connections 256; }
		http {
			access_log $dir/access.log;
			client_body_temp_path $dir/body;
			proxy_temp_path $dir/proxy;
			fastcgi_temp_path $dir/fastcgi;
			uwsgi_temp_path $dir/uwsgi;
			scgi_temp_path $dir/scgi;
			upstream app { server $upstream; $([ "$keepalive" = 0 ] || echo "keepalive $keepalive;") }
			server {
				listen 127.0.0.1:$port${NGINX_TLS:+ ssl};
				${NGINX_TLS:-}
				keepalive_timeout 75s;
				keepalive_requests 100000;
				location / {
					$(nginx_pass)
				}
			}
		}
	CONF
	# As long an environment as Kubernetes gives to containers; of one that is longer than EVENT_ENV_MAX Sonde has the rest from
	# /proc, where nginx overwrites it.
	e2e_start "$name" env -i PATH="$PATH" LONG="$(printf '%012000d' 0)" OTEL_SERVICE_NAME="$name.$E2E_ID" nginx -p "$dir" -e "$dir/error.log" -c "$dir/nginx.conf"
	e2e_wait 10 e2e_listens "$port"
}

# nginx_static NAME: answers by itself, as nginx does best; no log. Port in $E2E/NAME.port.
nginx_static() {
	local name=$1 port dir=$E2E/$1.d
	port=$(e2e_port)
	echo "$port" >"$E2E/$name.port"
	mkdir -p "$dir"
	cat >"$dir/nginx.conf" <<-CONF
		daemon off;
		user root;
		worker_processes 1;
		pid $dir/pid;
		error_log $dir/error.log;
		events { worker_connections 256; }
		http {
			access_log off;
			client_body_temp_path $dir/body;
			proxy_temp_path $dir/proxy;
			fastcgi_temp_path $dir/fastcgi;
			uwsgi_temp_path $dir/uwsgi;
			scgi_temp_path $dir/scgi;
			server {
				listen 127.0.0.1:$port;
				keepalive_requests 100000000;
				location / {
					default_type text/plain;
					return 200 "an answer of some ordinary length, for an ordinary request\n";
				}
			}
		}
	CONF
	e2e_start "$name" nginx -p "$dir" -e "$dir/error.log" -c "$dir/nginx.conf"
	e2e_wait 10 e2e_listens "$port"
}
