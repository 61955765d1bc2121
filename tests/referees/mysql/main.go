// SPDX-License-Identifier: Apache-2.0

// main.go DSN ROUNDS: the ways that Go's driver has of sending statements.
package main

import (
	"database/sql"
	"fmt"
	"os"
	"strconv"

	_ "github.com/go-sql-driver/mysql"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// all reads every row.
func all(rows *sql.Rows, err error) {
	must(err)
	for rows.Next() {
	}
	must(rows.Err())
	must(rows.Close())
}

func main() {
	rounds, err := strconv.Atoi(os.Args[2])
	must(err)
	db, err := sql.Open("mysql", os.Args[1])
	must(err)
	db.SetMaxOpenConns(1)
	kept, err := db.Prepare("SELECT b FROM things WHERE a >= ? ORDER BY a")
	must(err)
	for n := 0; n < rounds; n++ {
		all(db.Query("SELECT a, b FROM things ORDER BY a LIMIT 3"))
		all(db.Query("SELECT a FROM things WHERE a < ?", n)) // prepared, executed, closed
		all(kept.Query(n))
		tx, err := db.Begin()
		must(err)
		_, err = tx.Exec("INSERT INTO log (t) VALUES (?), (?)", "go", "it's")
		must(err)
		if _, err = tx.Exec("INSERT INTO things (a) VALUES (?)", 1); err == nil {
			must(fmt.Errorf("a duplicate key was taken"))
		}
		must(tx.Commit())
	}
	must(kept.Close())
	must(db.Close())
}
