// Programs on the vendors' own SDKs, which know nothing of the bridge. Each runs three times: against answers recorded from
// the vendors' hosted MCP feature, against the same passed on by the bridge because the server is a public one, and through
// the bridge with a plain model behind it. All must give the same final objects.
// Usage: run.mjs (from tests/run, after tests/setup)
import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { Bridge } from '../lib/bridge.mjs';
import { assert, check, finish } from '../lib/checks.mjs';
import { run, until } from '../lib/process.mjs';
import { agents, canonical, messages, responses } from './stories.mjs';

const tests = resolve(import.meta.dirname, '../..');
const binaries = process.env.MCPBRIDGE_BIN_DIR ?? resolve(tests, '../target/debug');
const node = join(tests, '.cache/bin/node');

const python = (venv, file) => [join(tests, '.cache', venv, 'bin/python'), join(import.meta.dirname, 'programs', file)];
const script = (file) => [node, join(import.meta.dirname, 'programs', file)];
const current = tests;
const old = join(tests, 'interop/ai/old');

/** SDKs as of today and as of two years ago; those of then knew neither Responses nor MCP. */
const programs = [
    { name: 'PyPI openai', vendor: 'openai', command: python('sdk-current', 'openai_client.py'), stories: responses,
      modes: ['create', 'events', 'helper', 'runner', 'runner_asks', 'chat', 'chat_events', 'chat_held', 'chat_events_held'] },
    { name: 'PyPI openai of 2025', vendor: 'openai', command: python('sdk-2025', 'openai_client.py'), stories: responses,
      modes: ['create', 'events', 'helper', 'chat'] },
    { name: 'PyPI openai of 2024', vendor: 'openai', command: python('sdk-2024', 'openai_client.py'), stories: responses,
      modes: ['post', 'chat', 'chat_events'] },
    { name: 'PyPI anthropic', vendor: 'anthropic', command: python('sdk-current', 'anthropic_client.py'), stories: messages,
      modes: ['create', 'events', 'helper', 'plain_create', 'plain_helper', 'runner'] },
    { name: 'PyPI anthropic of 2025', vendor: 'anthropic', command: python('sdk-2025', 'anthropic_client.py'), stories: messages,
      modes: ['create', 'events', 'helper', 'plain_create', 'plain_helper'] },
    { name: 'PyPI anthropic of 2024', vendor: 'anthropic', command: python('sdk-2024', 'anthropic_client.py'), stories: messages,
      modes: ['plain_create', 'plain_helper_2024'] },
    { name: 'PyPI openai-agents', vendor: 'openai', command: python('sdk-current', 'openai_agents.py'), stories: agents,
      modes: ['task', 'streamed'] },
    { name: 'npm openai', vendor: 'openai', command: script('openai_client.mjs'), packages: current, stories: responses,
      modes: ['create', 'events', 'helper', 'runner', 'runner_asks', 'chat', 'chat_events', 'chat_held', 'chat_events_held'] },
    { name: 'npm openai of 2024', vendor: 'openai', command: script('openai_client.mjs'), packages: old, stories: responses,
      modes: ['post', 'chat', 'chat_events'] },
    { name: 'npm @anthropic-ai/sdk', vendor: 'anthropic', command: script('anthropic_client.mjs'), packages: current,
      stories: messages, modes: ['create', 'events', 'helper', 'plain_create', 'plain_helper', 'runner'] },
    { name: 'npm @anthropic-ai/sdk of 2024', vendor: 'anthropic', command: script('anthropic_client.mjs'), packages: old,
      stories: messages, modes: ['plain_create', 'plain_helper_2024'] },
    { name: 'npm @openai/agents', vendor: 'openai', command: script('openai_agents.mjs'), packages: current, stories: agents,
      modes: ['task', 'streamed'] },
];

const models = { openai: 'gpt-5.4', anthropic: 'claude-sonnet-5-5' };
const fakes = await startFakes();

const bridge = await startBridge();

for (const program of programs) {
    const base = program.vendor === 'openai' ? 'openai/v1' : 'anthropic';
    const base_url = `http://localhost:${bridge.port}/${base}`;
    const recorded = program.modes.filter((mode) => program.stories[mode].hosted);
    const hosted = (story) => story.hosted();
    const server_url = 'https://mcp.example.com/mcp';
    await runProgram(program, 'recorded answers', recorded, hosted, { base_url: fakes[program.vendor].url, server_url });
    await runProgram(program, 'recorded answers passed on', recorded, hosted, { base_url, server_url });
    const model = (story) => story.model;
    await runProgram(program, 'the bridge', program.modes, model, { base_url, server_url: bridge.url('demo') });
}
await bridge.stop();
fakes.child.stdin.end();
finish();

async function startFakes() {
    const child = spawn(join(binaries, 'mcpbridge-fake-ai'), [], { stdio: ['pipe', 'pipe', 'inherit'] });
    child.on('error', (error) => { throw error; });
    const lines = createInterface({ input: child.stdout });
    const line = await new Promise((resolve) => lines.once('line', resolve));
    return { child, ...JSON.parse(line) };
}

async function startBridge() {
    const bridge = await Bridge.start();
    await bridge.must('add', 'demo', fakes.mcp, '--no-auth', '--policy', 'allow');
    await bridge.configure((config) => {
        const vendors = Object.keys(models).map((vendor) => [vendor, { url: fakes[vendor].url, api: vendor }]);
        config.ai = { vendors: Object.fromEntries(vendors) };
    });
    return bridge;
}

/** Plays the person who approves `count` calls that wait at the bridge, one after the other, until the program `isOver`. */
async function approve(count, isOver) {
    for (let left = count; left > 0; left -= 1) {
        const waiting = async () => JSON.parse(await bridge.must('--json', 'approvals', 'list'))
            .find((item) => item.state === 'pending');
        const item = await until('a call to wait', async () => isOver() ? 'none' : waiting(), 60);
        if (item === 'none') return;
        await bridge.must('approve', item.id);
    }
}

/** One process for all modes; one check for each. */
async function runProgram(program, where, modes, turns, urls) {
    const plan = {
        ...urls, control: fakes.control, key: fakes[program.vendor].key, model: models[program.vendor],
        model_vendor: program.vendor, packages: program.packages,
        steps: modes.map((mode) => ({ mode, turns: turns(program.stories[mode]) })),
    };
    const [command, ...args] = program.command;
    const running = run(command, [...args, JSON.stringify(plan)], { env: { PYTHONWARNINGS: 'ignore' } });
    let isOver = false;
    running.finally(() => { isOver = true; });
    await approve(modes.filter((mode) => program.stories[mode].held).length, () => isOver);
    const ended = await running;
    const lines = ended.stdout.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
    for (const mode of modes)
        await check(`${program.name}, ${mode}, with ${where}`, async () => {
            const told = lines.find((line) => line.mode === mode);
            assert.ok(told, `the program ended with ${ended.code}\n${ended.stderr}`);
            assert.equal(told.error, undefined);
            const story = program.stories[mode];
            const expected = where === 'the bridge' ? story.expected : story.expectedOfHosted ?? story.expected;
            assert.deepEqual(canonical(told.result), expected);
        });
}
