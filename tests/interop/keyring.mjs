// The key ladder with real stores. Usage: through ./keyring, which provides the session bus and an unlocked gnome-keyring.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Bridge } from './lib/bridge.mjs';
import { assert, check, finish } from './lib/checks.mjs';
import { run } from './lib/process.mjs';
import { clients, fastmcpOAuth } from './lib/third_party.mjs';
import * as plans from './plans.mjs';

const session = { DBUS_SESSION_BUS_ADDRESS: process.env.DBUS_SESSION_BUS_ADDRESS };
const server = await fastmcpOAuth(3600);

await check('gnome-keyring keeps the key, unasked, and no key file is written', async () => {
    const bridge = await Bridge.start({ init: [], env: session });
    await namesBackend(bridge, 'keyring');
    const found = await run('secret-tool', ['search', '--all', 'service', 'mcp-oauth-bridge']);
    assert.match(found.stdout + found.stderr, /mcp-oauth-bridge/, 'the entry in the keyring');
    await survivesRestart(bridge);
    await check('without its keyring the daemon stops with the remedy and leaves the vault alone', async () => {
        await bridge.must('stop');
        await refusesToStart(bridge, {}, /keyring/);
    });
});

await check('a passphrase from a file works without any keyring', async () => {
    const env = { MCPBRIDGE_PASSPHRASE_FILE: secretFile('right', 'correct horse battery staple') };
    const bridge = await Bridge.start({ init: ['--key-store', 'passphrase'], env });
    await namesBackend(bridge, 'passphrase');
    await survivesRestart(bridge);
    await check('a wrong passphrase stops the daemon with the remedy and leaves the vault alone', async () => {
        await bridge.must('stop');
        await refusesToStart(bridge, { MCPBRIDGE_PASSPHRASE_FILE: secretFile('wrong', 'incorrect') }, /passphrase/);
    });
});

await check('a key file works without any keyring, when it is chosen', async () => {
    const bridge = await Bridge.start();
    await namesBackend(bridge, 'key-file');
    await survivesRestart(bridge);
    await bridge.stop();
});

await check('without any key store, init says which to choose', async () => {
    const bridge = await Bridge.start();
    await bridge.stop();
    const result = await bridge.ctl(['init']);
    assert.equal(result.code, 9, result.stderr);
    assert.match(result.stderr, /--key-store key-file/);
});

await server.stop();
finish();

async function namesBackend(bridge, name) {
    assert.equal(JSON.parse(await bridge.must('--json', 'status')).key_store, name);
    assert.match(await bridge.must('status'), new RegExp(name));
    assert.equal(existsSync(join(bridge.configDir, 'vault.key')), name === 'key-file', 'a key file');
}

/** One consent, then a restart: the stored token still works. */
async function survivesRestart(bridge) {
    const before = (await server.stats()).codes;
    const added = await bridge.addWithBrowser('py', server.url);
    assert.equal(added.code, 0, added.stderr);
    await bridge.must('stop');
    await bridge.startDaemon();
    assert.equal((await bridge.show('py')).state, 'active');
    const transcript = await clients['Python SDK, auto'](bridge.url('py'), plans.fastmcp);
    assert.equal(transcript.steps[1].result.content[0].text, 'Hello, bridge!');
    assert.equal((await server.stats()).codes, before + 1);
}

async function refusesToStart(bridge, env, about) {
    const vault = () => createHash('sha256').update(readFileSync(join(bridge.configDir, 'tokens.enc'))).digest('hex');
    const before = vault();
    bridge.env = env;
    const result = await bridge.ctl(['start', '--port', String(bridge.port)]);
    assert.notEqual(result.code, 0);
    assert.match(result.stderr, about);
    assert.match(result.stderr, /hint:/);
    assert.equal(vault(), before);
}

function secretFile(name, content) {
    const path = join(process.env.HOME, name);
    writeFileSync(path, `${content}\n`, { mode: 0o600 });
    return path;
}
