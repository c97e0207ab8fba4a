// The bridge under test: the real binaries in a throw-away home, driven only by what a user has: the command line and HTTP.
import { mkdtempSync, mkdirSync, rmSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { freePort, run } from './process.mjs';
import { visit } from './browser.mjs';

const root = resolve(import.meta.dirname, '../../..');
const binaries = process.env.MCPBRIDGE_BIN_DIR ?? join(root, 'target/debug');

export class Bridge {
    /** `init` are the options of the init command; `env` is what the user's environment has besides a home. */
    static async start({ init = ['--key-store', 'key-file'], env = {} } = {}) {
        const bridge = new Bridge();
        bridge.env = env;
        bridge.home = mkdtempSync(join(tmpdir(), 'mcpbridge-'));
        bridge.configDir = join(bridge.home, 'config');
        mkdirSync(join(bridge.home, 'run'), { mode: 0o700 });
        bridge.port = await freePort();
        await bridge.must('init', ...init);
        await bridge.startDaemon();
        return bridge;
    }

    startDaemon() {
        return this.must('start', '--port', String(this.port));
    }

    /** Edits config.json by hand, as a person does, and starts the daemon anew. */
    async configure(change) {
        await this.must('stop');
        const path = join(this.configDir, 'config.json');
        const config = JSON.parse(readFileSync(path, 'utf8'));
        change(config);
        writeFileSync(path, JSON.stringify(config, null, 2));
        await this.startDaemon();
    }

    url(server) {
        return `http://localhost:${this.port}/mcp/${server}`;
    }

    ctl(args, options = {}) {
        const env = {
            HOME: this.home,
            XDG_RUNTIME_DIR: join(this.home, 'run'),
            PATH: `${binaries}:${process.env.PATH}`,
            NO_COLOR: '1',
            // Without one, the tests' own session bus is not the user's.
            DBUS_SESSION_BUS_ADDRESS: undefined,
            ...this.env,
        };
        return run(join(binaries, 'mcpbridgectl'), ['--config-dir', this.configDir, ...args], { ...options, env });
    }

    /** Runs a command that has to succeed and returns its stdout. */
    async must(...args) {
        const result = await this.ctl(args);
        if (result.code !== 0)
            throw new Error(`mcpbridgectl ${args.join(' ')} ended with ${result.code}\n${result.stdout}${result.stderr}`);
        return result.stdout;
    }

    async show(server) {
        return JSON.parse(await this.must('--json', 'show', server));
    }

    /** `add NAME URL --no-browser …` with the printed URL opened by the scripted browser. */
    async addWithBrowser(name, url, ...extra) {
        return this.withBrowser(['add', name, url, '--no-browser', '--policy', 'allow', ...extra]);
    }

    async withBrowser(args, { input = 'open' } = {}) {
        let page;
        const result = await this.ctl(args, {
            input,
            onLine: (line) => {
                if (!page && /^https?:\/\//.test(line)) page = visit(line).catch((error) => ({ status: 0, body: String(error) }));
            },
        });
        return { ...result, page: await page };
    }

    async stop() {
        const result = await this.ctl(['stop']);
        if (result.code === 0) rmSync(this.home, { recursive: true, force: true });
        else throw new Error(`mcpbridgectl stop ended with ${result.code}: ${result.stderr}`);
    }

    config() {
        return JSON.parse(readFileSync(join(this.configDir, 'config.json'), 'utf8'));
    }

    /** What the daemon wrote to its log directory. */
    logs() {
        const directory = join(this.configDir, 'logs');
        try {
            return readdirSync(directory).map((name) => join(directory, name)).filter((path) => statSync(path).isFile())
                .map((path) => readFileSync(path, 'utf8')).join('');
        } catch {
            return '';
        }
    }
}
