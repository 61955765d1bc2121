# SPDX-License-Identifier: Apache-2.0
"""WSGI, the same answer to all."""


def application(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", "20")])
    return [b"twenty bytes of body"]
