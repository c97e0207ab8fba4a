"""An ordinary client program on the official Python SDK: no OAuth code, only a URL.

Usage: python_client.py MODE URL PLAN      MODE: auto | legacy     PLAN: see ../plans.mjs
Prints one JSON transcript of everything the application saw.
"""

import asyncio
import json
import re
import sys

from mcp import Client
from mcp.client import session
from mcp.types import (CreateMessageResult, ElicitationCapability, ElicitResult, FormElicitationCapability,
                       ListRootsResult, Root, TextContent)


async def main(mode: str, url: str, plan: dict) -> dict:
    notifications, asked = [], []

    async def on_log(params):
        notifications.append({"method": "notifications/message", "params": dump(params)})

    async def elicit(_context, params):
        asked.append(dump(params))
        content = None if params.mode == "url" else plan.get("elicitation", {})
        return ElicitResult(action="accept", content=content)

    async def sample(_context, _params):
        return CreateMessageResult(role="assistant", model="none", content=TextContent(type="text", text="sampled"))

    async def roots(_context):
        return ListRootsResult(roots=[Root(uri="file:///interop", name="interop")])

    # A client with an elicitation callback declares both ways of asking, forms and URLs; older ones knew forms only.
    asks = plan.get("asks", ["form"])
    if plan.get("asks") == ["form"]:
        session.types.ElicitationCapability = lambda **_: ElicitationCapability(form=FormElicitationCapability())
    async with Client(url, mode=mode, logging_callback=on_log, log_level="debug",
                      elicitation_callback=elicit if asks else None,
                      sampling_callback=sample, list_roots_callback=roots) as client:
        transcript = {
            "version": client.protocol_version,
            "server": dump(client.server_info),
            "capabilities": dump(client.server_capabilities),
            "instructions": client.instructions,
            "steps": [await perform(client, step) for step in plan["steps"]],
        }
        for _ in range(500):
            if len(notifications) >= plan.get("notifications", 0):
                break
            await asyncio.sleep(0.02)
        return transcript | {"notifications": notifications} | ({"asked": asked} if "asks" in plan else {})


async def perform(client: Client, step: dict) -> dict:
    entry, progress = {"step": step}, []

    async def on_progress(value, total, message):
        progress.append({"progress": value, "total": total} | ({"message": message} if message else {}))

    try:
        if "call" in step:
            callback = on_progress if step.get("progress") else None
            result = await client.call_tool(step["call"], step.get("args", {}), progress_callback=callback)
        elif "listen" in step:
            async with client.listen(tools_list_changed=True) as subscription:
                await client.call_tool(step["listen"]["trigger"], {})
                async with asyncio.timeout(10):
                    entry["result"] = {"event": type(await anext(aiter(subscription))).__name__}
            return entry
        else:
            method = re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), step["do"])
            result = await getattr(client, method)(**step.get("params", {}))
        entry["result"] = dump(result)
    except Exception as error:  # the transcript records whatever the application would have seen
        entry["error"] = {"message": str(error)}
    return entry | ({"progress": progress} if step.get("progress") else {})


def dump(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True) if model is not None else None


print(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))))
