// The conformance suite's client under test, in `client` mode: a whole bridge and an ordinary client in front of it.
//
// The suite runs `adapter.mjs SERVER_URL` once per scenario, several at a time. Each run has its own home and port, adds the
// server with one command, lets the scripted browser follow the printed URL, and then drives the official TypeScript client at
// the bridge. What the scenario judges is the daemon's traffic: discovery, registration, authorization, tokens.
import { Bridge } from '../interop/lib/bridge.mjs';
import { drive } from './driver.mjs';

const url = process.argv.at(-1);
const scenario = process.env.MCP_CONFORMANCE_SCENARIO;
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');

const bridge = await Bridge.start();
try {
    await add();
    await drive(bridge.url('conformance')).catch(takeAdvice);
} catch (error) {
    console.error(`${scenario}: ${error.message}\n--- daemon log\n${bridge.logs().slice(-4000)}`);
    process.exitCode = 1;
} finally {
    await bridge.stop();
}
process.exit();

async function add() {
    // Scenarios outside auth/ have open servers and judge what passes through the bridge.
    const args = scenario.startsWith('auth/') ? ['--no-browser', ...registration()] : ['--no-auth'];
    const result = await bridge.withBrowser(['add', 'conformance', url, '--policy', 'allow', ...args],
        { input: context.client_secret ? `${context.client_secret}\n` : 'open' });
    if (result.code !== 0)
        throw new Error(`add ended with ${result.code}\n${result.stdout}${result.stderr}page: ${JSON.stringify(result.page)}`);
}

function registration() {
    // The document's URL is used by the daemon only where the authorization server accepts such documents.
    if (!context.client_id) return ['--client-metadata-url', 'https://conformance-test.local/client-metadata.json'];
    return ['--client-id', context.client_id, ...(context.client_secret ? ['--client-secret-stdin'] : [])];
}

/** What a person does when the client shows "run `mcpbridgectl login …`": runs that once and tries again. */
async function takeAdvice(error) {
    const advice = /`mcpbridgectl (login [^`]+)`/.exec(error.message);
    if (!advice) throw error;
    const result = await bridge.withBrowser([...advice[1].split(' '), '--no-browser']);
    if (result.code !== 0) throw new Error(`${advice[0]} ended with ${result.code}\n${result.stdout}${result.stderr}`);
    await drive(bridge.url('conformance'));
}
