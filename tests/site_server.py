"""The built site on a server of its own, and a browser that walks through its pages and measures them.

The browser opens one page of ours, which shows the site's pages one after the other in a frame (a window can't be
as narrow as a telephone, a frame can), measures each by a script and posts what it found to this server.
"""

import contextlib
import http.server
import json
import subprocess
import threading
from functools import partial

from browser_helpers import asked, words_of

WALK = """<!DOCTYPE html><body><script>
const tasks = TASKS;
async function measure(page) { SCRIPT }
async function walk() {
  console.log("the log works");
  const found = [];
  for (const [path, width] of tasks) {
    const frame = document.createElement("iframe");
    frame.style.border = 0; frame.width = width; frame.height = 900; frame.src = path;
    const loaded = new Promise(done => frame.onload = done);
    document.body.append(frame);
    await loaded;
    const page = {frame, window: frame.contentWindow, document: frame.contentWindow.document};
    await page.window.MathJax?.startup?.promise;
    found.push(await measure(page));
    frame.remove();
  }
  return found;
}
walk().catch(error => ({error: String(error)})).then(found =>
  fetch("/-found", {method: "POST", body: JSON.stringify(found)}));
</script></body>"""


class Server:
    """Serves a folder on 127.0.0.1 and remembers every answer.

    Attributes
    ----------
    answers
        (path, status) of each request, in order.
    """

    def __init__(self, folder):
        self.answers, self.found, self.arrived, self.walk = [], None, threading.Event(), ""
        owner = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def do_GET(self):
                if self.path != "/-walk":
                    return super().do_GET()
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(owner.walk.encode())
                return None

            def do_POST(self):
                owner.found = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(204)
                self.end_headers()
                owner.arrived.set()

            def log_request(self, code="-", size="-"):
                owner.answers.append((self.path, int(code)))

            def log_error(self, format, *args):
                pass  # the answer's status tells

        self.server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), partial(Handler, directory=str(folder))
        )
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def served(folder):
    """Serve a folder for the length of a with block."""
    server = Server(folder)
    try:
        yield server
    finally:
        server.close()


def walked(chromium, folder, server, tasks, script, *, flags=(), limit=300):
    """Show each (path, width) in a frame and run a script on it, the body of ``async page => ...``.

    Returns what the script returned for each, the requests (by the browser's own log), and what was written on the
    console (but for the line that shows that the log works).
    """
    folder.mkdir(exist_ok=True)
    server.walk = WALK.replace("TASKS", json.dumps(tasks)).replace("SCRIPT", script)
    server.arrived.clear()
    log, said = folder / "net.json", folder / "said.txt"
    more = [f"--log-net-log={log}", "--enable-logging=stderr", *flags]
    words = [*words_of(chromium, folder / "profile", *more), f"{server.address}/-walk"]
    with said.open("wb") as stderr:
        browser = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=stderr)
        try:
            assert server.arrived.wait(limit), (
                f"the browser found nothing in {limit} s; it said: {said.read_text()}"
            )
        finally:
            browser.terminate()
            browser.wait(timeout=30)
    console = [line for line in said.read_text("utf-8", errors="replace").splitlines() if "CONSOLE" in line]
    assert any("the log works" in line for line in console)
    return server.found, asked(log), [line for line in console if "the log works" not in line]
