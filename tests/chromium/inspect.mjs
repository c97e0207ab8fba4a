// Looks at a page as it is: pictures in light and dark, wide and 390 px narrow, and what a checker of accessibility finds.
import { mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { assert, check } from '../interop/lib/checks.mjs';

const root = resolve(import.meta.dirname, '../..');
const directory = join(root, 'target/artefacts/screenshots');
const axe = readFileSync(join(root, 'tests/node_modules/axe-core/axe.min.js'), 'utf8');
mkdirSync(directory, { recursive: true });

const LOOKS = [
    { name: 'light', width: 1100, scheme: 'light' },
    { name: 'dark', width: 1100, scheme: 'dark' },
    { name: 'phone-light', width: 390, scheme: 'light' },
    { name: 'phone-dark', width: 390, scheme: 'dark' },
];

/** `path` leads to another page first. The checker is a script too, so it cannot look where none runs. */
export function inspect(page, name, { path, script = true } = {}) {
    return check(`${name}: fits 390 px, and is accessible in light and dark`, async () => {
        try {
            await page.bringToFront();
            if (path) await page.at(path);
            for (const look of LOOKS) {
                await set(page, look);
                await fits(page, `${name}-${look.name}.png`);
                if (script) assert.deepEqual(await violations(page), [], look.name);
            }
        } finally {
            await set(page, LOOKS[0]);
        }
    });
}

async function fits(page, file) {
    await page.screenshot({ path: join(directory, file), fullPage: true });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(overflow <= 0, `${file}: ${overflow} px wider than the window`);
}

async function set(page, { width, scheme }) {
    await page.setViewport({ width, height: 900 });
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
}

async function violations(page) {
    await page.evaluate(axe);
    return page.evaluate(async () => {
        const { violations } = await window.axe.run(document, { resultTypes: ['violations'] });
        return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 160)}`));
    });
}
