// The pages work without this. It saves reloading, offers keys, and writes times in the reader's time
// zone. It only ever shows what the daemon rendered, and never builds markup from data.
'use strict';

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

const live = $('#live-list');
const isList = live?.dataset.live === 'list';

/* ---------- times ---------- */

const clock = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

function writeTimes(root) {
    for (const time of $$('time[datetime]:not([title])', root)) {
        time.title = time.textContent;
        time.textContent = clock.format(new Date(time.dateTime));
    }
    countDown(root);
}

function countDown(root = document) {
    for (const chip of $$('[data-expires]', root)) {
        const left = Math.round((new Date(chip.dataset.expires) - Date.now()) / 1000);
        const text = left <= 0 ? 'expired'
            : left < 60 ? `expires in ${left} s`
            : left < 3600 ? `expires in ${Math.floor(left / 60)} min ${left % 60} s`
            : `expires in ${Math.floor(left / 3600)} h ${Math.floor(left % 3600 / 60)} min`;
        if (chip.textContent !== text) chip.textContent = text;
        chip.classList.toggle('warning', left < 120);
    }
}

/* ---------- speech and sound ---------- */

function say(text) {
    const region = $('#live');
    // The same text twice is announced twice only when it was gone between.
    region.textContent = '';
    setTimeout(() => { region.textContent = text; }, 50);
}

function remembered(id, initially) {
    const box = $(`#${id}`);
    if (!box) return () => false;
    const kept = localStorage.getItem(id);
    box.checked = kept === null ? initially : kept === 'on';
    box.addEventListener('change', () => localStorage.setItem(id, box.checked ? 'on' : 'off'));
    return () => box.checked;
}

const soundIsOn = remembered('sound', false);
const keysAreOn = remembered('keys', true);

let audio;
function chime() {
    if (!soundIsOn()) return;
    audio ??= new AudioContext();
    const start = audio.currentTime;
    for (const [at, pitch] of [[0, 660], [0.12, 880]]) {
        const tone = audio.createOscillator();
        const volume = audio.createGain();
        tone.frequency.value = pitch;
        volume.gain.setValueAtTime(0.12, start + at);
        volume.gain.exponentialRampToValueAtTime(0.001, start + at + 0.25);
        tone.connect(volume).connect(audio.destination);
        tone.start(start + at);
        tone.stop(start + at + 0.25);
    }
}
$('#sound')?.addEventListener('change', chime);

/* ---------- what changes ---------- */

// What the page asks for by itself is no use of the session.
const UNATTENDED = { accept: 'text/html', 'x-unattended': '1' };

const items = (root = live) => $$('.item[data-id]:not([data-answered])', root);
const nameOf = (item) => $('h2', item)?.textContent.trim().replace(/\s+/g, ' ') ?? '';

async function fragment() {
    const url = isList ? '/approvals?part=list' : location.pathname;
    const answer = await fetch(url, { headers: UNATTENDED, cache: 'no-store' });
    if (answer.status === 403) throw new Error('signed out');
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    return $('#live-list', page);
}

// A click or key that was meant for what stood here a moment ago must not hit what stands here now.
let settlesAt = 0;
const SETTLE = 400;
const moving = () => live ?? $('[data-refresh]');
function moved() {
    settlesAt = performance.now() + SETTLE;
    moving().classList.add('settling');
    setTimeout(() => {
        if (performance.now() >= settlesAt) moving().classList.remove('settling');
    }, SETTLE + 10);
}
const isSettling = () => performance.now() < settlesAt;

let running = null;
let again = false;
// One at a time; what is asked for meanwhile is done once after.
function refresh() {
    if (running) {
        again = true;
        return running;
    }
    running = (async () => {
        try {
            const fresh = await fragment();
            if (fresh) merge(fresh);
            connected(true);
        } catch (error) {
            connected(false, error.message === 'signed out');
        } finally {
            running = null;
            if (again) {
                again = false;
                refresh();
            }
        }
    })();
    return running;
}

// Keeps the items that are there, and with them what is being typed; adds and removes the others.
function merge(fresh) {
    const before = items();
    const known = new Map(before.map((item) => [item.dataset.id, item]));
    const incoming = items(fresh);
    const stays = new Set(incoming.map((item) => item.dataset.id));
    const focused = before.find((item) => item.contains(document.activeElement));
    const lost = focused && !stays.has(focused.dataset.id) ? before.indexOf(focused) : -1;
    const gone = before.filter((item) => !stays.has(item.dataset.id));
    const come = incoming.filter((item) => !known.has(item.dataset.id));
    for (const item of incoming) {
        const part = $('[data-part="waiting"]', known.get(item.dataset.id) ?? item);
        const text = $('[data-part="waiting"]', item)?.textContent;
        if (part && part.textContent !== text) part.textContent = text;
    }
    place(fresh, stays);
    live.dataset.pending = fresh.dataset.pending;
    writeTimes(live);
    offerPickAll();
    if (gone.length || come.length) moved();
    if (isList) title(Number(live.dataset.pending));
    if (lost >= 0) (items()[Math.min(lost, items().length - 1)] ?? $('#content')).focus();
    for (const item of gone) tellEnd(item);
    if (come.length === 1) say(`New call: ${nameOf(come[0])}`);
    else if (come.length) say(`${come.length} new calls`);
    if (come.length) chime();
}

// What stays is not touched: moved, it would lose the focus, and what a reader has opened in it.
function place(fresh, stays) {
    const keyOf = (node) => node.classList?.contains('several') ? 'several' : stays.has(node.dataset?.id) && node.dataset.id;
    // A card from before a PIN was set has no place to type it.
    const asks = (node) => Boolean($('input[name="pin"]', node));
    const kept = new Map();
    for (const node of [...live.childNodes]) {
        const key = keyOf(node);
        if (key && [...fresh.childNodes].some((other) => keyOf(other) === key && asks(other) === asks(node))) kept.set(key, node);
        else node.remove();
    }
    let at = live.firstChild;
    for (const node of [...fresh.childNodes]) {
        const present = kept.get(keyOf(node));
        if (present && present === at) at = at.nextSibling;
        else live.insertBefore(present ?? node, at);
    }
}

function tellEnd(item) {
    const row = $(`tr[data-id="${item.dataset.id}"]`, live) ?? $(`[data-id="${item.dataset.id}"][data-answered]`, live);
    const state = row ? $('.chip', row)?.textContent : '';
    if (!item.dataset.told) say(`${nameOf(item)}: ${state || 'answered'}`);
}

function title(count) {
    const plain = document.title.replace(/^\(\d+\) /, '');
    document.title = count ? `(${count}) ${plain}` : plain;
}

let ended = false;
function connected(well, signedOut = false) {
    // The forms of this page belong to the session that has ended.
    if (well && ended) location.reload();
    ended ||= signedOut;
    const notice = $('#connection');
    notice.hidden = well;
    notice.textContent = well ? ''
        : signedOut ? 'This session has ended. Run “mcpbridgectl ui” in a terminal for a new one.'
        : 'The daemon does not answer. What you see may be old; trying again…';
}

const RETRY = 3000;
const RENEWAL = 5000;

// One connection for all tabs: browsers open only six to one host.
function follow() {
    const channel = new BroadcastChannel('mcpbridge-approvals');
    channel.onmessage = () => refresh();
    // What has changed while this page was loading was told to nobody here.
    refresh();
    const listen = () => new Promise((release) => {
        const source = new EventSource('/approvals/events');
        const tell = () => { refresh(); channel.postMessage('changed'); };
        source.addEventListener('changed', tell);
        source.onerror = () => {
            if (source.readyState === EventSource.CLOSED) {
                tell();
                setTimeout(release, RETRY);
            } else {
                connected(false);
            }
        };
    });
    const hold = () => navigator.locks.request('mcpbridge-approvals', listen).then(hold);
    hold();
}

/* ---------- answers ---------- */

async function decide(form, submitter) {
    const item = form.closest('.item');
    // Older browsers leave the button out, and it says for how long.
    const body = new URLSearchParams(new FormData(form));
    if (submitter?.name) body.set(submitter.name, submitter.value);
    const buttons = $$('button', item);
    buttons.forEach((button) => { button.disabled = true; });
    try {
        const answer = await fetch(form.action, {
            method: 'POST', body, headers: { accept: 'application/json' }, cache: 'no-store',
        });
        const said = await answer.json();
        if (answer.ok) {
            item.dataset.told = 'yes';
            say(`${nameOf(item)}: ${form.dataset.decide === 'deny' ? 'denied' : 'approved'}`);
        } else {
            complain(item, `Not decided: ${[said.detail, said.hint].filter(Boolean).join('. ')}`);
        }
        if (answer.ok || answer.status === 409) await refresh();
        if (!answer.ok && !item.isConnected) complain(null, `Not decided: ${nameOf(item)}: ${said.detail}`);
    } catch {
        complain(item, 'The daemon did not answer. Whether it took the decision shows here when it is back');
        refresh();
    } finally {
        buttons.forEach((button) => { button.disabled = false; });
    }
}

function complain(item, text) {
    $$('.notice.answer').forEach((notice) => notice.remove());
    const notice = document.createElement('p');
    notice.className = 'notice bad answer';
    notice.setAttribute('role', 'alert');
    notice.textContent = `${text}.`;
    if (item) $('.card-head', item).after(notice);
    else live.before(notice);
    const pin = item && $('.decide input[name="pin"]', item);
    if (pin && /PIN/.test(text)) {
        pin.value = '';
        pin.focus();
    }
}

document.addEventListener('submit', (event) => {
    const form = event.target;
    if (!form.dataset.decide || !live) return;
    event.preventDefault();
    if (isSettling()) return;
    decide(form, event.submitter);
});

document.addEventListener('click', (event) => {
    if (isSettling() && moving().contains(event.target) && event.target.closest('button, a, summary')) {
        event.preventDefault();
        event.stopPropagation();
    }
}, true);

function offerPickAll() {
    const all = $('#pick-all');
    if (!all || all.onclick) return;
    all.hidden = false;
    all.onclick = () => $$('input[form="batch"]').forEach((box) => { box.checked = true; });
}

/* ---------- keys ---------- */

function current() {
    return items().find((item) => item.contains(document.activeElement));
}

function step(by) {
    const all = items();
    const at = all.indexOf(current());
    const next = all[at < 0 ? 0 : Math.max(0, Math.min(all.length - 1, at + by))];
    next?.focus();
    next?.scrollIntoView({ block: 'nearest' });
}

function press(item, value) {
    const form = $('form.decide', item);
    const button = $(`button[value="${value}"]`, form);
    if (!button) return say('This tool can only be approved once');
    const pin = $('input[name="pin"]', form);
    if (pin && !pin.value) return pin.focus();
    form.requestSubmit(button);
}

const KEYS = {
    j: () => step(1),
    k: () => step(-1),
    a: (item) => item && press(item, 'once'),
    A: (item) => item && press(item, 'always'),
    d: (item) => item && $('input[name="reason"]', item).focus(),
    '?': () => $('#help')?.showModal(),
    Enter: (item) => {
        if (item && document.activeElement === item) $('a.details', item)?.click();
        else return false;
    },
};

document.addEventListener('keydown', (event) => {
    if (!live || event.ctrlKey || event.metaKey || event.altKey || event.repeat || !keysAreOn()) return;
    if (event.key === 'Escape' && current() && event.target.matches('input, textarea')) return current().focus();
    if (event.target.closest('input, textarea, select, dialog, [contenteditable]')) return;
    const act = KEYS[event.key];
    if (!act || isSettling()) return;
    if (act(current()) !== false) event.preventDefault();
});

$('#help-button')?.addEventListener('click', () => $('#help').showModal());

/* ---------- other pages ---------- */

// What happens elsewhere, such as signing in, is seen without reloading. Nothing is taken from under a
// reader who has opened or is writing something.
async function renew() {
    const part = $('[data-refresh]');
    if (document.hidden || !part || $('details[open]', part) || part.contains($('input:focus, select:focus'))) return;
    const answer = await fetch(location.href, { headers: UNATTENDED, cache: 'no-store' }).catch(() => null);
    if (!answer?.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const fresh = $('[data-refresh]', page);
    if (!fresh) return;
    writeTimes(fresh);
    if (fresh.innerHTML === part.innerHTML) return;
    // The same control, wherever it is now: the one at its place may be about something else.
    const meaning = (control) => control && (control.form ?? control).outerHTML + control.outerHTML;
    const focused = part.contains(document.activeElement) && meaning(document.activeElement);
    part.replaceWith(fresh);
    moved();
    if (focused) $$('a, button', fresh).find((control) => meaning(control) === focused)?.focus();
}

/* ---------- begin ---------- */

writeTimes(document);
$$('[hidden].toggle, #help-button').forEach((element) => { element.hidden = false; });
if ($('[data-refresh]')) {
    document.addEventListener('visibilitychange', renew);
    setInterval(renew, RENEWAL);
}
if (live) {
    offerPickAll();
    setInterval(countDown, 1000);
    follow();
}
