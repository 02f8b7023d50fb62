"""A real server of InfluxDB 1, with a folder of its own."""

import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest
from live_daemon import until

HOST = "127.0.0.1"
CONFIG = """
reporting-enabled = false
bind-address = "{host}:0"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
[monitor]
  store-enabled = false
[http]
  bind-address = "{host}:{port}"
  log-enabled = false
  auth-enabled = {auth}
"""


class InfluxServer:
    """
    A server that can be killed and started again.

    Args:
        auth: whether it wants a user and a password, `ann` and `geheim`.
    """

    def __init__(self, folder, port, auth=False):
        self._program = shutil.which("influxd")
        if self._program is None:
            pytest.skip("InfluxDB is not installed; Debian's package is influxdb.")
        self._folder, self.port, self._auth = folder, port, auth
        config = CONFIG.format(host=HOST, port=port, folder=folder, auth=str(auth).lower())
        (folder / "influxdb.conf").write_text(config, "ascii")
        self._process = None

    @property
    def url(self):
        """The address without a path."""
        return f"http://{HOST}:{self.port}"

    def start(self):
        """Start, and wait until it answers."""
        with (self._folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "run", "-config", self._folder / "influxdb.conf"],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        until(self._answers)

    def kill(self):
        """Kill."""
        self._process.kill()
        self._process.wait()

    def ask(self, query, database="ticks"):
        """Run a query, and return the rows as dicts."""
        asked = {"q": query, "db": database, "epoch": "ns"}
        login = "?u=ann&p=geheim" if self._auth else ""
        data = urllib.parse.urlencode(asked).encode()
        with urllib.request.urlopen(f"{self.url}/query{login}", data, 20) as answer:
            (result,) = json.load(answer)["results"]
        assert "error" not in result, result
        return [
            dict(zip(series["columns"], values, strict=True))
            for series in result.get("series", ())
            for values in series["values"]
        ]

    def _answers(self):
        try:
            return urllib.request.urlopen(f"{self.url}/ping", timeout=5).status == 204
        except (urllib.error.URLError, OSError):
            return False
