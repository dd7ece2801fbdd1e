"""The route of the end-to-end comparison in FastAPI, bare or with a middleware as monitoring guides have it.

Run by `cargo xtask bench --group end-to-end`, as `app.py bare` or `app.py metrics`; tells its address first.
"""

import socket
import sys
import time

import uvicorn
from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest

app = FastAPI()


@app.get("/api/v1/scans0/{scan_id}")
async def show(scan_id: str) -> Response:
    return Response("ok")


if sys.argv[1] == "metrics":
    requests = Counter("api_requests_total", "Requests.", ["method", "endpoint", "status"])
    seconds = Histogram("api_request_duration_seconds", "Time of requests.", ["endpoint"])

    @app.middleware("http")
    async def measure(request: Request, call_next):
        start = time.time()
        response = await call_next(request)
        elapsed = time.time() - start
        # The path, as the guide has it: with ids in paths there is a series for each.
        endpoint = request.url.path
        requests.labels(method=request.method, endpoint=endpoint, status=response.status_code).inc()
        seconds.labels(endpoint=endpoint).observe(elapsed)
        return response

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


listener = socket.create_server(("127.0.0.1", 0))
print("%s:%d" % listener.getsockname(), flush=True)
server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
server.run(sockets=[listener])
