// What the client programs do, one plan per server: {call, args, progress} calls a tool, {do, params} any other client method.
// A tool that the server does not list is not among them: the bridge asks about it before the server can say that it has none.
// `notifications` is how many to wait for before leaving, `elicitation` the answer given to the server's questions.

const lists = [{ do: 'listTools' }, { do: 'listResources' }, { do: 'listPrompts' }];

/** The TypeScript SDK's OAuth example. Its log messages travel on the GET stream. */
export const typescriptExample = {
    notifications: 3,
    elicitation: { theme: 'dark' },
    steps: [
        ...lists,
        { call: 'greet', args: { name: 'bridge' } },
        { call: 'start-notification-stream', args: { interval: 20, count: 3 } },
        { call: 'collect-user-info', args: { infoType: 'preferences' } },
        { do: 'getPrompt', params: { name: 'greeting-template', arguments: { name: 'Ada' } } },
        { do: 'readResource', params: { uri: 'https://example.com/greetings/default' } },
    ],
};

/** The fastmcp server: progress and log messages on the call's own stream. */
export const fastmcp = {
    notifications: 3,
    steps: [{ do: 'listTools' }, { call: 'greet', args: { name: 'bridge' } }, { call: 'count', args: { to: 3 }, progress: true }],
};

/** The reference server of the initialize era. */
export const everything = {
    elicitation: { name: 'Ada', check: true, firstLine: 'It was.', integer: 7 },
    steps: [
        ...lists,
        { do: 'listResourceTemplates' },
        { call: 'echo', args: { message: 'héllo ☃ \u2028' } },
        { call: 'get-sum', args: { a: 2, b: 3 } },
        { call: 'get-sum', args: { a: 'x' } },
        { call: 'get-tiny-image' },
        { call: 'get-annotated-message', args: { messageType: 'error', includeImage: true } },
        { call: 'get-structured-content', args: { location: 'Chicago' } },
        { call: 'get-resource-links', args: { count: 3 } },
        { call: 'get-resource-reference', args: { resourceType: 'Text', resourceId: 1 } },
        { call: 'trigger-long-running-operation', args: { duration: 0.3, steps: 3 }, progress: true },
        { call: 'trigger-sampling-request', args: { prompt: 'hi', maxTokens: 10 } },
        { call: 'trigger-elicitation-request' },
        { call: 'get-roots-list' },
        { do: 'readResource', params: { uri: 'demo://resource/dynamic/text/1' } },
        { do: 'readResource', params: { uri: 'demo://resource/nothing' } },
        { do: 'getPrompt', params: { name: 'simple-prompt' } },
        { do: 'getPrompt', params: { name: 'args-prompt', arguments: { city: 'Oslo' } } },
    ],
};

/** The 2026-07-28 server in ./servers/modern.mjs. */
export const modern = {
    elicitation: { name: 'Ada' },
    steps: [
        ...lists,
        { call: 'add', args: { a: 2, b: 3 } },
        { call: 'add', args: { a: 'x' } },
        { call: 'unicode', args: { text: '\u0000 ☃ 😀' } },
        { call: 'big', args: { size: 1_000_000 } },
        { call: 'count', args: { to: 4 }, progress: true },
        { call: 'ask' },
        { call: 'test_error_handling' },
        { do: 'readResource', params: { uri: 'test://static-text' } },
        { do: 'readResource', params: { uri: 'test://missing' } },
        { do: 'getPrompt', params: { name: 'test_simple_prompt' } },
    ],
};

/** The same with a subscription stream, which only that era has. */
export const modernListening = {
    ...modern,
    steps: [...modern.steps, { listen: { filter: { toolsListChanged: true }, trigger: 'touch' } }],
};
