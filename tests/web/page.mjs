// What the journeys do to a page, and what they look for on it.
import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {createRequire} from 'node:module';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** A page whose console is kept; errors that the test does not expect fail it at the end. */
export async function openIn(browser, options = {}) {
    const context = await browser.newContext({viewport: {width: 1440, height: 900}, colorScheme: 'dark', acceptDownloads: true, ...options});
    const page = await context.newPage();
    page.setDefaultTimeout(20000);
    page.errors = [];
    page.allowed = []; // expressions of errors that this journey makes on purpose
    page.on('console', m => ['error', 'warning'].includes(m.type()) && page.errors.push(m.text() + ' ' + (m.location().url ?? '')));
    page.on('pageerror', e => page.errors.push('uncaught: ' + e.message));
    return page;
}

export async function done(page) {
    const bad = page.errors.filter(e => !page.allowed.some(a => a.test(e)));
    await page.context().close();
    assert.deepEqual(bad, [], 'nothing in the browser\'s console');
}

/** No finding of axe that is serious or worse. */
export async function accessible(page, where) {
    await page.evaluate(axe);
    const found = await page.evaluate(async () => (await window.axe.run(document, {resultTypes: ['violations']})).violations.map(v => ({id: v.id, impact: v.impact, nodes: v.nodes.slice(0, 4).map(n => n.target.join(' ') + ': ' + (n.any[0]?.message ?? n.failureSummary))})));
    assert.deepEqual(found.filter(v => v.impact === 'serious' || v.impact === 'critical'), [], `axe on ${where}`);
    return found.length;
}

export async function goto(page, name) {
    await page.evaluate(n => { location.hash = '#/' + n; }, name);
    await page.waitForFunction(n => location.hash === '#/' + n, name);
}

/** There are candles, and the legend tells the newest. */
export const alive = page => page.waitForFunction(() => /C\s+[\d,.]+/.test(document.querySelector('.chart .legend')?.innerText ?? ''));

export const legend = page => page.locator('.chart .legend').first().innerText();

/** Open, high, low and close of the bar that the legend tells, as they are written. */
export async function bar(page) {
    const text = (await legend(page)).replace(/,/g, '');
    const m = /O\s+(\S+)\s+H\s+(\S+)\s+L\s+(\S+)\s+C\s+(\S+)/.exec(text);
    return m ? {text, open: m[1], high: m[2], low: m[3], close: m[4]} : {text};
}

/** Waits until `read` gives something else than `before`. */
export async function changes(page, read, before, what) {
    for (let i = 0; i < 200; i++) {
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
