// Answers as the vendors' own hosted MCP feature gives them, event by event: what every SDK was made for. Put together after
// the vendors' documentation and what others recorded of them.

let serial = 0;
const id = (prefix) => `${prefix}${(serial += 1).toString().padStart(24, '0')}`;
const schema = (properties) => ({ type: 'object', properties });

export const tools = {
    echo: { name: 'echo', description: 'Returns its arguments', input_schema: schema({}) },
    hello_world: { name: 'hello_world', description: 'Greets somebody', input_schema: schema({ name: { type: 'string' } }) },
};

export const item = {
    listing: (...names) => ({
        id: id('mcpl_'), type: 'mcp_list_tools', server_label: 'demo', error: null,
        tools: names.map((name) => ({ ...tools[name], annotations: null })),
    }),
    call: (name, args, output, approval = null) => ({
        id: id('mcp_'), type: 'mcp_call', server_label: 'demo', name, arguments: args, output, error: null,
        approval_request_id: approval, status: 'completed',
    }),
    approval: (name, args) => ({ id: id('mcpr_'), type: 'mcp_approval_request', server_label: 'demo', name, arguments: args }),
    message: (text) => ({
        id: id('msg_'), type: 'message', role: 'assistant', status: 'completed', phase: null,
        content: [{ type: 'output_text', text, annotations: [], logprobs: [] }],
    }),
};

/** A response of these items as both forms of a turn: streamed and whole. The model was asked `rounds` times for it. */
export function response(items, tool, rounds) {
    const whole = {
        id: id('resp_'), object: 'response', created_at: 1795000000, model: 'gpt-5.4', status: 'completed', output: items,
        error: null, incomplete_details: null, instructions: null, metadata: {}, parallel_tool_calls: true, temperature: 1,
        tool_choice: 'auto', top_p: 1, tools: [{ ...tool, server_url: 'https://mcp.example.com/<redacted>', headers: null }],
        usage: {
            input_tokens: 11 * rounds, input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
            output_tokens: 7 * rounds, output_tokens_details: { reasoning_tokens: 0 }, total_tokens: 18 * rounds,
        },
    };
    const opening = { ...whole, status: 'in_progress', output: [], usage: null };
    const events = [['created', { response: opening }], ['in_progress', { response: opening }]];
    items.forEach((one, output_index) => {
        const place = { item_id: one.id, output_index };
        events.push(['output_item.added', { output_index, item: begun[one.type]?.(one) ?? one }]);
        events.push(...(between[one.type]?.(one, place) ?? []));
        events.push(['output_item.done', { output_index, item: one }]);
    });
    events.push(['completed', { response: whole }]);
    const numbered = events.map(([type, members], sequence_number) => ({ type: `response.${type}`, sequence_number, ...members }));
    return { streamed: { raw: { events: numbered } }, whole: { raw: { json: whole } } };
}

const begun = {
    mcp_list_tools: (one) => ({ ...one, tools: [] }),
    mcp_call: (one) => ({ ...one, arguments: '', output: null, status: 'in_progress' }),
    message: (one) => ({ ...one, content: [], status: 'in_progress' }),
};

const between = {
    mcp_list_tools: (_, place) => [['mcp_list_tools.in_progress', place], ['mcp_list_tools.completed', place]],
    mcp_call: (one, place) => [
        ['mcp_call.in_progress', place],
        ['mcp_call_arguments.delta', { ...place, delta: one.arguments, obfuscation: 'x' }],
        ['mcp_call_arguments.done', { ...place, arguments: one.arguments }],
        ['mcp_call.completed', place],
    ],
    message(one, place) {
        const at = { ...place, content_index: 0 };
        const [part] = one.content;
        return [
            ['content_part.added', { ...at, part: { ...part, text: '' } }],
            ['output_text.delta', { ...at, delta: part.text, logprobs: [], obfuscation: 'x' }],
            ['output_text.done', { ...at, text: part.text, logprobs: [] }],
            ['content_part.done', { ...at, part }],
        ];
    },
};

export const block = {
    call(name, input, output) {
        const use = id('mcptoolu_');
        return [
            { type: 'mcp_tool_use', id: use, name, server_name: 'demo', input },
            { type: 'mcp_tool_result', tool_use_id: use, is_error: false, content: [{ type: 'text', text: output }] },
        ];
    },
    use: (name, input) => ({ type: 'tool_use', id: id('toolu_'), name, input }),
    text: (text) => ({ type: 'text', text }),
};

/** A message of these blocks as both forms of a turn: streamed and whole. */
export function message(blocks, stop_reason) {
    const usage = { input_tokens: 22, output_tokens: 14, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 };
    const whole = {
        id: id('msg_'), type: 'message', role: 'assistant', model: 'claude-sonnet-5-5', content: blocks, stop_reason,
        stop_sequence: null, usage,
    };
    const events = [{ type: 'message_start', message: {
        ...whole, content: [], stop_reason: null, usage: { input_tokens: 11, output_tokens: 1 },
    } }];
    blocks.forEach((one, index) => {
        const start = one.input ? { ...one, input: {} } : one.type === 'text' ? { ...one, text: '' } : one;
        events.push({ type: 'content_block_start', index, content_block: start });
        const delta = one.type === 'text' ? { type: 'text_delta', text: one.text }
            : one.input && { type: 'input_json_delta', partial_json: JSON.stringify(one.input) };
        if (delta) events.push({ type: 'content_block_delta', index, delta });
        events.push({ type: 'content_block_stop', index });
    });
    events.push({ type: 'message_delta', delta: { stop_reason, stop_sequence: null }, usage });
    events.push({ type: 'message_stop' });
    return { streamed: { raw: { events } }, whole: { raw: { json: whole } } };
}
