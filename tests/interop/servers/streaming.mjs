// A session server of the initialize era on the 1.x TypeScript SDK with the streaming tools that the conformance suite calls:
// log messages, progress, questions to the client, and a stream that the server closes before its answer.
// Usage: streaming.mjs PORT
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { InMemoryEventStore } from '@modelcontextprotocol/sdk/examples/shared/inMemoryEventStore.js';
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { CreateMessageResultSchema, ElicitResultSchema } from '@modelcontextprotocol/sdk/types.js';
import * as z from 'zod/v4';

const text = (value) => ({ content: [{ type: 'text', text: value }] });

function build() {
    const server = new McpServer({ name: 'streaming', version: '1.0.0' }, { capabilities: { logging: {} } });
    server.registerTool('test_simple_text', { description: 'Text' },
        async () => text('This is a simple text response for testing.'));
    server.registerTool('test_tool_with_logging', { description: 'Logs' }, async (extra) => {
        for (const data of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
            await extra.sendNotification({ method: 'notifications/message', params: { level: 'info', data } });
            await delay(50);
        }
        return text('Tool with logging executed successfully');
    });
    server.registerTool('test_tool_with_progress', { description: 'Reports progress' }, async (extra) => {
        const progressToken = extra._meta?.progressToken;
        for (const progress of [0, 50, 100]) {
            await extra.sendNotification({ method: 'notifications/progress', params: { progressToken, progress, total: 100 } });
            await delay(50);
        }
        return text(String(progressToken));
    });
    server.registerTool('test_sampling', { description: 'Asks the model', inputSchema: { prompt: z.string() } },
        async ({ prompt }, extra) => {
            const params = { messages: [{ role: 'user', content: { type: 'text', text: prompt } }], maxTokens: 100 };
            const result = await extra.sendRequest({ method: 'sampling/createMessage', params }, CreateMessageResultSchema);
            return text(`LLM response: ${result.content.text}`);
        });
    server.registerTool('test_elicitation', { description: 'Asks the user', inputSchema: { message: z.string() } },
        async ({ message }, extra) => {
            const requestedSchema = { type: 'object', properties: {
                username: { type: 'string', description: "User's response" },
                email: { type: 'string', description: "User's email address" } }, required: ['username', 'email'] };
            const result = await extra.sendRequest({ method: 'elicitation/create', params: { message, requestedSchema } },
                ElicitResultSchema);
            return text(`User response: ${JSON.stringify(result)}`);
        });
    server.registerTool('test_reconnection', { description: 'Closes its stream before it answers' }, async (extra) => {
        await delay(50);
        extra.closeSSEStream?.();
        await delay(100);
        return text('Reconnection test completed successfully');
    });
    return server;
}

const sessions = new Map();
const app = createMcpExpressApp();
app.all('/mcp', async (request, response) => {
    const id = request.headers['mcp-session-id'];
    if (id && !sessions.has(id)) return void response.status(404).json({ error: 'no such session' });
    const transport = sessions.get(id) ?? new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID, eventStore: new InMemoryEventStore(), retryInterval: 500,
        onsessioninitialized: (session) => void sessions.set(session, transport),
        onsessionclosed: (session) => void sessions.delete(session),
    });
    if (!id) await build().connect(transport);
    await transport.handleRequest(request, response, request.body);
});
app.listen(Number(process.argv[2]), '127.0.0.1');
