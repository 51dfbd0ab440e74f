"""Headless Chromium by the WebDriver protocol (chromedriver), in plain Python: what the test of the page needs of it."""
import base64
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


def missing():
    """What is not there, or None."""
    return next((p for p in ("chromium", "chromedriver") if not shutil.which(p)), None)


class Browser:
    def __init__(self, folder):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                       text=True)
        for line in self.driver.stdout:
            if "started successfully on port" in line:
                self.at = "http://127.0.0.1:" + line.rstrip().rstrip(".").split()[-1]
                break
        args = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
                "--disable-background-networking", "--user-data-dir=" + folder]
        made = self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": {"binary": shutil.which("chromium"), "args": args},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}}})
        self.session = "/session/" + made["sessionId"]

    def call(self, method, path, body=None):
        q = urllib.request.Request(self.at + path, method=method,
                                   data=json.dumps(body or {}).encode() if method == "POST" else None,
                                   headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(q, timeout=60) as reply:
                return json.load(reply)["value"]
        except urllib.error.HTTPError as e:
            raise RuntimeError(e.read().decode()) from None

    def go(self, url):
        self.call("POST", self.session + "/url", {"url": url})

    def script(self, text, *args):
        return self.call("POST", self.session + "/execute/sync", {"script": text, "args": list(args)})

    def text(self, css):
        return self.script("return document.querySelector(arguments[0]).innerText", css)

    def type(self, keys):
        """To whatever has the focus."""
        focus = self.call("GET", self.session + "/element/active")[ELEMENT]
        self.call("POST", f"{self.session}/element/{focus}/value", {"text": keys})

    def wait(self, condition, seconds=60):
        """Until the expression of the page is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.script("return Boolean(" + condition + ")"):
                return True
            time.sleep(0.1)
        return False

    def devtools(self, command, **params):
        return self.call("POST", self.session + "/goog/cdp/execute", {"cmd": command, "params": params})

    def look(self, width, height, dark, zoom=1):
        """A window of that many CSS pixels at zoom 1; a larger zoom leaves fewer of them."""
        self.devtools("Emulation.setDeviceMetricsOverride", width=int(width / zoom), height=int(height / zoom),
                      deviceScaleFactor=zoom, mobile=False)
        self.devtools("Emulation.setEmulatedMedia",
                      features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def picture(self, path):
        shot = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        with open(path, "wb") as f:
            f.write(base64.b64decode(shot["data"]))

    def log(self, kind):
        return self.call("POST", self.session + "/se/log", {"type": kind})

    def requested(self):
        """Addresses that the page asked for."""
        events = [json.loads(e["message"])["message"] for e in self.log("performance")]
        return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]

    def close(self):
        try:
            self.call("DELETE", self.session)
        finally:
            self.driver.terminate()
            self.driver.wait()
