"""PyPI openai-agents: a task that needs two tools, one of which has to be approved."""
import asyncio

import agents
import openai

import common


def agent(plan):
    def approve(request):
        asked.append(request.data.name)
        return {"approve": True}

    asked = []
    tool = agents.HostedMCPTool(
        tool_config={
            "type": "mcp", "server_label": "demo", "server_url": plan["server_url"],
            "allowed_tools": ["echo", "hello_world"],
            "require_approval": {
                "never": {"tool_names": ["echo"]}, "always": {"tool_names": ["hello_world"]},
            },
        },
        on_approval_request=approve,
    )
    client = openai.AsyncOpenAI(base_url=plan["base_url"], api_key=plan["key"])
    model = agents.OpenAIResponsesModel(model=plan["model"], openai_client=client)
    return agents.Agent(name="Assistant", model=model, tools=[tool]), asked


def told(result, asked):
    items = [item.raw_item for item in result.new_items]
    outputs = [item.output for item in items if getattr(item, "type", None) == "mcp_call"]
    return {"final": result.final_output, "asked": asked, "outputs": outputs}


def task(plan):
    assistant, asked = agent(plan)
    result = asyncio.run(agents.Runner.run(assistant, "Use both tools."))
    return told(result, asked)


def streamed(plan):
    async def run():
        result = agents.Runner.run_streamed(assistant, "Use both tools.")
        async for _ in result.stream_events():
            pass
        return result

    assistant, asked = agent(plan)
    return told(asyncio.run(run()), asked)


agents.set_tracing_disabled(True)
common.run({"task": task, "streamed": streamed})
