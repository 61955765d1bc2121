#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# clients.sh curl BASE NAME: the program, one process for all that one connection can do
base=$2 name=$3
get() { curl -ksS -m 20 -o /dev/null "$@"; }
urls=() i=0
for kind in ok big chunked gzip redirect nocontent notmodified missing fail endless hints cut reset hangup ok; do
	urls+=(-o /dev/null "$base/$kind/$name-$((i++))")
done
curl -ksS -L --compressed -m 30 "${urls[@]}"
get -m 0.4 "$base/slow/$name-slow"
get -I "$base/big/$name-head"
get -d "$(printf 's%.0s' {1..1000})" "$base/ok/$name-small"
head -c 2000000 /dev/zero | get --data-binary @- "$base/ok/$name-large" # with Expect: 100-continue
head -c 100000 /dev/zero | get -T - -H "Transfer-Encoding: chunked" "$base/fail/$name-put"
get -X DELETE "$base/nocontent/$name-delete"
get -0 "$base/ok/$name-old"
get -F "file=@$0" -F a=b "$base/ok/$name-form"
exit 0
