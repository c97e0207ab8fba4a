// Child processes that cannot outlive the run: servers are started on a free port, awaited, and stopped by their own id.
import { spawn } from 'node:child_process';
import { createServer, connect } from 'node:net';
import { createWriteStream } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** A port that was free a moment ago on both loopback addresses. */
export async function freePort() {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address();
    await new Promise((resolve) => server.close(resolve));
    return port;
}

/** Repeats `probe` until it returns something truthy; `what` is named when the deadline passes. */
export async function until(what, probe, seconds = 20) {
    const deadline = Date.now() + seconds * 1000;
    for (;;) {
        const value = await probe();
        if (value) return value;
        if (Date.now() > deadline) throw new Error(`timed out after ${seconds} s waiting for ${what}`);
        await delay(20);
    }
}

export async function accepts(port) {
    return new Promise((resolve) => {
        const socket = connect(port, 'localhost', () => { socket.destroy(); resolve(true); });
        socket.on('error', () => resolve(false));
    });
}

/** Starts a server and waits until every one of its ports accepts a connection. `write` sends to its standard input. */
export async function startServer(name, command, args, { env = {}, ports, log }) {
    const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
    child.stdin.on('error', () => {});
    running.add(child);
    let output = '';
    const file = log && createWriteStream(log);
    for (const stream of [child.stdout, child.stderr])
        stream.on('data', (chunk) => { output += chunk; file?.write(chunk); });
    let ended = false;
    child.on('exit', () => { ended = true; running.delete(child); });
    for (const port of ports)
        await until(`${name} on port ${port}`, async () => {
            if (ended) throw new Error(`${name} ended before it listened:\n${output}`);
            return accepts(port);
        });
    return {
        output: () => output,
        write: (text) => child.stdin.write(text),
        stop: async () => {
            if (ended) return;
            child.kill('SIGTERM');
            const patience = setTimeout(() => child.kill('SIGKILL'), 3000);
            await new Promise((resolve) => child.once('exit', resolve));
            clearTimeout(patience);
        },
    };
}

/** Runs a command to its end: { code, stdout, stderr }. `onLine` sees each line of stdout as it is printed. */
export function run(command, args, { env, input, onLine, seconds = 60 } = {}) {
    return new Promise((resolve, reject) => {
        const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
        running.add(child);
        const timer = setTimeout(() => child.kill('SIGKILL'), seconds * 1000);
        let stdout = '', stderr = '', seen = 0;
        child.stdout.on('data', (chunk) => {
            stdout += chunk;
            const lines = stdout.split('\n');
            for (; onLine && seen < lines.length - 1; seen++) onLine(lines[seen]);
        });
        child.stderr.on('data', (chunk) => (stderr += chunk));
        child.stdin.on('error', () => {});
        if (input !== 'open') child.stdin.end(input ?? '');
        child.on('error', reject);
        child.on('close', (code, signal) => {
            clearTimeout(timer);
            running.delete(child);
            resolve({ code: code ?? `signal ${signal}`, stdout, stderr });
        });
    });
}
