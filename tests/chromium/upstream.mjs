// The fake MCP server of the Rust tests, with its authorization server, as a program that takes commands.
import { join, resolve } from 'node:path';
import { freePort, startServer, until } from '../interop/lib/process.mjs';

const binaries = process.env.MCPBRIDGE_BIN_DIR ?? resolve(import.meta.dirname, '../../target/debug');

export async function startUpstream() {
    const [mcp, authorization] = [await freePort(), await freePort()];
    const ports = ['--mcp-port', String(mcp), '--as-port', String(authorization)];
    const server = await startServer('the fake MCP server', join(binaries, 'mcpbridge-demo-server'),
        ['serve', '--interactive', ...ports], { ports: [mcp, authorization] });
    return {
        url: `http://127.0.0.1:${mcp}/mcp`,
        /** Arguments of every call of `tool` so far. */
        calls: (tool) => server.output().split('\n')
            .map((line) => /^tool call: (\S+) (.*)$/.exec(line))
            .filter((call) => call?.[1] === tool)
            .map((call) => JSON.parse(call[2])),
        /** Gives a tool another description. */
        describe: async (tool, text) => {
            server.write(`describe ${tool} ${text}\n`);
            await until('the tool to change', () => server.output().includes(`described ${tool}`));
        },
        stop: server.stop,
    };
}
