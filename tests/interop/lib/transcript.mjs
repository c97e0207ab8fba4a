// Transcripts of two runs are equal when they differ only in what any two runs differ in.
const rules = [
    [/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, '<time>'],
    [/\d{1,2}:\d\d:\d\d( [AP]M)?/g, '<time>'],
    [/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '<uuid>'],
];

export function normalise(transcript) {
    const text = rules.reduce((s, [pattern, stand]) => s.replace(pattern, stand), JSON.stringify(transcript));
    const value = JSON.parse(text);
    // Messages of the GET stream and of the calls' own streams have no order among each other.
    value.notifications?.sort((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)));
    return value;
}

/** The first difference of two normalised transcripts in words, or undefined. */
export function difference(a, b, path = '$') {
    if (typeof a !== typeof b || a === null || b === null || typeof a !== 'object')
        return Object.is(a, b) ? undefined : `${path}: ${excerpt(a)} became ${excerpt(b)}`;
    for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
        if (!(key in a)) return `${path}.${key} was added: ${excerpt(b[key])}`;
        if (!(key in b)) return `${path}.${key} is missing: ${excerpt(a[key])}`;
        const found = difference(a[key], b[key], `${path}.${key}`);
        if (found) return found;
    }
}

const excerpt = (value) => (JSON.stringify(value) ?? 'undefined').slice(0, 160);
