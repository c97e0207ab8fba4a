// npm @anthropic-ai/sdk as its documentation shows it; nothing here knows of the bridge but the two URLs of the plan.
import { plan, run, sdk } from './common.mjs';

const Anthropic = (await sdk('@anthropic-ai/sdk')).default;
const client = new Anthropic({ baseURL: plan.base_url, apiKey: plan.key });
const BETA = 'mcp-client-2025-11-20';

const plain = {
    model: plan.model,
    max_tokens: 1000,
    messages: [{ role: 'user', content: 'Use the tool.' }],
    mcp_servers: [{ type: 'url', name: 'demo', url: plan.server_url }],
    tools: [{
        type: 'mcp_toolset', mcp_server_name: 'demo', default_config: { enabled: false },
        configs: { echo: { enabled: true } },
    }],
};
const beta = { ...plain, betas: [BETA] };
const options = { headers: { 'anthropic-beta': BETA } };

/** A tool of the program beside those of the server. */
async function runner() {
    const added = [];
    const add = {
        type: 'custom', name: 'add', description: 'Adds two numbers.',
        input_schema: { type: 'object', properties: { a: { type: 'integer' }, b: { type: 'integer' } }, required: ['a', 'b'] },
        parse: (input) => input,
        run: ({ a, b }) => { added.push([a, b]); return String(a + b); },
    };
    const message = await client.beta.messages.toolRunner({ ...beta, tools: [add, ...beta.tools] });
    return { ...message, added };
}

const plainHelper = () => client.messages.stream(plain, options).finalMessage();

await run({
    create: () => client.beta.messages.create(beta),
    async events() {
        const content = [];
        let written, end;
        for await (const event of await client.beta.messages.create({ ...beta, stream: true })) {
            if (event.type === 'content_block_start') {
                content.push({ ...event.content_block });
                written = '';
            }
            if (event.delta?.type === 'text_delta') content.at(-1).text += event.delta.text;
            if (event.delta?.type === 'input_json_delta') written += event.delta.partial_json;
            if (event.type === 'content_block_stop' && written) content.at(-1).input = JSON.parse(written);
            if (event.type === 'message_delta') end = { ...event.delta, usage: event.usage };
        }
        return { content, ...end };
    },
    helper: () => client.beta.messages.stream(beta).finalMessage(),
    plain_create: () => client.messages.create(plain, options),
    plain_helper: plainHelper,
    plain_helper_2024: plainHelper,
    runner,
});
