"""The program in Ray Serve. Limits are Serve's defaults, all else is Ray's."""

import time

from ray import serve
from starlette.requests import Request


@serve.deployment(max_ongoing_requests=100)
class Adder:
    async def add(self, input: int) -> int:
        return input + 1


@serve.deployment(max_ongoing_requests=100)
class Ingress:
    def __init__(self, adder):
        self.adder = adder

    async def __call__(self, request: Request):
        body = await request.json()
        if request.url.path == "/calls":
            return await self.calls(body["count"])
        return await self.adder.add.remote(body["input"])

    async def calls(self, count: int) -> float:
        began = time.perf_counter()
        for input in range(count):
            await self.adder.add.remote(input)
        return (time.perf_counter() - began) * 1e6 / count


app = Ingress.bind(Adder.bind())
