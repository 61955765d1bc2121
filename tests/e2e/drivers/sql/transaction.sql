\set n random(1, 50)
BEGIN;
SELECT a, b FROM things WHERE a < :n;
INSERT INTO log (t) VALUES ('bench');
END;
SELECT pg_sleep(0.03) AS timed;
