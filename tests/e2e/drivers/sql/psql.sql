BEGIN;
DECLARE c CURSOR FOR SELECT a FROM things ORDER BY a;
FETCH 10 FROM c;
FETCH ALL FROM c;
CLOSE c;
COMMIT;
INSERT INTO log (t) VALUES ('a'), ('b; c') RETURNING t;
INSERT INTO log (t) VALUES ('$'), (E'it\'s'), ($tag$;$tag$);
COPY log (t) FROM STDIN;
one
two
\.
COPY things TO STDOUT;
SELECT 1 / 0;
INSERT INTO things (a) VALUES (1);
PREPARE p AS SELECT b FROM things WHERE a < $1;
EXECUTE p (4);
EXECUTE p (40);
DEALLOCATE p;
SELECT 1 AS one\; SELECT 2 AS two, 'x;y' AS three\; UPDATE things SET b = 'both' WHERE a < 5;
BEGIN\; INSERT INTO log (t) VALUES ('in one')\; COMMIT;
SELECT n, 'some text for a row' AS t FROM generate_series(1, 5000) n;
SELECT pg_sleep(0.03) AS timed;
SELECT pg_sleep(0.03) AS timed;
SELECT pg_sleep(0.03) AS timed;
DELETE FROM log;
