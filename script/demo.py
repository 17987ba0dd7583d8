"""The parts of script/demo that are no shell: a receiver of callbacks, a second implementation of both
signatures, and the few calls of WebDriver that the pictures need. Python's standard library only.

    demo.py receive FOLDER                 writes port, then each request: N.body, N.headers
    demo.py verify SECRET BODY HEADERS     exit status 0 if both signatures hold
    demo.py open DRIVER PROGRAM ARGUMENT…  starts the program through WebKit's driver, prints the session
    demo.py wait DRIVER SESSION TEXT       waits until the page shows the text
    demo.py run DRIVER SESSION SCRIPT      runs a script in the page, prints what it returns
    demo.py drawn DRIVER SESSION           waits until the page is drawn as it stands
    demo.py get JSON-FILE KEY…             prints a value, by keys and positions
    demo.py find JSON-FILE LIST KEY VALUE  prints the id of the entry of a list with this value
    demo.py flow NAME FILE                 prints the body that imports an exported flow
"""

import base64
import hashlib
import hmac
import http.server
import json
import pathlib
import sys
import time
import urllib.error
import urllib.request


def receive(folder):
    folder = pathlib.Path(folder)

    class Receiver(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        count = 0

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            Receiver.count += 1
            headers = {name.lower(): value for name, value in self.headers.items()}
            (folder / f"{self.count}.headers").write_text(json.dumps(headers, indent=2))
            # The body appears last and at once, so whoever sees it finds both complete.
            (folder / "partial").write_bytes(body)
            (folder / "partial").rename(folder / f"{self.count}.body")
            answer = b'{"received":true}'
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
    (folder / "port").write_text(str(server.server_address[1]))
    server.serve_forever()


def verify(secret, body, headers):
    body = pathlib.Path(body).read_bytes()
    headers = json.loads(pathlib.Path(headers).read_text())
    key = secret.encode()

    expected = "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(headers.get("x-flowise-signature", ""), expected):
        sys.exit("x-flowise-signature does not hold")

    # Standard Webhooks: id, time and body, joined by full stops; a secret without whsec_ counts as its own bytes.
    if secret.startswith("whsec_"):
        key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    if not any(hmac.compare_digest(one, expected) for one in headers.get("webhook-signature", "").split(" ")):
        sys.exit("webhook-signature does not hold")
    if abs(time.time() - int(headers["webhook-timestamp"])) > 300:
        sys.exit("webhook-timestamp is too far from now")


def call(driver, path, body):
    request = urllib.request.Request(
        f"{driver}{path}", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["value"]


def open_window(driver, program, *arguments):
    options = {"binary": program, "args": list(arguments)}
    wanted = {"capabilities": {"alwaysMatch": {"webkitgtk:browserOptions": options}}}
    for attempt in range(100):
        try:
            print(call(driver, "/session", wanted)["sessionId"])
            return
        except urllib.error.HTTPError as error:
            sys.exit(error.read().decode())
        except OSError:
            if attempt == 99:
                raise
            time.sleep(0.1)


def run(driver, session, script):
    return call(driver, f"/session/{session}/execute/sync", {"script": script, "args": []})


def drawn(driver, session):
    script = """
        const done = arguments[0];
        const next = () => new Promise((frame) => requestAnimationFrame(frame));
        document.fonts.ready.then(next).then(next).then(() => setTimeout(done, 400));
    """
    call(driver, f"/session/{session}/execute/async", {"script": script, "args": []})


def wait(driver, session, text):
    seen = ""
    for _ in range(150):
        try:
            seen = run(driver, session, "return document.body ? document.body.innerText : ''")
        except urllib.error.HTTPError:
            seen = ""
        if text.lower() in " ".join(seen.split()).lower():
            return
        time.sleep(0.1)
    sys.exit(f"the page does not show {text!r}; it shows:\n{seen}")


def get(file, *keys):
    value = json.loads(pathlib.Path(file).read_text())
    for key in keys:
        value = value[int(key)] if isinstance(value, list) else value[key]
    print(value if isinstance(value, str) else json.dumps(value))


def find(file, entries, key, value):
    for entry in json.loads(pathlib.Path(file).read_text())[entries]:
        if entry[key] == value:
            print(entry["id"])
            return
    sys.exit(f"none of the {entries} has the {key} {value!r}")


match sys.argv[1:]:
    case ["receive", folder]:
        receive(folder)
    case ["verify", secret, body, headers]:
        verify(secret, body, headers)
    case ["open", driver, program, *arguments]:
        open_window(driver, program, *arguments)
    case ["wait", driver, session, text]:
        wait(driver, session, text)
    case ["run", driver, session, script]:
        print(json.dumps(run(driver, session, script)))
    case ["drawn", driver, session]:
        drawn(driver, session)
    case ["get", file, *keys]:
        get(file, *keys)
    case ["find", file, entries, key, value]:
        find(file, entries, key, value)
    case ["flow", name, file]:
        print(json.dumps({"name": name, "flowData": pathlib.Path(file).read_text()}))
    case _:
        sys.exit(__doc__)
