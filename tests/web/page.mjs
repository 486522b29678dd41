// What the journeys do to a page, and what they look for on it.
import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {join} from 'node:path';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** A busy machine is slow, no reason to fail. */
const PATIENCE = Number(process.env.PATIENCE ?? 60000);

/** A page whose console is kept; errors that the test does not expect fail it at the end. */
export async function openIn(browser, options = {}) {
    const context = await browser.newContext({viewport: {width: 1440, height: 900}, colorScheme: 'dark', acceptDownloads: true, ...options});
    if (process.env.PAGES) await pagesFrom(context, process.env.PAGES);
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    page.errors = [];
    page.allowed = []; // expressions of errors that this journey makes on purpose
    page.on('console', m => ['error', 'warning'].includes(m.type()) && page.errors.push(m.text() + ' ' + (m.location().url ?? '')));
    page.on('pageerror', e => page.errors.push('uncaught: ' + e.message));
    return page;
}

const TYPES = {html: 'text/html; charset=utf-8', js: 'text/javascript; charset=utf-8', css: 'text/css; charset=utf-8', svg: 'image/svg+xml', txt: 'text/plain; charset=utf-8'};

/** PAGES=FOLDER (what scripts/build-web printed): the pages from there, all else from the program, which need not be built anew. */
async function pagesFrom(context, folder) {
    await context.route(url => !url.pathname.startsWith('/v1/') && url.pathname !== '/metrics', async route => {
        const {pathname} = new URL(route.request().url());
        const file = pathname === '/' ? 'index.html' : pathname.slice(1);
        const from = await fetch(new URL('/', route.request().url()));
        const policy = from.headers.get('content-security-policy') ?? '';
        await route.fulfill({body: readFileSync(join(folder, file)), headers: {'Content-Type': TYPES[file.split('.').pop()] ?? 'application/octet-stream', 'Content-Security-Policy': policy}});
    });
}

/** Where Tab goes from the page's beginning: each stop's name, once around. Each must be in sight and show that it has the focus. */
export async function tabStops(page, most = 200) {
    await page.locator('.skip').focus(); // where the last focus was, Tab would go on
    await page.keyboard.press('Tab');
    await page.keyboard.press('Shift+Tab'); // by a key, as people come there
    const stops = [];
    for (let i = 0; i < most; i++) {
        if (i) await page.keyboard.press('Tab');
        const stop = await page.evaluate(() => {
            const e = document.activeElement;
            if (!e || e === document.body) return null;
            const seen = window.tabStopsSeen ??= new WeakSet();
            const again = seen.has(e);
            seen.add(e);
            const box = e.getBoundingClientRect(), style = getComputedStyle(e), after = getComputedStyle(e, '::after');
            const label = e.labels?.[0] && e.classList.contains('hidden') ? getComputedStyle(e.labels[0]) : null;
            const shows = [style, label].some(s => s && s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0) || (after.content !== 'none' && after.borderTopWidth !== '0px');
            return {again, shows, seen: box.width > 0 && box.height > 0 && box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth, name: `${e.tagName} ${e.getAttribute('aria-label') ?? e.textContent.trim().slice(0, 40)}`};
        });
        if (!stop || stop.again) break;
        stops.push(stop);
    }
    await page.evaluate(() => { window.tabStopsSeen = undefined; });
    return stops;
}

export async function done(page) {
    const bad = page.errors.filter(e => !page.allowed.some(a => a.test(e)));
    await page.context().close();
    assert.deepEqual(bad, [], 'nothing in the browser\'s console');
}

/** No finding of axe, not even a minor one. */
export async function accessible(page, where) {
    await page.evaluate(axe);
    const found = await page.evaluate(async () => (await window.axe.run(document, {resultTypes: ['violations']})).violations.map(v => ({id: v.id, impact: v.impact, nodes: v.nodes.slice(0, 4).map(n => n.target.join(' ') + ': ' + (n.any[0]?.message ?? n.failureSummary))})));
    assert.deepEqual(found, [], `axe on ${where}`);
}

/** What can be typed into or chosen from is told from its surroundings: its edge from what it holds and from what is around it, as
 * WCAG 1.4.11 wants it of one of the two. (A field without an edge of its own stands in a frame that does it.) */
export async function fieldsShow(page, where) {
    const lost = await page.evaluate(() => {
        const colour = text => (/^rgba?\(([\d.]+), ([\d.]+), ([\d.]+)(?:, ([\d.]+))?\)$/.exec(text) ?? []).slice(1).map(Number);
        const light = ([r, g, b]) => [r, g, b].map(x => x / 255).map(x => (x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4)).reduce((sum, x, i) => sum + x * [0.2126, 0.7152, 0.0722][i], 0);
        const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
        return [...document.querySelectorAll('input:not([type="checkbox"], [type="file"]), select, textarea')].flatMap(e => {
            const style = getComputedStyle(e), edge = colour(style.borderTopColor), inside = colour(style.backgroundColor);
            if (!e.getClientRects().length || parseFloat(style.borderTopWidth) === 0 || parseFloat(style.borderLeftWidth) === 0 || edge[3] === 0) return [];
            const by = contrast(edge, inside);
            return by < 3 ? [`${e.getAttribute('aria-label') ?? e.labels?.[0]?.textContent ?? e.tagName}: ${by.toFixed(2)}`] : [];
        });
    });
    assert.deepEqual(lost, [], `fields that cannot be seen on ${where}`);
}

export async function goto(page, name) {
    await page.evaluate(n => { location.hash = '#/' + n; }, name);
    await page.waitForFunction(n => location.hash === '#/' + n, name);
}

/** There are candles, and the legend tells the newest. */
export const alive = page => page.waitForFunction(() => /C\s+[\d,.]+/.test(document.querySelector('.chart .legend')?.innerText ?? ''));

export const watchRow = (page, symbol) => page.locator('.watch tbody tr').filter({has: page.locator('th', {hasText: symbol})});
export const frame = (page, name) => page.locator('.frames button', {hasText: new RegExp(`^${name}$`)});

/** The colour of gaps, --warn of the dark theme. */
export const WARN = [227, 168, 59];

export const legend = page => page.locator('.chart .legend').first().innerText();

/** Open, high, low and close of the bar that the legend tells, as they are written. */
export async function bar(page) {
    const text = (await legend(page)).replace(/,/g, '');
    const m = /O\s+(\S+)\s+H\s+(\S+)\s+L\s+(\S+)\s+C\s+(\S+)/.exec(text);
    return m ? {text, open: m[1], high: m[2], low: m[3], close: m[4]} : {text};
}

/** Waits until `read` gives something else than `before`. */
export async function changes(page, read, before, what) {
    for (const end = Date.now() + PATIENCE; Date.now() < end;) {
        const now = await read();
        if (now !== before) return now;
        await page.waitForTimeout(100);
    }
    assert.fail(`${what} never changed from ${before}`);
}

/** Is this colour on the picture? (Within a little of it, in at least `n` pixels.) */
export async function hasColour(page, locator, [r, g, b], n = 40) {
    const png = (await locator.screenshot()).toString('base64');
    const helper = await page.context().browser().newPage(); // another page: this one's policy forbids data: in fetch
    const count = await helper.evaluate(async ([data, want]) => {
        const image = new Image();
        image.src = 'data:image/png;base64,' + data;
        await image.decode();
        const c = new OffscreenCanvas(image.width, image.height).getContext('2d');
        c.drawImage(image, 0, 0);
        const px = c.getImageData(0, 0, image.width, image.height).data;
        let found = 0;
        for (let i = 0; i < px.length; i += 4) if (Math.abs(px[i] - want[0]) + Math.abs(px[i + 1] - want[1]) + Math.abs(px[i + 2] - want[2]) < 24) found++;
        return found;
    }, [png, [r, g, b]]);
    await helper.close();
    return count >= n;
}
