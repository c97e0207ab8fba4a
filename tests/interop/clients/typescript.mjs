// An ordinary client program on the official TypeScript SDK (1.x or 2.x): no OAuth code, only a URL.
// Usage: typescript.mjs SDK URL PLAN     SDK: 1 | 2-legacy | 2-auto | 2-modern     PLAN: see ../plans.mjs
// Prints one JSON transcript of everything the application saw.
const [sdk, url, planText] = process.argv.slice(2);
const plan = JSON.parse(planText);
const info = { name: 'interop-client', version: '1.0.0' };
// `asks` are the ways in which it can ask its user.
const { asks = ['form'] } = plan;
const elicitation = Object.fromEntries(asks.map((way) => [way, {}]));
const capabilities = { sampling: {}, ...(asks.length > 0 && { elicitation }), roots: {} };
const asked = [];

const sample = () => ({ role: 'assistant', model: 'none', content: { type: 'text', text: 'sampled' } });
const elicit = ({ params }) => {
    asked.push(params);
    return params.mode === 'url' ? { action: 'accept' } : { action: 'accept', content: plan.elicitation ?? {} };
};
const roots = () => ({ roots: [{ uri: 'file:///interop', name: 'interop' }] });

async function connectV1() {
    const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
    const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
    const types = await import('@modelcontextprotocol/sdk/types.js');
    const client = new Client(info, { capabilities });
    client.setRequestHandler(types.CreateMessageRequestSchema, sample);
    if (asks.length > 0) client.setRequestHandler(types.ElicitRequestSchema, elicit);
    client.setRequestHandler(types.ListRootsRequestSchema, roots);
    const transport = new StreamableHTTPClientTransport(new URL(url));
    return { client, transport, call: (params, options) => client.callTool(params, undefined, options),
             version: () => transport.protocolVersion };
}

async function connectV2(mode) {
    const { Client, StreamableHTTPClientTransport } = await import('@modelcontextprotocol/client');
    const negotiation = mode === 'modern' ? { pin: '2026-07-28' } : mode;
    const client = new Client(info, { capabilities, versionNegotiation: { mode: negotiation } });
    client.setRequestHandler('sampling/createMessage', sample);
    if (asks.length > 0) client.setRequestHandler('elicitation/create', elicit);
    client.setRequestHandler('roots/list', roots);
    return { client, transport: new StreamableHTTPClientTransport(new URL(url)),
             call: (params, options) => client.callTool(params, options),
             version: () => client.getNegotiatedProtocolVersion() };
}

const { client, transport, call, version } = await (sdk === '1' ? connectV1() : connectV2(sdk.slice(2)));
const notifications = [];
client.fallbackNotificationHandler = async (notification) => void notifications.push(notification);
await client.connect(transport);

// Log messages are asked for with each request since 2026-07-28; before, a session has them unasked.
const modern = client.getProtocolEra?.() === 'modern';
const logLevel = modern ? { _meta: { 'io.modelcontextprotocol/logLevel': 'debug' } } : {};
const transcript = { server: client.getServerVersion(), capabilities: client.getServerCapabilities(),
                     instructions: client.getInstructions(), steps: [] };
for (const step of plan.steps) {
    const entry = { step };
    const progress = [];
    try {
        if (step.call) {
            const options = step.progress ? { onprogress: (p) => progress.push(p) } : {};
            entry.result = await call({ name: step.call, arguments: step.args ?? {}, ...logLevel }, options);
        } else if (step.listen) {
            entry.result = await listen(step.listen);
        } else {
            entry.result = await client[step.do](step.params ?? {});
        }
    } catch (error) {
        entry.error = { code: error.code, message: error.message };
    }
    if (step.progress) entry.progress = progress;
    transcript.steps.push(entry);
}

/** Opens a subscription, calls a tool that makes the server announce a change, and waits for the announcement. */
async function listen({ filter, trigger }) {
    const subscription = await client.listen(filter);
    const seen = notifications.length;
    await call({ name: trigger, arguments: {} });
    await until(() => notifications.length > seen);
    await subscription.close();
    return { honoured: subscription.honoredFilter };
}

async function until(done) {
    const deadline = Date.now() + 10_000;
    while (!done() && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
}

await until(() => notifications.length >= (plan.notifications ?? 0));
transcript.version = version();
if (plan.asks) transcript.asked = asked;
transcript.notifications = notifications;
if (transport.terminateSession && transport.sessionId) await transport.terminateSession();
await client.close();
process.stdout.write(JSON.stringify(transcript) + '\n', () => process.exit(0));
