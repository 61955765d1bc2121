// SPDX-License-Identifier: Apache-2.0
//
// pipelines_server PORT: net/http, the same answer to all.
package main

import (
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "twenty bytes of body")
	})))
}
