// The servers and clients nobody here wrote, started the way their own documentation says.
import { join, resolve } from 'node:path';
import { freePort, run, startServer } from './process.mjs';

const tests = resolve(import.meta.dirname, '../..');
export const node = join(tests, '.cache/bin/node');
const python = join(tests, '.cache/venv/bin/python');
const packages = join(tests, 'node_modules/@modelcontextprotocol');

/** npm @modelcontextprotocol/sdk, example simpleStreamableHttp.js --oauth: server and authorization server on two ports. */
export async function typescriptOAuthExample() {
    const [port, authPort] = [await freePort(), await freePort()];
    const server = await startServer('the TypeScript SDK example', node,
        [join(packages, 'sdk/dist/esm/examples/server/simpleStreamableHttp.js'), '--oauth', '--oauth-strict'],
        { env: { MCP_PORT: String(port), MCP_AUTH_PORT: String(authPort) }, ports: [port, authPort] });
    return { ...server, url: `http://localhost:${port}/mcp` };
}

/** PyPI fastmcp with its own OAuth provider; `lifetime` is that of access tokens, in seconds. */
export async function fastmcpOAuth(lifetime) {
    const port = await freePort();
    const server = await startServer('the fastmcp server', python,
        [join(tests, 'interop/servers/fastmcp_oauth.py'), String(port), String(lifetime)],
        { env: { FASTMCP_CHECK_FOR_UPDATES: 'off' }, ports: [port] });
    const stats = async () => (await fetch(`http://localhost:${port}/stats`)).json();
    return { ...server, url: `http://localhost:${port}/mcp`, stats };
}

/** npm @modelcontextprotocol/server-everything: sessions, the initialize era. */
export async function everything() {
    const port = await freePort();
    const server = await startServer('server-everything', node,
        [join(packages, 'server-everything/dist/index.js'), 'streamableHttp'], { env: { PORT: String(port) }, ports: [port] });
    return { ...server, url: `http://localhost:${port}/mcp` };
}

/** A server on npm @modelcontextprotocol/server 2.x: protocol 2026-07-28. */
export const modern = () => ownProgram('the 2026-07-28 server', 'modern.mjs');

/** A session server on npm @modelcontextprotocol/sdk 1.x with the suite's streaming tools. */
export const streaming = () => ownProgram('the streaming server', 'streaming.mjs');

async function ownProgram(name, file) {
    const port = await freePort();
    const server = await startServer(name, node, [join(tests, 'interop/servers', file), String(port)], { ports: [port] });
    return { ...server, url: `http://localhost:${port}/mcp` };
}

/** The official client programs by name; each takes a URL and a plan and returns the transcript. */
export const clients = {
    'TypeScript SDK 1.x': (url, plan) => typescript('1', url, plan),
    'TypeScript SDK 2.x, legacy': (url, plan) => typescript('2-legacy', url, plan),
    'TypeScript SDK 2.x, auto': (url, plan) => typescript('2-auto', url, plan),
    'TypeScript SDK 2.x, 2026-07-28': (url, plan) => typescript('2-modern', url, plan),
    'Python SDK, auto': (url, plan) => transcript(python, 'python_client.py', 'auto', url, plan),
    'Python SDK, legacy': (url, plan) => transcript(python, 'python_client.py', 'legacy', url, plan),
};

const typescript = (mode, url, plan) => transcript(node, 'typescript.mjs', mode, url, plan);

async function transcript(command, program, mode, url, plan) {
    const result = await run(command, [join(tests, 'interop/clients', program), mode, url, JSON.stringify(plan)]);
    if (result.code !== 0) throw new Error(`the client ended with ${result.code}\n${result.stderr.slice(-2000)}`);
    return JSON.parse(result.stdout);
}
