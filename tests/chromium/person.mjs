// Whoever looks at the pages, with Chromium. Waits for what is seen and for nothing else.
import puppeteer from 'puppeteer-core';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../interop/lib/process.mjs';

const ARGUMENTS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update',
                   '--disable-sync', '--no-first-run'];

export class Person {
    /** What browsers report of pages that do not behave: errors, and breaches of their own policy. */
    complaints = [];

    static async start() {
        const person = new Person();
        person.profile = mkdtempSync(join(tmpdir(), 'chromium-'));
        person.browser = await puppeteer.launch({
            executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true, userDataDir: person.profile, args: ARGUMENTS,
            protocolTimeout: 20_000,
        });
        process.on('exit', () => person.browser.process()?.kill('SIGKILL'));
        return person;
    }

    async open(url) {
        const page = this.equip(await this.browser.newPage());
        await page.setViewport({ width: 1100, height: 900 });
        await page.goto(url);
        return page;
    }

    /** Another tab of the same browser. */
    async tab(url, { script = true } = {}) {
        const page = this.equip(await this.browser.newPage());
        await page.setJavaScriptEnabled(script);
        await page.goto(url);
        return page;
    }

    /** A browser that knows nothing of this one. */
    async another(url) {
        const context = await this.browser.createBrowserContext();
        const page = this.equip(await context.newPage(), { mayFail: true });
        await page.goto(url);
        return page;
    }

    /** The tab that `act` opens. */
    async opened(act) {
        const target = new Promise((resolve) => this.browser.once('targetcreated', resolve));
        await act();
        return this.equip(await (await target).page());
    }

    /** Opens an authorization URL and agrees; what the last page says. */
    async consent(url) {
        return this.agree(await this.tab(url));
    }

    async agree(page) {
        await page.waitForSelector('button, input[type=submit]');
        await page.leave(() => page.clickFirst('button, input[type=submit]'));
        const said = await page.text('body');
        await page.close();
        return said;
    }

    async stop() {
        await this.browser.close();
        rmSync(this.profile, { recursive: true, force: true });
    }

    equip(page, { mayFail = false } = {}) {
        page.on('pageerror', (error) => this.complaints.push(`${page.url()}: ${error.message}`));
        page.on('console', (message) => {
            // A refusal is an error to Chromium, and what some of the checks are about.
            const expected = /Failed to load resource|net::ERR_/.test(message.text());
            if (message.type() === 'error' && !expected && !mayFail) this.complaints.push(`${page.url()}: ${message.text()}`);
        });
        return Object.assign(page, own);
    }
}

/** What every page can do besides. */
const own = {
    async at(path) {
        await this.goto(new URL(path, this.url()).href);
        return this;
    },
    /** What a reader sees of an element, line by line. */
    text(selector) {
        return this.$eval(selector, (element) => element.innerText || element.textContent);
    },
    until(probe, what) {
        return until(what, probe);
    },
    mark() {
        return this.evaluate(() => { window.marked = true; });
    },
    marked() {
        return this.evaluate(() => window.marked === true);
    },
    clickText(selector, text) {
        return press(this, selector, text);
    },
    async clickFirst(selector) {
        return (await this.$(selector)).click();
    },
    /** Does what leads to another page, and waits for that. */
    leave(act) {
        return Promise.all([this.waitForNavigation(), act()]);
    },
    /** What has just moved takes no clicks, so that none hits the wrong call. */
    settled() {
        return this.waitForSelector('#live-list:not(.settling)');
    },
    focusIsIn(selector) {
        return this.evaluate((wanted) => document.activeElement.closest(wanted) !== null, selector);
    },
    /** The card of a waiting call of `tool`. */
    async card(tool) {
        const handle = await this.waitForSelector(`xpath/.//article[@data-id and not(@data-answered)][.//h2//bdi[1][.='${tool}']]`);
        return new Card(this, handle);
    },
    /** Name of every element that Tab reaches, and whether it shows that it has the focus. */
    async tabThrough() {
        const reached = [];
        for (let presses = 0; presses < 80; presses++) {
            await this.keyboard.press('Tab');
            const at = await this.evaluate(() => {
                const element = document.activeElement;
                if (element === document.body || element.dataset.seen) return null;
                element.dataset.seen = 'yes';
                const { outlineStyle, outlineWidth } = getComputedStyle(element);
                const name = element.ariaLabel || element.labels?.[0]?.textContent || element.textContent || element.name || element.id;
                return { name: name.trim(), visible: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2 };
            });
            if (!at) break;
            reached.push(at);
        }
        return reached;
    },
};

class Card {
    constructor(page, handle) {
        Object.assign(this, { page, handle });
    }

    id() {
        return this.handle.evaluate((card) => card.dataset.id);
    }

    text(selector) {
        return this.handle.evaluate((card, wanted) => (wanted ? card.querySelector(wanted) : card).innerText, selector);
    }

    async click(selector) {
        await this.ready();
        await (await this.handle.$(selector)).click();
    }

    async fill(selector, text) {
        const field = await this.handle.$(selector);
        await field.evaluate((element) => { element.value = ''; });
        await field.type(text);
    }

    /** Chromium draws the tab in front only, and clicks what is drawn. */
    async ready() {
        await this.page.bringToFront();
        await this.page.settled();
    }

    async clickText(selector, text) {
        await this.ready();
        await press(this.handle, selector, text);
    }
}

async function press(root, selector, text) {
    for (const element of await root.$$(selector))
        if (await element.evaluate((found, wanted) => found.textContent.trim() === wanted, text)) return element.click();
    throw new Error(`there is no ${selector} that says ${text}`);
}

export const approve = (card) => card.clickText('button', 'Approve once');

export async function deny(card, reason) {
    if (reason) await card.fill('.deny [name="reason"]', reason);
    await card.clickText('button', 'Deny');
}

export const cards = (page) => page.$$('.item[data-id]:not([data-answered])');
