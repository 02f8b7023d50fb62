"""A real browser on a hostile page: it can change nothing."""

import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from live_daemon import until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-sync", "--disable-background-networking", "--disable-component-update"),
]
PAGE = """<body><script>
const late = () => new Promise(resolve => setTimeout(resolve, 1000));
(async () => {
  const done = [];
  for (const port of PORTS) {
    for (const scheme of ["http", "https"]) {
      for (const method of ["POST", "GET"]) {
        const body = method === "POST" ? "<<GBPUSD|99.00>><chart>\\n</chart>" : undefined;
        const url = `${scheme}://127.0.0.1:${port}/templates/EVIL/H1`;
        await Promise.race([fetch(url, {method, body, mode: "no-cors"}).catch(() => {}), late()]);
        done.push(method);
      }
    }
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
    socket.onopen = () => socket.send("<<GBPUSD|99.00>>");
    await late();
  }
  await fetch("/finished", {method: "POST", body: String(done.length)});
})();
</script></body>"""


class HostilePage(BaseHTTPRequestHandler):
    """Serves the page, and hears when its script has done all that it can."""

    def do_GET(self):
        body = PAGE.replace("PORTS", str(self.server.attacked)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.server.finished = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def site():
    with ThreadingHTTPServer(("127.0.0.1", 0), HostilePage) as server:
        server.finished = None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.skipif(CHROMIUM is None, reason="There is no Chromium on this machine.")
@pytest.mark.parametrize("attacked", [("signals", "templates", "web"), ("any",)])
def test_a_page_of_another_origin_changes_nothing(daemon, site, tmp_path, attacked):
    daemon.start("--listen=any=tcp:0:interface=127.0.0.1")
    site.attacked = [daemon.port(name) for name in attacked]
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}"]
    url = f"http://127.0.0.1:{site.server_port}/"
    with subprocess.Popen([*command, "--remote-debugging-port=0", url], stderr=-3) as browser:
        try:
            until(lambda: site.finished, seconds=60)
        finally:
            browser.terminate()
    assert site.finished == b"%d" % (4 * len(attacked))
    status = daemon.status()
    assert status["signals"]["channels"]["main"]["positions"] == {}
    assert status["templates"]["templates"] == 0
    assert status["ticks"]["received"] == 0
    if "signals" in attacked:
        assert daemon.logged().count("a web page could abuse") >= 2
    # A POST and a WebSocket on each port that speaks HTTP.
    spoken = len(set(attacked) - {"signals"})
    assert daemon.logged().count("Pages of another origin") == 2 * spoken
