"""PyPI anthropic as its documentation shows it; nothing here knows of the bridge but the two URLs of the plan."""
import json

import anthropic

import common

BETA = "mcp-client-2025-11-20"


def client(plan):
    return anthropic.Anthropic(base_url=plan["base_url"], api_key=plan["key"])


def servers(plan):
    return {
        "mcp_servers": [{"type": "url", "name": "demo", "url": plan["server_url"]}],
        "tools": [{
            "type": "mcp_toolset", "mcp_server_name": "demo", "default_config": {"enabled": False},
            "configs": {"echo": {"enabled": True}},
        }],
    }


def base(plan):
    return {
        "model": plan["model"], "max_tokens": 1000,
        "messages": [{"role": "user", "content": "Use the tool."}],
    }


def request(plan):
    return {**base(plan), **servers(plan), "betas": [BETA]}


def plain_request(plan):
    """For what is not of the beta namespace."""
    return {**base(plan), "extra_headers": {"anthropic-beta": BETA}, "extra_body": servers(plan)}


def create(plan):
    return client(plan).beta.messages.create(**request(plan)).to_dict()


def events(plan):
    blocks, written, end = [], "", {}
    for event in client(plan).beta.messages.create(**request(plan), stream=True):
        if event.type == "content_block_start":
            blocks.append(event.content_block.to_dict())
            written = ""
        elif event.type == "content_block_delta" and event.delta.type == "text_delta":
            blocks[-1]["text"] += event.delta.text
        elif event.type == "content_block_delta" and event.delta.type == "input_json_delta":
            written += event.delta.partial_json
        elif event.type == "content_block_stop" and written:
            blocks[-1]["input"] = json.loads(written)
        elif event.type == "message_delta":
            end = {**event.delta.to_dict(), "usage": event.usage.to_dict()}
    return {"content": blocks, **end}


def helper(plan):
    with client(plan).beta.messages.stream(**request(plan)) as stream:
        return stream.get_final_message().to_dict()


def plain_create(plan):
    return client(plan).messages.create(**plain_request(plan)).to_dict()


def plain_helper(plan):
    with client(plan).messages.stream(**plain_request(plan)) as stream:
        return stream.get_final_message().to_dict()


def runner(plan):
    """A tool of the program beside those of the server."""
    @anthropic.beta_tool
    def add(a: int, b: int) -> str:
        """Adds two numbers."""
        added.append([a, b])
        return str(a + b)

    added = []
    given = request(plan)
    given["tools"] = [add, *given["tools"]]
    message = client(plan).beta.messages.tool_runner(**given).until_done()
    return {**message.to_dict(), "added": added}


common.run({
    "create": create, "events": events, "helper": helper, "plain_create": plain_create,
    "plain_helper": plain_helper, "plain_helper_2024": plain_helper, "runner": runner,
})
