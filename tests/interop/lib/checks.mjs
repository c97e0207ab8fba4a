// One line per check; the exit code tells whether all of them held.
import assert from 'node:assert/strict';
export { assert };

let passed = 0;
const failures = [];

export async function check(name, body) {
    const started = Date.now();
    try {
        await body();
        passed++;
        console.log(`ok    ${name} (${Date.now() - started} ms)`);
    } catch (error) {
        failures.push(name);
        console.log(`FAIL  ${name}\n      ${String(error.message).replaceAll('\n', '\n      ')}`);
    }
}

export function finish() {
    console.log(`${passed} passed, ${failures.length} failed`);
    process.exit(failures.length === 0 ? 0 : 1);
}
