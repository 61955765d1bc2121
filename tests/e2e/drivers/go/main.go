// SPDX-License-Identifier: Apache-2.0

// The workload of the driver matrix through Go's drivers: workload pgx|pq ROUNDS; where to is in libpq's variables.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/lib/pq"
)

const (
	read      = "SELECT a, b FROM things WHERE a <= $1 ORDER BY a"
	insert    = "INSERT INTO log (t) VALUES ($1)"
	update    = "UPDATE things SET b = $1 WHERE a < $2"
	zero      = "SELECT 1 / $1::int AS zero"
	twice     = "INSERT INTO things (a) VALUES ($1)"
	returning = "INSERT INTO log (t) VALUES ($1) RETURNING t"
	remove    = "DELETE FROM log WHERE t = $1"
	again     = "SELECT b FROM things WHERE a = $1"
	several   = "INSERT INTO log (t) VALUES ('m;1'), ('m2'); SELECT count(*) FROM things; " +
		"UPDATE things SET b = 'multi' WHERE a = 1"
	many  = "SELECT n, 'some text for a row' AS t FROM generate_series(1, $1::int) n"
	timed = "SELECT pg_sleep(0.03) AS timed"
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func mustFail(err error) {
	if err == nil {
		log.Fatal("no error")
	}
}

func pgxRound(ctx context.Context, c *pgx.Conn, n int) {
	run := func(text string, args ...any) {
		_, err := c.Exec(ctx, text, args...)
		must(err)
	}
	fetch := func(text string, args ...any) {
		rows, err := c.Query(ctx, text, args...)
		must(err)
		for rows.Next() {
		}
		must(rows.Err())
	}
	fetch(read, n%7)
	run(insert, "x")
	run(update, "x", n)
	_, err := c.Exec(ctx, zero, 0)
	mustFail(err)
	_, err = c.Exec(ctx, twice, 1)
	mustFail(err)
	tx, err := c.Begin(ctx)
	must(err)
	fetch(returning, "kept")
	run(remove, "kept")
	must(tx.Rollback(ctx))
	for i := range 8 {
		fetch(again, i)
	}
	_, err = c.PgConn().Exec(ctx, several).ReadAll()
	must(err)
	batch := &pgx.Batch{}
	for i := range 5 {
		batch.Queue(insert, strconv.Itoa(i))
	}
	batch.Queue(read, 3)
	must(c.SendBatch(ctx, batch).Close())
	fetch(many, 2000)
	fields := make([][]any, n)
	for i := range fields {
		fields[i] = []any{"copied"}
	}
	_, err = c.CopyFrom(ctx, pgx.Identifier{"log"}, []string{"t"}, pgx.CopyFromRows(fields))
	must(err)
	fetch(timed)
}

func pgxDriver(rounds int) {
	ctx := context.Background()
	c, err := pgx.Connect(ctx, "")
	must(err)
	for n := range rounds {
		pgxRound(ctx, c, n)
	}
	must(c.Close(ctx))
}

func fetchAll(q interface {
	Query(string, ...any) (*sql.Rows, error)
}, text string, args ...any) {
	rows, err := q.Query(text, args...)
	must(err)
	for rows.Next() {
	}
	must(rows.Err())
	must(rows.Close())
}

func pqCopy(db *sql.DB, n int) {
	tx, err := db.Begin()
	must(err)
	in, err := tx.Prepare(pq.CopyIn("log", "t"))
	must(err)
	for range n {
		_, err = in.Exec("copied")
		must(err)
	}
	_, err = in.Exec()
	must(err)
	must(in.Close())
	must(tx.Commit())
}

func pqRound(db *sql.DB, n int) {
	run := func(text string, args ...any) {
		_, err := db.Exec(text, args...)
		must(err)
	}
	fetchAll(db, read, n%7)
	run(insert, "x")
	run(update, "x", n)
	_, err := db.Exec(zero, 0)
	mustFail(err)
	_, err = db.Exec(twice, 1)
	mustFail(err)
	tx, err := db.Begin()
	must(err)
	fetchAll(tx, returning, "kept")
	_, err = tx.Exec(remove, "kept")
	must(err)
	must(tx.Rollback())
	statement, err := db.Prepare(again)
	must(err)
	for i := range 8 {
		rows, err := statement.Query(i)
		must(err)
		for rows.Next() {
		}
		must(rows.Close())
	}
	must(statement.Close())
	run(several)
	fetchAll(db, many, 2000)
	pqCopy(db, n)
	fetchAll(db, timed)
}

func pqDriver(rounds int) {
	db, err := sql.Open("postgres", "")
	must(err)
	db.SetMaxOpenConns(1)
	for n := range rounds {
		pqRound(db, n)
	}
	must(db.Close())
}

func main() {
	rounds, err := strconv.Atoi(os.Args[2])
	must(err)
	switch os.Args[1] {
	case "pgx":
		pgxDriver(rounds)
	case "pq":
		pqDriver(rounds)
	default:
		fmt.Fprintln(os.Stderr, "pgx or pq")
		os.Exit(2)
	}
}
