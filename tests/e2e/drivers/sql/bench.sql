\set n random(1, 50)
SELECT a, b FROM things WHERE a < :n;
UPDATE things SET b = 'bench' WHERE a = :n;
INSERT INTO log (t) VALUES ('bench');
SELECT pg_sleep(0.03) AS timed;
