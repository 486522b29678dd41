// What every test of pages begins with: where things are, one browser, pictures; a picture also of what fails.
//
//     WEIR=build/weir GUESTS=build/guests SHOTS=build/web-shots node --test journeys.test.mjs
import {mkdirSync} from 'node:fs';
import {join} from 'node:path';
import {after, afterEach, before} from 'node:test';
import {browser as launch} from './browser.mjs';
import {openIn} from './page.mjs';

export const {WEIR, GUESTS, SHOTS} = process.env;
mkdirSync(SHOTS, {recursive: true});
export const log = join(SHOTS, 'daemon.log');
export const shot = (page, name) => page.screenshot({path: join(SHOTS, name + '.png')});

let browser;
before(async () => { browser = await launch(); });
after(async () => { await browser?.close(); });
afterEach(async t => {
    if (t.passed !== false) return;
    const pages = browser.contexts().flatMap(c => c.pages());
    for (const [i, page] of pages.entries()) await shot(page, `failed-${t.name.slice(0, 20).replace(/\W+/g, '-')}-${i}`).catch(() => {});
});

export const open = options => openIn(browser, options);
