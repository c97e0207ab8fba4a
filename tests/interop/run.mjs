// The bridge between clients and servers nobody here wrote. Usage: run.mjs (from tests/run, after tests/setup)
import { Bridge } from './lib/bridge.mjs';
import { assert, check, finish } from './lib/checks.mjs';
import { until } from './lib/process.mjs';
import { clients, everything, fastmcpOAuth, modern, typescriptOAuthExample } from './lib/third_party.mjs';
import { difference, normalise } from './lib/transcript.mjs';
import { recordSession } from './lib/wire.mjs';
import * as plans from './plans.mjs';

const bridge = await Bridge.start();

await protectedServer({
    name: 'the TypeScript SDK OAuth example', alias: 'ts', server: await typescriptOAuthExample(),
    plan: plans.typescriptExample,
    expect: (transcript) => {
        assert.equal(call(transcript, 'greet').result.content[0].text, 'Hello, bridge!');
        assert.match(call(transcript, 'collect-user-info').result.content[0].text, /"theme": "dark"/);
        assert.equal(transcript.notifications.length, 3, 'log messages on the GET stream');
    },
});

// Six seconds of life, so that tokens are renewed (and refresh tokens rotated) while the clients work.
const python = await fastmcpOAuth(6);
await protectedServer({
    name: 'the fastmcp OAuth server', alias: 'py', server: python, plan: plans.fastmcp,
    expect: (transcript) => {
        assert.equal(call(transcript, 'greet').result.content[0].text, 'Hello, bridge!');
        assert.deepEqual(call(transcript, 'count').progress.map((p) => p.progress), [1, 2, 3]);
        assert.equal(transcript.notifications.length, 3, 'log messages on the stream of the call');
    },
});
await check('the fastmcp login is renewed by rotating refresh tokens, with one consent', async () => {
    await until('three refreshes', async () => (await python.stats()).refresh_tokens >= 3, 30);
    const transcript = await clients['Python SDK, auto'](bridge.url('py'), plans.fastmcp);
    assert.equal(call(transcript, 'greet').result.content[0].text, 'Hello, bridge!');
    assert.equal((await python.stats()).codes, 1);
});
await check('logout revokes the fastmcp token; the next call names the command that logs in', async () => {
    await bridge.must('logout', 'py');
    assert.ok((await python.stats()).revocations >= 1, 'a revocation reached the server');
    const answer = await post(bridge.url('py'), { jsonrpc: '2.0', id: 7, method: 'tools/list' });
    assert.equal(answer.status, 200);
    assert.match(answer.body, /mcpbridgectl login py/);
    assert.equal(answer.headers.get('www-authenticate'), null);
});
await python.stop();

const everythingServer = await everything();
await sameThroughBridge({
    name: 'server-everything', alias: 'everything', server: everythingServer, plan: plans.everything, version: '2025-11-25',
    with: ['TypeScript SDK 1.x', 'TypeScript SDK 2.x, auto', 'Python SDK, auto'],
});
await check('a session with server-everything has the same bytes directly and through the bridge', async () => {
    const direct = await recordSession(everythingServer.url);
    assert.ok(direct.some((answer) => answer.body.includes('notifications/progress')));
    assert.deepEqual(await recordSession(bridge.url('everything')), direct);
});
const modernServer = await modern();
await sameThroughBridge({
    name: 'a 2026-07-28 server', alias: 'modern', server: modernServer, plan: plans.modernListening, version: '2026-07-28',
    with: ['TypeScript SDK 2.x, 2026-07-28', 'TypeScript SDK 2.x, auto', 'Python SDK, auto'],
});
await sameThroughBridge({
    name: 'a 2026-07-28 server spoken to in the old era', alias: 'dual', server: modernServer, plan: plans.modern,
    version: '2025-11-25', with: ['TypeScript SDK 1.x', 'Python SDK, legacy'],
});

await check('the daemon stops cleanly', () => bridge.stop());
finish();

/** Adds an OAuth server with one command and a scripted browser, then lets every official client use it unauthenticated. */
async function protectedServer({ name, alias, server, plan, expect }) {
    await check(`${name} refuses callers without a token`, async () => {
        const answer = await post(server.url, { jsonrpc: '2.0', id: 1, method: 'tools/list' });
        assert.equal(answer.status, 401);
    });
    await check(`${name} is added with one command and one visit to the printed URL`, async () => {
        const added = await bridge.addWithBrowser(alias, server.url);
        assert.equal(added.code, 0, `${added.stdout}${added.stderr}\npage: ${JSON.stringify(added.page)}`);
        assert.equal(added.page?.status, 200, JSON.stringify(added.page));
        assert.equal(added.stdout.split('\n').filter((line) => line.startsWith('http')).length, 1, added.stdout);
        assert.equal((await bridge.show(alias)).state, 'active');
    });
    for (const client of ['TypeScript SDK 1.x', 'TypeScript SDK 2.x, auto', 'Python SDK, auto', 'Python SDK, legacy'])
        await check(`${client} uses ${name} through the bridge`, async () => expect(await clients[client](bridge.url(alias), plan)));
}

/** The same client program sees the same things directly and through the bridge. */
async function sameThroughBridge({ name, alias, server, plan, version, with: names }) {
    await check(`${name} is added without authorization`, async () => {
        await bridge.must('add', alias, server.url, '--no-auth', '--policy', 'allow');
    });
    for (const client of names)
        await check(`${client} sees ${name} alike directly and through the bridge`, async () => {
            const direct = normalise(await clients[client](server.url, plan));
            const bridged = normalise(await clients[client](bridge.url(alias), plan));
            assert.equal(direct.version, version);
            assert.equal(difference(direct, bridged), undefined);
        });
}

function call(transcript, tool) {
    return transcript.steps.find((entry) => entry.step.call === tool);
}

async function post(url, message) {
    const response = await fetch(url, {
        method: 'POST', body: JSON.stringify(message),
        headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    });
    return { status: response.status, headers: response.headers, body: await response.text() };
}
