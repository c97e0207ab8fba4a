// The suite's server scenarios, run against a server directly and through the bridge: every check must end alike.
// The servers fail many checks for want of the suite's fixtures; what counts here is that the bridge changes nothing.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Bridge } from '../interop/lib/bridge.mjs';
import { assert, check, finish } from '../interop/lib/checks.mjs';
import { run } from '../interop/lib/process.mjs';
import { everything, modern, node, streaming } from '../interop/lib/third_party.mjs';

const suite = resolve(import.meta.dirname, '../node_modules/@modelcontextprotocol/conformance/dist/index.js');

// The bridge guards its own listener, whatever the server behind it does.
const ours = new Set(['dns-rebinding-protection']);

const bridge = await Bridge.start();
await alike('server-everything', 'everything', await everything(), '2025-11-25');
await alike('a server that streams', 'streaming', await streaming(), '2025-11-25');
const server = await modern();
await alike('a 2026-07-28 server', 'modern', server, '2026-07-28');
await alike('a 2026-07-28 server, in the old era', 'dual', server, '2025-11-25');
await bridge.stop();
finish();

async function alike(name, alias, server, version) {
    await check(`the suite (${version}) says the same of ${name} directly and through the bridge`, async () => {
        await bridge.must('add', alias, server.url, '--no-auth', '--policy', 'allow');
        const direct = await verdicts(server.url, version);
        const bridged = await verdicts(bridge.url(alias), version);
        assert.ok(direct.length > 40, `only ${direct.length} checks ran`);
        assert.deepEqual(bridged.filter((line) => !ours.has(line.scenario)), direct.filter((line) => !ours.has(line.scenario)));
        for (const line of bridged.filter((line) => ours.has(line.scenario))) assert.equal(line.status, 'SUCCESS', line.id);
    });
}

/** Every check of every scenario as { scenario, id, status }, sorted. */
async function verdicts(url, version) {
    const directory = mkdtempSync(join(tmpdir(), 'conformance-'));
    await run(node, [suite, 'server', '--url', url, '--suite', 'all', '--spec-version', version, '-o', directory], { seconds: 180 });
    const lines = readdirSync(directory).flatMap((entry) => {
        const scenario = entry.replace(/^server-/, '').replace(/-\d{4}-\d\d-\d\dT.*$/, '');
        return JSON.parse(readFileSync(join(directory, entry, 'checks.json'), 'utf8')).map(({ id, status }) => ({ scenario, id, status }));
    });
    rmSync(directory, { recursive: true });
    return lines.sort((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)));
}
