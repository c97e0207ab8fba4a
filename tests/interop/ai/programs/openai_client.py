"""PyPI openai as its documentation shows it; nothing here knows of the bridge but the two URLs of the plan."""
import openai

import common


def client(plan):
    return openai.OpenAI(base_url=plan["base_url"], api_key=plan["key"])


def request(plan, approval="never"):
    tool = {
        "type": "mcp", "server_label": "demo", "server_url": plan["server_url"], "allowed_tools": ["echo"],
        "require_approval": approval,
    }
    return {"model": plan["model"], "input": "Use the tool.", "tools": [tool]}


def create(plan):
    return client(plan).responses.create(**request(plan)).to_dict()


def events(plan):
    seen = list(client(plan).responses.create(**request(plan), stream=True))
    return seen[-1].response.to_dict()


def helper(plan):
    with client(plan).responses.stream(**request(plan)) as stream:
        for _ in stream:
            pass
        return stream.get_final_response().to_dict()


def runner(plan, approval="never"):
    from openai.lib.responses_tool_runner import ResponsesToolRunner

    asked = []

    def approve(item):
        asked.append(item.name)
        return True

    params = {**request(plan, approval), "store": False, "include": ["reasoning.encrypted_content"]}
    response = ResponsesToolRunner().run(client(plan), params, approve_mcp=approve)
    return {**response.to_dict(), "asked": asked}


def post(plan):
    """For versions that had no Responses yet."""
    return client(plan).post("/responses", body=request(plan), cast_to=object)


def chat_request(plan, approval):
    given = request(plan, approval)
    return {
        "model": given["model"], "tools": given["tools"],
        "messages": [{"role": "user", "content": given["input"]}],
    }


def chat(plan, approval="never"):
    return client(plan).chat.completions.create(**chat_request(plan, approval)).to_dict()


def chat_events(plan, approval="never"):
    text, finish = "", None
    for chunk in client(plan).chat.completions.create(**chat_request(plan, approval), stream=True):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
    message = {"role": "assistant", "content": text}
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}]}


common.run({
    "create": create, "events": events, "helper": helper, "runner": runner,
    "runner_asks": lambda plan: runner(plan, "always"), "post": post, "chat": chat, "chat_events": chat_events,
    "chat_held": lambda plan: chat(plan, "always"), "chat_events_held": lambda plan: chat_events(plan, "always"),
})
