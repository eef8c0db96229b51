"""End with 0 if the server on this machine answers and is well, else with 1; for containers."""

from __future__ import annotations

import os
import sys
from http.client import HTTPConnection, HTTPException

PORT = 5000
WAIT_S = 5.0


def healthy(port: int) -> bool:
    """Return whether the server on a port says that it is well."""
    connection = HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(not healthy(int(os.environ.get("CAPTIONER_PORT", PORT))))
