// SPDX-License-Identifier: Apache-2.0

// A web service in Go whose statements go over Go's own TLS: go_tls ADDRESS DATABASE-URL [held]
// /plain/ID/ asks in one message; /orders/ID/ reads, /write/ID/ writes, each in a statement with parameters; /prepared/ID/ prepares once and uses it.
package main

import (
	"database/sql"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/lib/pq"
)

func main() {
	connector, err := pq.NewConnector(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	if len(os.Args) > 3 {
		connector.Dialer(heldDialer{})
	}
	db := sql.OpenDB(connector)
	db.SetMaxIdleConns(4)
	count, err := db.Prepare("SELECT count(*) FROM things WHERE id < $1")
	if err != nil {
		log.Fatal(err)
	}
	query := func(w http.ResponseWriter, text string, args ...any) {
		var n int
		if err := db.QueryRow(text, args...).Scan(&n); err != nil {
			http.Error(w, err.Error(), 500)
			return
		}
		fmt.Fprintln(w, n)
	}
	http.HandleFunc("/orders/", func(w http.ResponseWriter, r *http.Request) {
		query(w, "SELECT 1 + 1")
		query(w, "SELECT count(*) FROM things WHERE name = $1", r.URL.Path)
	})
	http.HandleFunc("/plain/", func(w http.ResponseWriter, r *http.Request) { query(w, "SELECT 1 + 1") })
	http.HandleFunc("/write/", func(w http.ResponseWriter, r *http.Request) {
		query(w, "INSERT INTO things (name) VALUES ($1) RETURNING id", r.URL.Path)
	})
	http.HandleFunc("/prepared/", func(w http.ResponseWriter, r *http.Request) {
		var n int
		if err := count.QueryRow(10).Scan(&n); err != nil {
			http.Error(w, err.Error(), 500)
		}
		fmt.Fprintln(w, n)
	})
	http.HandleFunc("/missing/", func(w http.ResponseWriter, r *http.Request) { query(w, "SELECT 1 / $1::int", 0) })
	if len(os.Args) > 3 {
		oneThread(os.Args[1])
	}
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}
