"""Talks to a server as users of OpenAI do, with OpenAI's own client.

python openai_client.py http://127.0.0.1:8000/v1

Prints what happened as one JSON object.
"""

import asyncio
import json
import sys

import openai

BASE = sys.argv[1]
MODEL, BRIEF = "smollm2-135m-instruct", "smollm2-135m-brief"
ASK = [{"role": "user", "content": "Tell me a story about a café in Zürich 🎉."}]

client = openai.OpenAI(base_url=BASE, api_key="unused", max_retries=0)
happened = {}


def failure(call):
    """How a call fails: the client's exception, and what the server said."""
    try:
        call()
    except openai.APIStatusError as error:
        return {
            "exception": type(error).__name__,
            "status": error.status_code,
            "code": error.code,
            "param": error.param,
            "message": error.message,
        }
    except openai.OpenAIError as error:
        return {"exception": type(error).__name__}
    return None


def create(**further):
    return client.chat.completions.create(**{"model": MODEL, "messages": ASK, **further})


def whole():
    answer = create(max_tokens=6, seed=7)
    again = create(max_tokens=6, seed=7)
    return {
        "text": answer.choices[0].message.content,
        "again": again.choices[0].message.content,
        "role": answer.choices[0].message.role,
        "finish": answer.choices[0].finish_reason,
        "prompt_tokens": answer.usage.prompt_tokens,
        "completion_tokens": answer.usage.completion_tokens,
        "total_tokens": answer.usage.total_tokens,
    }


def conversation():
    """The client's own message object goes back as it came."""
    first = create(max_tokens=4).choices[0].message
    parts = [{"type": "text", "text": "And "}, {"type": "text", "text": "then?"}]
    messages = [
        {"role": "developer", "content": "Be brief."},
        *ASK,
        first,
        {"role": "user", "content": parts},
    ]
    return create(model=BRIEF, messages=messages, max_tokens=3).model


def stream():
    chunks = list(
        create(max_tokens=6, seed=7, stream=True, stream_options={"include_usage": True})
    )
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    return {
        "role": deltas[0].role,
        "text": "".join(delta.content or "" for delta in deltas),
        "finish": [c.choices[0].finish_reason for c in chunks if c.choices][-1],
        "ids": len({chunk.id for chunk in chunks}),
        "completion_tokens": chunks[-1].usage.completion_tokens,
    }


def broken_off():
    """Stops in the middle of an answer that would go on for minutes; the next one is served."""
    with create(stream=True, temperature=2) as pieces:
        read = [chunk for chunk, _ in zip(pieces, range(4))]
    return {"read": len(read), "next": create(max_tokens=1).usage.completion_tokens}


def given_up():
    """The client's own time is over; the server stops, too."""
    hasty = client.with_options(timeout=0.5)
    gone = failure(
        lambda: hasty.chat.completions.create(model=MODEL, messages=ASK, temperature=2)
    )
    return {"gone": gone, "next": create(max_tokens=1).usage.completion_tokens}


def deadline():
    headers = {"X-Request-Timeout-Seconds": "0.7"}
    return failure(lambda: create(temperature=2, extra_headers=headers))


def deadline_of_a_stream():
    headers = {"X-Request-Timeout-Seconds": "1.5"}
    try:
        for _ in create(temperature=2, stream=True, extra_headers=headers):
            pass
    except openai.APIError as error:
        return {"exception": type(error).__name__, "code": error.code}
    return None


async def several():
    async with openai.AsyncOpenAI(base_url=BASE, api_key="unused") as client:

        async def one(n):
            pieces = await client.chat.completions.create(
                model=[MODEL, BRIEF][n % 2], messages=ASK, max_tokens=2, stream=True
            )
            return len([chunk async for chunk in pieces])

        return await asyncio.gather(*(one(n) for n in range(5)))


happened["models"] = [model.id for model in client.models.list()]
happened["model"] = client.models.retrieve(BRIEF).id
happened["no_model"] = failure(lambda: client.models.retrieve("gpt-4o"))
happened["whole"] = whole()
happened["conversation"] = conversation()
happened["stream"] = stream()
happened["wrong_model"] = failure(lambda: create(model="gpt-4o"))
happened["wrong_type"] = failure(lambda: create(temperature="hot"))
happened["wrong_value"] = failure(lambda: create(temperature=3, stream=True))
happened["two"] = failure(lambda: create(n=2))
happened["tools"] = failure(
    lambda: create(tools=[{"type": "function", "function": {"name": "f"}}])
)
happened["unknown"] = failure(lambda: create(extra_body={"temprature": 1}))
happened["too_long"] = failure(
    lambda: create(messages=[{"role": "user", "content": "word " * 5000}])
)
happened["broken_off"] = broken_off()
happened["given_up"] = given_up()
happened["deadline"] = deadline()
happened["deadline_of_a_stream"] = deadline_of_a_stream()
happened["several"] = asyncio.run(several())
print(json.dumps(happened, ensure_ascii=False, indent=2))
