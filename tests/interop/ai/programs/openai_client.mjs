// npm openai as its documentation shows it; nothing here knows of the bridge but the two URLs of the plan.
import { plan, run, sdk } from './common.mjs';

const OpenAI = (await sdk('openai')).default;
const client = new OpenAI({ baseURL: plan.base_url, apiKey: plan.key });

const request = (approval = 'never') => ({
    model: plan.model,
    input: 'Use the tool.',
    tools: [{
        type: 'mcp', server_label: 'demo', server_url: plan.server_url, allowed_tools: ['echo'],
        require_approval: approval,
    }],
});

async function runner(approval) {
    const { ResponsesToolRunner } = await sdk('openai/helpers/responses-tool-runner');
    const asked = [];
    const params = { ...request(approval), store: false, include: ['reasoning.encrypted_content'] };
    const approveMcp = (item) => { asked.push(item.name); return true; };
    const response = await new ResponsesToolRunner({}).run(client, params, { approveMcp });
    return { ...response, asked };
}

function chat(approval) {
    const { input, ...rest } = request(approval);
    return { ...rest, messages: [{ role: 'user', content: input }] };
}

async function chatEvents(approval) {
    const message = { role: 'assistant', content: '' };
    let finish;
    for await (const chunk of await client.chat.completions.create({ ...chat(approval), stream: true }))
        for (const choice of chunk.choices) {
            message.content += choice.delta.content ?? '';
            finish = choice.finish_reason ?? finish;
        }
    return { choices: [{ index: 0, message, finish_reason: finish }] };
}

await run({
    create: () => client.responses.create(request()),
    async events() {
        let last;
        for await (const event of await client.responses.create({ ...request(), stream: true })) last = event;
        return last.response;
    },
    async helper() {
        const stream = client.responses.stream(request());
        for await (const _ of stream);
        return stream.finalResponse();
    },
    runner: () => runner('never'),
    runner_asks: () => runner('always'),
    post: () => client.post('/responses', { body: request() }),
    chat: () => client.chat.completions.create(chat()),
    chat_events: () => chatEvents(),
    chat_held: () => client.chat.completions.create(chat('always')),
    chat_events_held: () => chatEvents('always'),
});
