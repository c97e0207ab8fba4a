// Calls that wait for a person, made by official SDK clients on servers nobody here wrote: what each SDK really does with
// a question of ours, and what reaches the program that uses it. Usage: approvals.mjs (from tests/run, after tests/setup)
import { Bridge } from './lib/bridge.mjs';
import { assert, check, finish } from './lib/checks.mjs';
import { until } from './lib/process.mjs';
import { clients, everything, modern } from './lib/third_party.mjs';

const bridge = await Bridge.start();
const servers = { everything: await everything(), modern: await modern(), weak: await modern() };
for (const [name, server] of Object.entries(servers)) await bridge.must('add', name, server.url, '--no-auth', '--policy', 'ask');
await bridge.must('add', 'weak-everything', servers.everything.url, '--no-auth', '--policy', 'ask');
// Short, so that a call which is not decided ends soon; where the client's own answer counts is said per server.
await bridge.configure((config) => {
    config.approvals = { ...config.approvals, hold_seconds: 2 };
    for (const name of ['weak', 'weak-everything']) config.servers[name].policy = { ...config.servers[name].policy, accept_weak_approval: true };
});

// No two calls are the same: the repetition of a call that was denied a moment ago is answered without a question.
let calls = 0;
const echo = () => ({ call: 'echo', args: { message: `held ${++calls}` }, says: `Echo: held ${calls}` });
const add = () => ({ call: 'add', args: { a: ++calls, b: 3 }, says: String(calls + 3) });
const tools = { everything: echo, 'weak-everything': echo, modern: add, weak: add };

// Who knows which era and which way of asking; `weak` are the servers where a form counts.
const carriers = [
    { client: 'TypeScript SDK 2.x, 2026-07-28', server: 'modern', weak: 'weak', asks: ['url', 'form'], carrier: 'input_required' },
    { client: 'Python SDK, auto', server: 'modern', weak: 'weak', asks: ['url', 'form'], carrier: 'input_required' },
    { client: 'TypeScript SDK 1.x', server: 'everything', weak: 'weak-everything', asks: ['url', 'form'], carrier: 'elicitation/create' },
    { client: 'Python SDK, legacy', server: 'everything', weak: 'weak-everything', asks: ['url', 'form'], carrier: 'elicitation/create' },
    { client: 'TypeScript SDK 2.x, legacy', server: 'everything', weak: 'weak-everything', asks: ['url', 'form'], carrier: 'elicitation/create' },
];

for (const { client, server, weak, carrier } of carriers) {
    await check(`${client} is sent to the page by ${carrier}, and gets its result when the call is approved`, async () => {
        const tool = tools[server]();
        const calling = start(client, server, tool, { asks: ['url'] });
        const item = await pending(server);
        assert.deepEqual(item.arguments, tool.args);
        await bridge.must('approve', item.id);
        const { asked, result } = await calling;
        assert.equal(result.content[0].text, tool.says);
        assert.notEqual(result.isError, true);
        assert.equal(asked[0].mode, 'url');
        assert.equal(asked[0].url, `http://localhost:${bridge.port}/approvals/${item.id}`);
        assert.equal((await ended(item)).state, 'done');
    });
    await check(`${client} is sent to the page by ${carrier}, and gets the reason of a denial`, async () => {
        const calling = start(client, server, tools[server](), { asks: ['url'] });
        const item = await pending(server);
        await bridge.must('deny', item.id, '--reason', 'ask Ada first');
        denied(await calling, 'ask Ada first');
        assert.equal((await ended(item)).state, 'denied');
    });
    await check(`${client} approves in its own form by ${carrier}, where that counts`, async () => {
        const tool = tools[weak]();
        const { asked, result } = await start(client, weak, tool, { asks: ['form'], elicitation: { decision: 'approve' } });
        assert.equal(result.content[0].text, tool.says);
        assert.match(asked[0].message, new RegExp(tool.call));
        const item = await newest(weak);
        assert.equal(item.state, 'done');
        assert.match(item.decision.by, /the asking client/);
    });
    await check(`${client} denies in its own form by ${carrier}, where that counts`, async () => {
        const elicitation = { decision: 'deny', reason: 'not on a Saturday' };
        denied(await start(client, weak, tools[weak](), { asks: ['form'], elicitation }), 'not on a Saturday');
        assert.equal((await newest(weak)).state, 'denied');
    });
    await check(`${client} is not asked by a form where that does not count`, async () => {
        const tool = tools[server]();
        const calling = start(client, server, tool, { asks: ['form'], elicitation: { decision: 'approve' } });
        const item = await pending(server);
        await bridge.must('approve', item.id);
        const { asked, result } = await calling;
        assert.equal(result.content[0].text, tool.says);
        assert.deepEqual(asked, []);
    });
}

// Without elicitation: held, and then told to call again.
for (const [client, server] of [['TypeScript SDK 1.x', 'everything'], ['TypeScript SDK 2.x, 2026-07-28', 'modern'],
                                ['Python SDK, legacy', 'everything'], ['Python SDK, auto', 'modern']]) {
    await check(`${client} without elicitation is held until the call is approved`, async () => {
        const tool = tools[server]();
        const calling = start(client, server, tool, { asks: [] });
        await bridge.must('approve', (await pending(server)).id);
        assert.equal((await calling).result.content[0].text, tool.says);
    });
    await check(`${client} without elicitation is told to call again, and the same call passes after the approval`, async () => {
        const tool = tools[server]();
        const { result } = await start(client, server, tool, { asks: [] });
        assert.equal(result.isError, true);
        assert.match(result.content[0].text, /[Cc]all .*again/);
        const item = await pending(server);
        assert.match(result.content[0].text, new RegExp(item.id));
        await bridge.must('approve', item.id);
        const again = await start(client, server, tool, { asks: [] });
        assert.equal(again.result.content[0].text, tool.says);
        assert.equal((await ended(item)).state, 'done');
    });
    await check(`${client} without elicitation gets the reason of a denial`, async () => {
        const calling = start(client, server, tools[server](), { asks: [] });
        await bridge.must('deny', (await pending(server)).id, '--reason', 'too early');
        denied(await calling, 'too early');
    });
}

for (const client of ['TypeScript SDK 2.x, 2026-07-28', 'Python SDK, auto'])
    await check(`${client} answers first our question and then the server's own`, async () => {
        const plan = { asks: ['url', 'form'], elicitation: { name: 'Ada' }, steps: [{ call: 'ask' }] };
        const calling = clients[client](bridge.url('modern'), plan);
        const item = await pending('modern');
        await bridge.must('approve', item.id);
        const transcript = await calling;
        assert.equal(transcript.steps[0].result?.content[0].text, 'hello Ada', JSON.stringify(transcript.steps));
        assert.deepEqual(transcript.asked.map((one) => one.mode), ['url', 'form']);
        assert.equal((await ended(item)).state, 'done');
    });

await check('nothing waits any more', async () => assert.deepEqual(await approvals(), []));
await check('the daemon stops cleanly', () => bridge.stop());
finish();

/** A tool of `server`, called by `client`: what it was asked, and the result. */
async function start(client, server, { call, args }, plan) {
    const transcript = await clients[client](bridge.url(server), { ...plan, steps: [{ call, args }] });
    const [step] = transcript.steps;
    assert.equal(step.error, undefined, JSON.stringify(step.error));
    return { asked: transcript.asked, result: step.result };
}

function denied({ result }, reason) {
    assert.equal(result.isError, true);
    assert.ok(result.content[0].text.includes(reason), result.content[0].text);
}

async function approvals(...options) {
    return JSON.parse(await bridge.must('--json', 'approvals', 'list', ...options));
}

function pending(server) {
    return until(`a call of ${server} to wait`, async () =>
        (await approvals()).find((item) => item.server === server && item.state === 'pending'));
}

async function newest(server) {
    return (await approvals('--all')).find((item) => item.server === server);
}

/** What became of `item`: the record of its end may come after the answer. */
function ended({ id }) {
    return until(`the end of ${id}`, async () => {
        const item = (await approvals('--all')).find((one) => one.id === id);
        return ['pending', 'approved', 'executing'].includes(item.state) ? undefined : item;
    });
}
