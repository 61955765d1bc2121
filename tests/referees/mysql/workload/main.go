// SPDX-License-Identifier: Apache-2.0

// main.go DSN ROUNDS: the workload of the MySQL driver matrix through Go's driver.
package main

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/go-sql-driver/mysql"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// all reads every row of every set.
func all(rows *sql.Rows, err error) {
	must(err)
	for more := true; more; more = rows.NextResultSet() {
		for rows.Next() {
		}
	}
	must(rows.Err())
	must(rows.Close())
}

func fails(err error, number uint16) {
	var failure *mysql.MySQLError
	if !errors.As(err, &failure) || failure.Number != number {
		must(fmt.Errorf("error %d did not come: %v", number, err))
	}
}

func round(db *sql.DB, n int) {
	run := func(query string, values ...any) {
		_, err := db.Exec(query, values...)
		must(err)
	}
	all(db.Query("SELECT a, b FROM things WHERE a <= ? ORDER BY a", n%7))
	run("INSERT INTO log (t) VALUES (?)", "it's \"x\" \\")
	run("UPDATE things SET b = ? WHERE a < ?", "x", n)
	_, err := db.Exec("SELECT nothing FROM things")
	fails(err, 1054)
	_, err = db.Exec("SELECT nothing FROM things WHERE a = ?", n)
	fails(err, 1054)
	_, err = db.Exec("INSERT INTO things (a) VALUES (?)", 1)
	fails(err, 1062)
	tx, err := db.Begin()
	must(err)
	_, err = tx.Exec("INSERT INTO log (t) VALUES (?)", "gone")
	must(err)
	_, err = tx.Exec("DELETE FROM log WHERE t = ?", "gone")
	must(err)
	must(tx.Rollback())
	kept, err := db.Prepare("SELECT b FROM things WHERE a = ?")
	must(err)
	for i := 0; i < 8; i++ {
		all(kept.Query(i))
	}
	must(kept.Close())
	all(db.Query("INSERT INTO log (t) VALUES ('m;1'), ('m2'); SELECT COUNT(*) FROM things; UPDATE things SET b = 'multi' WHERE a = 1"))
	all(db.Query("CALL two_sets()"))
	all(db.Query("SELECT seq, 'some text for a row' AS t FROM seq_1_to_2000"))
	all(db.Query("SELECT SLEEP(0.03) AS timed"))
}

func main() {
	rounds, err := strconv.Atoi(os.Args[2])
	must(err)
	db, err := sql.Open("mysql", os.Args[1])
	must(err)
	db.SetMaxOpenConns(1)
	for n := 0; n < rounds; n++ {
		round(db, n)
	}
	must(db.Close())
}
