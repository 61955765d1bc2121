# SPDX-License-Identifier: Apache-2.0
"""
Secrets in every place that a program puts a value, for MySQL: mysql_canaries.py HOST PORT DATABASE PASSWORD COUNT FILE sends
COUNT of them and writes them to FILE, passwords to FILE.never. canaries.py --find looks for them. TLS when $MYSQL_CERTIFICATE is set.
"""
import os
import pathlib
import struct
import sys
import tempfile
from contextlib import suppress

os.environ.setdefault("PGSSLMODE", "mysql" + os.environ.get("MYSQL_CERTIFICATE", ""))
import canaries  # noqa: E402 (its seed is in that variable)
import pymysql  # noqa: E402
from pymysql.constants import CLIENT, COMMAND  # noqa: E402

LITERALS = [
    "SELECT '{w}' AS shown",
    "SELECT \"{w}\" AS shown, \"it's {w}\"",
    "SELECT {n} AS shown, -{n}, {n}.5, 1e3 + {n}",
    "SELECT 'it\\'s {w}' AS shown, N'{w}', _utf8mb4'{w}', '{w}' '{w}'",
    "SELECT x'{h}' AS shown, 0x{h}, _binary '{w}', b'0101'",
    "SELECT DATE '2026-01-01' AS shown, CAST('{w}' AS CHAR), INTERVAL '1' DAY + '2026-01-01'",
    "SELECT COUNT(*) AS shown FROM kept WHERE t IN ('{w}', '{w}', '{w}') OR n IN ({n}, {n})",
    "INSERT INTO kept (t, n) VALUES ('{w}', {n}), ('{w}', {n}) ON DUPLICATE KEY UPDATE t = 'shown {w}'",
    "UPDATE kept AS shown SET t = '{w}' WHERE t = '{w}' AND n > {n}",
    "DELETE FROM kept WHERE t LIKE '%{w}%' ESCAPE '!'",
    "SELECT '{{\"a\": \"{w}\"}}' AS shown, JSON_OBJECT('a', '{w}')",
    "SET @shown = '{w}'",
    "PREPARE shown FROM 'SELECT \"{w}\", ?'; SET @a = '{w}'; EXECUTE shown USING @a; DEALLOCATE PREPARE shown",
    "SELECT 1 AS shown; SELECT '{w}'; INSERT INTO kept (t) VALUES ('; {w}'); SELECT {n}",
    "/*!40101 SET @shown = '{w}' */",
    "SELECT '{w}' AS shown, '" + "{w} padding to be cut " * 40 + "'",
    "SELECT '" + "z" * 20000 + "{w}' AS shown",
    "CALL shown('{w}')",
]
COMMENTS = [
    "SELECT 1 AS shown -- {w}",
    "SELECT 1 AS shown # {w}",
    "SELECT /* {w} ' */ 1 AS shown /* {w} */",
    "SELECT 1 AS shown /*user='{w}',traceparent='00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'*/",
]
PASSWORDS = [
    "SET PASSWORD = PASSWORD('{w}')",
    "ALTER USER CURRENT_USER IDENTIFIED BY '{w}'",
    "CREATE USER shown IDENTIFIED BY '{w}'",
    "GRANT ALL ON *.* TO 'shown'@'%' IDENTIFIED BY '{w}'",
    "CREATE USER shown IDENTIFIED BY PASSWORD '*{h}'",
]
FAILING = [
    "INSERT INTO once (t) VALUES ('known'), ('{w}'), ('{w}'), ('known')",
    "SELECT '{w}' AS shown FROM nowhere WHERE a = '{w}'",
    "SELECT '{w} AS shown",
    "SELECT `{w}",
    "SELECT 1 AS shown /* {w}",
    "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'shown {w}'",
]


class Secrets(canaries.Canaries):
    def fill(self, form):
        while "{h}" in form:
            form = form.replace("{h}", self.word().encode().hex(), 1)
        return canaries.fill(self, form)


def texts(conn, secrets, database, password):
    cur = conn.cursor()
    for form in LITERALS + COMMENTS + PASSWORDS + FAILING:
        with suppress(pymysql.Error):
            cur.execute(secrets.fill(form))
            while cur.nextset():
                pass
        # Whoever changed the password must be able to come back.
        with suppress(pymysql.Error):
            cur.execute("SET PASSWORD = PASSWORD(%s)", (password,)) if form in PASSWORDS else None


def file(conn, secrets):
    with tempfile.NamedTemporaryFile("w") as f:
        f.writelines(f"{secrets.word()}\t{secrets.number()}\n" for _ in range(60))
        f.flush()
        conn.cursor().execute(f"LOAD DATA LOCAL INFILE '{f.name}' INTO TABLE kept (t, n)")


def packet(conn, command, payload):
    conn._execute_command(command, payload)


def binary(conn, secrets):
    """Prepared statements with values in the binary protocol, and long data before them; PyMySQL has none, so by its parts."""
    packet(conn, COMMAND.COM_STMT_PREPARE, "INSERT INTO kept (t, n) VALUES (?, ?) -- shown")
    head = conn._read_packet()._data
    number, columns, parameters = struct.unpack_from("<IHH", head, 1)
    for _ in range(parameters + (parameters > 0) + columns + (columns > 0)):
        conn._read_packet()
    for long_data in (False, True):
        for _ in range(3):
            text = secrets.word().encode()
            if long_data:
                packet(conn, COMMAND.COM_STMT_SEND_LONG_DATA, struct.pack("<IH", number, 0) + text)
                text = b""
            else:
                text = bytes([len(text)]) + text
            types = b"\x01" + (b"\xfb\0" if long_data else b"\xfd\0") + b"\x08\0"
            value = struct.pack("<q", int(secrets.number()))
            packet(conn, COMMAND.COM_STMT_EXECUTE, struct.pack("<IBI", number, 0, 1) + b"\0" + types + text + value)
            conn._read_packet()
    # In one call with its data.
    text = struct.pack("<IH", number, 0) + secrets.word().encode()
    execute = struct.pack("<IBI", number, 0, 1) + b"\0\x01\xfb\0\x08\0" + struct.pack("<q", int(secrets.number()))
    out = b"".join(struct.pack("<I", len(p) + 1) + c + p for c, p in ((b"\x18", text), (b"\x17", execute)))
    conn._sock.sendall(out)
    conn._next_seq_id = 1
    conn._read_packet()
    packet(conn, COMMAND.COM_STMT_CLOSE, struct.pack("<I", number))


def main(host, port, database, password, count, path):
    secrets = Secrets(int(count))
    tls = {"ssl": {"ca": os.environ["MYSQL_CERTIFICATE"], "check_hostname": False}} if os.environ.get("MYSQL_CERTIFICATE") else {"ssl_disabled": True}
    while secrets.some_left:
        conn = pymysql.connect(host=host, port=int(port), user=database, password=password, database=database, autocommit=True,
                               local_infile=True, client_flag=CLIENT.MULTI_STATEMENTS, **tls)
        file(conn, secrets)
        binary(conn, secrets)
        texts(conn, secrets, database, password)
        conn.close()
        with suppress(pymysql.Error):  # a password that is wrong
            pymysql.connect(host=host, port=int(port), user=database, password=secrets.password(), database=database, **tls)
    pathlib.Path(path).write_text("\n".join(secrets.all))
    pathlib.Path(path + ".never").write_text("\n".join(secrets.never))
    print(f"{len(secrets.all)} secrets")


if __name__ == "__main__":
    main(*sys.argv[1:])
