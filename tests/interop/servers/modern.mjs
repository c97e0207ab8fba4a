// A server on the 2026-07-28 TypeScript SDK; its handler also answers the initialize era without sessions.
// Usage: modern.mjs PORT. Some tool names are those the conformance suite calls.
import { createServer } from 'node:http';
import { McpServer, createMcpHandler, inputRequired, acceptedContent } from '@modelcontextprotocol/server';
import { toNodeHandler } from '@modelcontextprotocol/node';
import * as z from 'zod/v4';

const pixel = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const text = (value) => ({ content: [{ type: 'text', text: value }] });

function build() {
    const server = new McpServer({ name: 'modern-interop', version: '1.0.0' },
        { capabilities: { logging: {}, tools: { listChanged: true } }, instructions: 'Interop server.' });
    server.registerTool('add', { description: 'Adds', inputSchema: z.object({ a: z.number(), b: z.number() }),
        annotations: { readOnlyHint: true } }, async ({ a, b }) => text(String(a + b)));
    server.registerTool('count', { description: 'Counts with progress', inputSchema: z.object({ to: z.number() }) },
        async ({ to }, ctx) => {
            const progressToken = ctx.mcpReq._meta?.progressToken;
            for (let progress = 1; progress <= to; progress++) {
                await new Promise((resolve) => setTimeout(resolve, 30));
                if (progressToken !== undefined)
                    await ctx.mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total: to } });
            }
            return text(`counted to ${to}`);
        });
    server.registerTool('big', { description: 'Returns size bytes', inputSchema: z.object({ size: z.number() }) },
        async ({ size }) => text('x'.repeat(size)));
    server.registerTool('unicode', { description: 'Échos ünïcode ☃', inputSchema: z.object({ text: z.string() }) },
        async (args) => text(`☃ ${args.text} \u2028`));
    server.registerTool('ask', { description: 'Asks the user by a multi-round-trip request', inputSchema: z.object({}) },
        async (_args, ctx) => {
            const answer = acceptedContent(ctx.mcpReq.inputResponses, 'who');
            if (answer) return text(`hello ${answer.name}`);
            return inputRequired({ inputRequests: { who: inputRequired.elicit({ message: 'Who?',
                requestedSchema: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] } }) } });
        });
    server.registerTool('touch', { description: 'Announces a change of the tool list' }, async () => {
        handler.notify.toolsChanged();
        return text('touched');
    });
    server.registerTool('test_simple_text', { description: 'Text' },
        async () => text('This is a simple text response for testing.'));
    server.registerTool('test_image_content', { description: 'Image' },
        async () => ({ content: [{ type: 'image', data: pixel, mimeType: 'image/png' }] }));
    server.registerTool('test_error_handling', { description: 'Fails' },
        async () => { throw new Error('This tool intentionally returns an error for testing'); });
    server.registerResource('static-text', 'test://static-text', { mimeType: 'text/plain' },
        async () => ({ contents: [{ uri: 'test://static-text', mimeType: 'text/plain',
            text: 'This is the content of the static text resource.' }] }));
    server.registerPrompt('test_simple_prompt', { description: 'Prompt' }, async () => ({ messages: [
        { role: 'user', content: { type: 'text', text: 'This is a simple prompt for testing.' } }] }));
    return server;
}

const handler = createMcpHandler(build);
const listener = toNodeHandler(handler);
createServer((request, response) => listener(request, response)).listen(Number(process.argv[2]), '127.0.0.1');
