// npm @openai/agents: a task that needs two tools, one of which has to be approved.
import { plan, run, sdk } from './common.mjs';

const { Agent, OpenAIResponsesModel, hostedMcpTool, run: start, setTracingDisabled } = await sdk('@openai/agents');
const OpenAI = (await sdk('openai')).default;
setTracingDisabled(true);

const client = new OpenAI({ baseURL: plan.base_url, apiKey: plan.key });
const agent = new Agent({
    name: 'Assistant',
    model: new OpenAIResponsesModel(client, plan.model),
    tools: [hostedMcpTool({
        serverLabel: 'demo', serverUrl: plan.server_url, allowedTools: ['echo', 'hello_world'],
        requireApproval: { never: { toolNames: ['echo'] }, always: { toolNames: ['hello_world'] } },
    })],
});

/** Approves each interruption, as a person at the console would. */
async function task(options) {
    const asked = [];
    let result = await start(agent, 'Use both tools.', options);
    await result.completed;
    while (result.interruptions?.length > 0) {
        for (const item of result.interruptions) {
            asked.push(item.rawItem.providerData?.name ?? item.rawItem.name);
            result.state.approve(item);
        }
        result = await start(agent, result.state, options);
        await result.completed;
    }
    const outputs = result.newItems.map((item) => item.rawItem).filter((item) => item.output).map((item) => item.output);
    return { final: result.finalOutput, asked, outputs };
}

await run({ task: () => task({}), streamed: () => task({ stream: true }) });
