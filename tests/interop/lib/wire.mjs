// A session of the initialize era on plain HTTP, recorded as bytes: what SDK clients hide (ids, priming events, comments,
// resumption, status codes after the end of a session) must survive the bridge as well.

/** Every answer of the session as { name, status, type, session, body }, with random ids made comparable. */
export async function recordSession(url) {
    const answers = [];
    const ids = new Map();
    let session;

    async function send(name, method, { body, headers = {}, until } = {}) {
        const leave = new AbortController();
        const response = await fetch(url, {
            method, signal: leave.signal, body: body && JSON.stringify(body),
            headers: {
                accept: 'application/json, text/event-stream', 'mcp-protocol-version': '2025-11-25',
                ...(body && { 'content-type': 'application/json' }), ...(session && { 'mcp-session-id': session }), ...headers,
            },
        });
        const text = await read(response, until);
        leave.abort();
        answers.push({ name, status: response.status, type: response.headers.get('content-type'),
                       session: response.headers.has('mcp-session-id'), body: comparable(text) });
        return { response, text };
    }

    /** The body, up to and including the text to wait for on streams that stay open. */
    async function read(response, until) {
        let text = '';
        const decoder = new TextDecoder();
        for await (const chunk of response.body ?? []) {
            text += decoder.decode(chunk, { stream: true });
            if (until && text.includes(until)) break;
        }
        return text;
    }

    const comparable = (text) => text.replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(_\d+_\w+)?/g, (id) => {
        if (!ids.has(id)) ids.set(id, `<id ${ids.size + 1}>`);
        return ids.get(id);
    });

    const rpc = (method, params, id) => ({ jsonrpc: '2.0', ...(id && { id }), method, params });
    const client = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'wire', version: '1' } };

    const { response } = await send('initialize', 'POST', { body: rpc('initialize', client, 'first id') });
    session = response.headers.get('mcp-session-id');
    await send('a notification', 'POST', { body: rpc('notifications/initialized') });
    const long = { name: 'trigger-long-running-operation', arguments: { duration: 0.2, steps: 2 }, _meta: { progressToken: 'token 1' } };
    const { text } = await send('a call with progress', 'POST', { body: rpc('tools/call', long, 9007199254740993n.toString()) });
    const [firstEvent] = /(?<=^id: ).+$/m.exec(text) ?? [''];
    await send('the same events again', 'GET', { headers: { 'last-event-id': firstEvent }, until: '"result"' });
    await send('a request without arguments', 'POST', { body: { jsonrpc: '2.0', id: 3, method: 'tools/call', params: { name: 'echo' } } });
    await send('an unknown method', 'POST', { body: rpc('vendor/unknown', { text: '\u2028' }, 4) });
    await send('a method that is not allowed', 'PUT');
    await send('a ping', 'POST', { body: rpc('ping', {}, 5) });
    await send('the end of the session', 'DELETE');
    await send('a request after the end', 'POST', { body: rpc('tools/list', {}, 6) });
    return answers;
}
