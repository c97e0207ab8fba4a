// An ordinary MCP application on the official TypeScript client, with no OAuth code: lists the tools and calls each of them.
// Run by itself (`driver.mjs URL`) it shows what the suite says of the client alone.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const version = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION ?? '2025-11-25';

export async function drive(url) {
    const client = new Client({ name: 'conformance-driver', version: '1.0.0' }, {
        versionNegotiation: { mode: version >= '2026-07-28' ? { pin: version } : 'legacy' },
        capabilities: { elicitation: { form: { applyDefaults: true } } },
    });
    // An empty answer: the SDK fills in the schema's defaults.
    client.setRequestHandler('elicitation/create', () => ({ action: 'accept', content: {} }));
    await client.connect(new StreamableHTTPClientTransport(new URL(url)));
    const { tools } = await client.listTools();
    const calls = context.toolCalls ?? tools.map(({ name, inputSchema }) => ({ name, arguments: sample(inputSchema, tools) }));
    for (const call of calls) {
        const result = await client.callTool(call);
        if (result.isError) throw new Error(result.content.map((part) => part.text).join('\n'));
    }
    // Leaving at once would hide what a client does after its last answer, such as re-opening a stream.
    await new Promise((resolve) => setTimeout(resolve, 100));
    await client.close();
}

/**
 * Arguments that satisfy a tool's schema as far as the suite's tools need: a value of the right type for what is required.
 * A tool that wants a `schema` echoed gets the first tool's, as this client received it.
 */
function sample(schema, tools) {
    const values = { number: 1, integer: 1, string: 'text', boolean: true, array: [], object: {} };
    const value = (key) => (key === 'schema' ? tools[0].inputSchema : values[schema.properties?.[key]?.type] ?? null);
    return Object.fromEntries((schema.required ?? []).map((key) => [key, value(key)]));
}

if (process.argv[1] === import.meta.filename) {
    await drive(process.argv.at(-1));
    process.exit(0);
}
