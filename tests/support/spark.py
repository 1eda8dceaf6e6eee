"""A Spark Connect server of the test's own, on a loopback port, out of the ``pyspark`` package."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

STARTS_S = 240
"""How long a start may take on a machine that is busy, in seconds."""


@contextmanager
def spark_server(folder: Path) -> Iterator[str]:
    """Start a server with two local cores, and give its address ``spark://127.0.0.1:PORT``."""
    found = find_spec("pyspark")
    if found is None or found.origin is None:
        raise RuntimeError("pyspark is not installed: python3 scripts/test.py --engines makes an environment")
    home, port = Path(found.origin).parent, _free_port()
    environment = os.environ | {
        "SPARK_HOME": str(home),
        "SPARK_LOG_DIR": str(folder / "log"),
        "SPARK_PID_DIR": str(folder / "pid"),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
    }
    settings = {
        "spark.ui.enabled": "false",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
    }
    start = ["bash", str(home / "sbin" / "start-connect-server.sh"), "--master", "local[2]"]
    start += [word for pair in settings.items() for word in ("--conf", "=".join(pair))]
    subprocess.run(start, env=environment, stdout=subprocess.DEVNULL, check=True, cwd=folder)
    try:
        _wait_for(port)
        yield f"spark://127.0.0.1:{port}"
    finally:
        stop = ["bash", str(home / "sbin" / "stop-connect-server.sh")]
        subprocess.run(stop, env=environment, stdout=subprocess.DEVNULL, check=True, cwd=folder)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait_for(port: int) -> None:
    end = time.monotonic() + STARTS_S
    while time.monotonic() < end:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)  # a server says by nothing else that it listens
    raise TimeoutError(f"no Spark Connect server listens on port {port} after {STARTS_S} s")
