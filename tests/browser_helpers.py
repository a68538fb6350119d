"""A real browser for tests: Chromium without a window, and whom a page asked, by the browser's own log."""

import json
import os
import shutil
import subprocess
from urllib.parse import urlsplit

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # whatever the browser wants, nobody is there
)


@pytest.fixture(scope="module")
def chromium():
    """The browser. In CI it must be there."""
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return path
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"CI needs a browser; expected one of {', '.join(NAMES)}: apt-get install chromium")
    pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")


def words_of(chromium, profile, *flags):
    """The command that starts the browser without a window, with a profile of its own."""
    root = ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
    return [chromium, *FLAGS, *root, f"--user-data-dir={profile}", "--window-size=1400,1000", *flags]


def browse(chromium, profile, path, *flags):
    """Open a page from disk and return the document as the browser has it then; the profile is new."""
    words = words_of(
        chromium, profile, *flags, "--dump-dom", path if isinstance(path, str) else path.as_uri()
    )
    done = subprocess.run(words, capture_output=True, timeout=120, check=True)
    return done.stdout.decode("utf-8")


def asked_by_the_page(chromium, tmp_path, path):
    """Return whom a page on disk asked."""
    log = tmp_path / "net.json"
    browse(chromium, tmp_path / "profile", path, f"--log-net-log={log}")
    return asked(log)


def asked(log):
    """Return whom pages asked, by the browser's own log, which names who wanted each request.

    A browser asks for things of its own accord, whatever it shows; those requests come from no page ("not an origin").
    Connections that are only opened have no such note; they count unless the browser itself asks there, too.
    """
    text = log.read_text("utf-8")
    try:
        events = json.loads(text)["events"]
    except json.JSONDecodeError:  # a browser that is quick to leave doesn't close the list
        events = json.loads(text.rstrip().rstrip(",") + "]}")["events"]
    found = [event["params"] for event in events if "url" in event.get("params", {})]
    own = {urlsplit(told["url"]).netloc for told in found if told.get("initiator") == "not an origin"}
    asked = {told["url"] for told in found if told.get("initiator", "not an origin") != "not an origin"}
    asked |= {told["url"] for told in found if urlsplit(told["url"]).netloc not in own}
    return {url for url in asked if urlsplit(url).scheme in ("http", "https", "ws", "wss", "ftp")}
