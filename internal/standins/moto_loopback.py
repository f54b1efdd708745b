"""Runs moto's server on 127.0.0.1 only.

It takes a free port, prints "port N" when it serves, and ends when its standard input does: whoever
started it takes it along, even when killed.
"""

import os
import sys
import threading

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


def main() -> None:
    app = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"port {server.server_port}", flush=True)
    while sys.stdin.buffer.read(64):
        pass
    os._exit(0)  # a poll that hangs need not be waited for


if __name__ == "__main__":
    main()
