"""A server that W&B 0.31 takes for its own."""

import gzip
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FakeServer:
    """Stands in for W&B's server on this machine.

    Attributes:
        url: where it listens.
        runs: the variables of each request that makes or changes a run.
        files: the files sent, by address.
    """

    def __init__(self, answers: bool = True) -> None:
        """With `answers=False` it starts runs and then keeps everyone waiting."""
        self.runs: list[dict] = []
        self.files: dict[str, bytes] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, answers))
        self._server.handle_error = lambda *values: None
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(fake: FakeServer, answers: bool) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *values):
            pass

        def do_GET(self):
            self.reply({})

        def do_PUT(self):
            self.do_POST()

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path == "/graphql":
                self.reply({"data": self.data(json.loads(body))})
            elif answers:
                fake.files[self.path] = body
                self.reply({"limits": {}})
            else:
                time.sleep(100)

        def data(self, request):
            given = request.get("variables") or {}
            if "upsertBucket" in request["query"]:
                fake.runs.append(given)
                project = {"id": "p", "name": "p", "entity": {"id": "e", "name": "e"}}
                bucket = {"id": given["name"], "name": given["name"], "config": "{}", "project": project}
                return {"upsertBucket": {"bucket": bucket | {"historyLineCount": 0}, "inserted": True}}
            if "createRunFiles" in request["query"]:
                at = f"{fake.url}/{given['run']}"
                places = [{"name": name, "uploadUrl": f"{at}/{name}"} for name in given["files"]]
                return {"createRunFiles": {"runID": "x", "uploadHeaders": [], "files": places}}
            if "createArtifact" in request["query"]:
                sequence = {"id": "s", "latestArtifact": None}
                artifact = {"id": "a", "state": "COMMITTED", "artifactSequence": sequence}
                return {"createArtifact": {"artifact": artifact}}
            if "viewer" in request["query"]:
                return {"viewer": {"id": "v", "entity": "e", "username": "u", "flags": "{}", "teams": {"edges": []}}}
            return {"project": None}

        def reply(self, value):
            data = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler
