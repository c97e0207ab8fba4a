// What happens in each mode of the programs: the turns of a hosted vendor, the turns of a plain model behind the
// bridge, and what the program must end up with, which is the same in both cases.
import { block, item, message, response } from './hosted.mjs';

const ARGUMENTS = '{"text":"hi","n":1.5}';
const RESULT = ARGUMENTS;

const call = (name, args) => ({ parts: [{ call: { name: `*${name}`, arguments: args } }] });
const say = (text) => ({ parts: [{ text }] });

const openaiTool = { type: 'mcp', server_label: 'demo', require_approval: 'never', allowed_tools: ['echo'] };
const usage = { input_tokens: 22, output_tokens: 14 };

/** In the final object: listing, call, message. */
const ran = {
    status: 'completed',
    output: [
        { type: 'mcp_list_tools', label: 'demo', tools: ['echo'] },
        { type: 'mcp_call', label: 'demo', name: 'echo', arguments: ARGUMENTS, output: RESULT, approved: false },
        { type: 'message', text: 'Done.' },
    ],
    usage,
};

const answer = () => response([item.listing('echo'), item.call('echo', ARGUMENTS, RESULT), item.message('Done.')], openaiTool, 2);
const model = [call('echo', ARGUMENTS), say('Done.')];
const plain = (form) => ({ hosted: () => [answer()[form]], model, expected: ran });

function asking() {
    const request = item.approval('echo', ARGUMENTS);
    const first = response([item.listing('echo'), request], openaiTool, 1);
    const second = response([item.call('echo', ARGUMENTS, RESULT, request.id), item.message('Done.')], openaiTool, 1);
    return [first.whole, second.whole];
}

export const responses = {
    create: plain('whole'),
    post: plain('whole'),
    events: plain('streamed'),
    helper: plain('streamed'),
    runner: plain('whole'),
    runner_asks: {
        hosted: asking, model,
        expected: {
            status: 'completed',
            output: [{ ...ran.output[1], approved: true }, ran.output[2]],
            usage: { input_tokens: 11, output_tokens: 7 },
            asked: ['echo'],
        },
    },
    // No vendor executes tools for Chat Completions, so there is nothing recorded.
    chat: { model, expected: { text: 'Done.', finish: 'stop' } },
    chat_events: { model, expected: { text: 'Done.', finish: 'stop' } },
    // Nor is there a word for an approval: a person gives it at the bridge.
    chat_held: { model, held: true, expected: { text: 'Done.', finish: 'stop' } },
    chat_events_held: { model, held: true, expected: { text: 'Done.', finish: 'stop' } },
};

function twoTools(form) {
    const request = item.approval('hello_world', '{"name":"Ann"}');
    const first = response([item.listing('echo', 'hello_world'), item.call('echo', ARGUMENTS, RESULT), request], openaiTool, 2);
    const greeted = item.call('hello_world', '{"name":"Ann"}', 'Hello, Ann!', request.id);
    return [first[form], response([greeted, item.message('Done.')], openaiTool, 1)[form]];
}

const task = {
    model: [call('echo', ARGUMENTS), call('hello_world', '{"name":"Ann"}'), say('Done.')],
    expected: { final: 'Done.', asked: ['hello_world'], outputs: [RESULT, 'Hello, Ann!'] },
};

export const agents = {
    task: { ...task, hosted: () => twoTools('whole') },
    streamed: { ...task, hosted: () => twoTools('streamed') },
};

const used = {
    content: [
        { type: 'mcp_tool_use', server: 'demo', name: 'echo', input: { text: 'hi', n: 1.5 } },
        { type: 'mcp_tool_result', is_error: false, text: RESULT },
        { type: 'text', text: 'Done.' },
    ],
    stop_reason: 'end_turn',
    usage,
};

const blocks = () => [...block.call('echo', JSON.parse(ARGUMENTS), RESULT), block.text('Done.')];
const messageTurn = (form) => ({ hosted: () => [message(blocks(), 'end_turn')[form]], model, expected: used });

/** The hosted feature sends inputs in deltas alone, which helpers that know of no MCP do not read; the bridge has them in both. */
const withoutInput = (told) => ({ ...told, content: [{ ...told.content[0], input: {} }, ...told.content.slice(1)] });
const early = (told) => ({ ...told, usage: { input_tokens: 11, output_tokens: 14 } });

export const messages = {
    create: messageTurn('whole'),
    events: messageTurn('streamed'),
    helper: messageTurn('streamed'),
    plain_create: messageTurn('whole'),
    plain_helper: { ...messageTurn('streamed'), expectedOfHosted: withoutInput(used) },
    // The helpers of 2024 leave the input tokens as they were at the start, when only the first round was counted.
    plain_helper_2024: {
        ...messageTurn('streamed'), expected: early(used), expectedOfHosted: early(withoutInput(used)),
    },
    runner: {
        hosted: () => [
            message([...block.call('echo', JSON.parse(ARGUMENTS), RESULT), block.use('add', { a: 1, b: 2 })], 'tool_use').whole,
            message([block.text('Done.')], 'end_turn').whole,
        ],
        model: [call('echo', ARGUMENTS), call('add', '{"a":1,"b":2}'), say('Done.')],
        expected: { content: [used.content[2]], stop_reason: 'end_turn', added: [[1, 2]] },
    },
};

/** What is compared of a final object: all that does not differ from run to run. */
export function canonical(result) {
    if (result.choices) {
        const [choice] = result.choices;
        return { text: choice.message.content, finish: choice.finish_reason };
    }
    if (result.final !== undefined) return result;
    const told = result.output
        ? { status: result.status, output: result.output.map(openaiItem) }
        : { content: result.content.map(anthropicBlock), stop_reason: result.stop_reason };
    // After a round of the program's own the last message tells only of itself.
    if (!result.added) told.usage = { input_tokens: result.usage.input_tokens, output_tokens: result.usage.output_tokens };
    for (const extra of ['asked', 'added']) if (result[extra]?.length) told[extra] = result[extra];
    return told;
}

function openaiItem(one) {
    switch (one.type) {
        case 'mcp_list_tools':
            return { type: one.type, label: one.server_label, tools: one.tools.map((tool) => tool.name) };
        case 'mcp_call':
            return {
                type: one.type, label: one.server_label, name: one.name, arguments: one.arguments, output: one.output,
                approved: Boolean(one.approval_request_id),
            };
        case 'message':
            return { type: one.type, text: one.content.map((part) => part.text).join('') };
        default:
            return one;
    }
}

function anthropicBlock(one) {
    switch (one.type) {
        case 'mcp_tool_use':
            return { type: one.type, server: one.server_name, name: one.name, input: one.input };
        case 'mcp_tool_result':
            return { type: one.type, is_error: one.is_error, text: one.content.map((part) => part.text).join('') };
        case 'text':
            return { type: one.type, text: one.text };
        default:
            return one;
    }
}
