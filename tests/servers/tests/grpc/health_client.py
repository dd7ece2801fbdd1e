"""Asks grpc.health.v1.Health as its .proto says, and tells what it hears: a line for each answer.

Takes the address, `check` or `watch`, and the name of the service.
"""

import signal
import sys

import grpc

# What hangs has failed.
signal.alarm(60)

# HealthCheckResponse.ServingStatus
STATUSES = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"]


def request(service):
    """HealthCheckRequest: field 1, a string."""
    name = service.encode()
    return bytes([0x0A, len(name)]) + name if name else b""


def response(message):
    """HealthCheckResponse: field 1, an enumeration, which is left out if it is 0."""
    if not message:
        return STATUSES[0]
    field, number = message
    assert field == 0x08, message
    return STATUSES[number]


_, address, method, service = sys.argv
with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
    serializers = {"request_serializer": request, "response_deserializer": response}
    try:
        if method == "check":
            path = "/grpc.health.v1.Health/Check"
            print(channel.unary_unary(path, **serializers)(service), flush=True)
        else:
            path = "/grpc.health.v1.Health/Watch"
            for status in channel.unary_stream(path, **serializers)(service):
                print(status, flush=True)
            print("over", flush=True)
    except grpc.RpcError as error:
        print(error.code().name, flush=True)
