// SPDX-License-Identifier: Apache-2.0

// net/http with a few connections to PostgreSQL, fewer than there are requests at a time: main ADDRESS pq|pgx DSN.
// main ADDRESS http URL asks URL/orders/ID/ instead, twice for each. The second is asked by a goroutine that the handler
// starts, where Sonde knows that version of Go.
// /orders/ID/ runs two statements whose column is named after ID; other paths run none. So does work of no request, whose
// ID is r0, for a while.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/lib/pq"
)

func run(ctx context.Context, db *sql.DB, text string) error {
	rows, err := db.QueryContext(ctx, text)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
	}
	return rows.Err()
}

func apart(ask func() error) error {
	done := make(chan error)
	switch version := runtime.Version(); version[:min(6, len(version))] {
	case "go1.25", "go1.26":
		go func() { done <- ask() }()
		return <-done
	}
	return ask()
}

func get(client *http.Client, url string) error {
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

func proxy(to string) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	http.HandleFunc("/orders/", func(w http.ResponseWriter, r *http.Request) {
		err := get(client, to+r.URL.Path)
		if err == nil {
			err = apart(func() error { return get(client, to+r.URL.Path) })
		}
		if err != nil {
			http.Error(w, err.Error(), 500)
			return
		}
		fmt.Fprintln(w, "ok")
	})
}

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "ok") })
	if os.Args[2] == "http" {
		proxy(os.Args[3])
		panic(http.ListenAndServe(os.Args[1], nil))
	}
	driver := map[string]string{"pq": "postgres", "pgx": "pgx"}[os.Args[2]]
	db, err := sql.Open(driver, os.Args[3])
	if err != nil {
		panic(err)
	}
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(4)
	go func() {
		for i := 0; i < 40; i++ {
			time.Sleep(3 * time.Millisecond)
			if err := run(context.Background(), db, "SELECT 1 AS id_r0"); err != nil {
				panic(err)
			}
		}
	}()
	http.HandleFunc("/orders/", func(w http.ResponseWriter, r *http.Request) {
		id := strings.Split(r.URL.Path, "/")[2]
		err := run(r.Context(), db, "SELECT 1 AS id_"+id)
		if err == nil {
			err = apart(func() error { return run(r.Context(), db, "SELECT generate_series(1, 3) AS id_"+id) })
		}
		if err != nil {
			http.Error(w, err.Error(), 500)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	panic(http.ListenAndServe(os.Args[1], nil))
}
