-- What every driver works on. things is never made longer, so that all drivers read the same rows.
CREATE TABLE things (a int PRIMARY KEY, b text);
CREATE TABLE log (t text);
INSERT INTO things SELECT i, 'thing ' || i FROM generate_series(1, 100) i;
