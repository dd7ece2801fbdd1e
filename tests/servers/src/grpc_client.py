"""Makes the gRPC calls that standard input asks for, and tells how each ended: an object of JSON a line."""

import json
import signal
import sys
import threading

import grpc

# What hangs has failed.
signal.alarm(60)


def call(channel, order):
    sizes = []
    ended = threading.Event()

    def requests():
        for text in order["requests"]:
            yield text.encode("latin-1")
        # A client that is to give up does not close its side before.
        if order["gives_up"]:
            ended.wait()

    sends, receives = order["kind"].split("_")
    request = requests() if sends == "stream" else next(requests())
    # Without serializers, messages are bytes.
    method = getattr(channel, order["kind"])(order["path"])
    try:
        if receives == "unary":
            response, done = method.with_call(request, timeout=order["timeout"])
            sizes.append(len(response))
        else:
            done = method(request, timeout=order["timeout"])
            for response in done:
                sizes.append(len(response))
                if len(sizes) == order["cancel_after"]:
                    done.cancel()
        code = done.code()
    except grpc.RpcError as error:
        code = error.code()
    ended.set()
    return {"code": code.value[0], "sizes": sizes}


with grpc.insecure_channel(sys.argv[1], options=[("grpc.enable_http_proxy", 0)]) as channel:
    for line in sys.stdin:
        print(json.dumps(call(channel, json.loads(line))), flush=True)
