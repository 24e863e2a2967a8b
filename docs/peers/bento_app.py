"""The program in BentoML, with its defaults."""

import time

import bentoml


@bentoml.service
class Adder:
    @bentoml.api
    async def add(self, input: int) -> int:
        return input + 1


@bentoml.service
class Ingress:
    adder = bentoml.depends(Adder)

    @bentoml.api
    async def calculate(self, input: int) -> int:
        return await self.adder.to_async.add(input)

    @bentoml.api
    async def calls(self, count: int) -> float:
        began = time.perf_counter()
        for input in range(count):
            await self.adder.to_async.add(input)
        return (time.perf_counter() - began) * 1e6 / count
