// Screenshots of every page, in both themes, at desk and phone width, to be looked at.
//
//     node shots.mjs URL FOLDER [PAGE...]
import {mkdir} from 'node:fs/promises';
import {browser} from './browser.mjs';

const [url, folder, ...only] = process.argv.slice(2);
const PAGES = ['market', 'plugins', 'plugins/woox-datasource', 'connections', 'connections/1', 'connections/new', 'streams', 'streams/1', 'history', 'sinks', 'audit', 'log', 'settings'];
await mkdir(folder, {recursive: true});
const b = await browser();
for (const theme of ['dark', 'light']) {
    for (const [width, height] of [[1440, 900], [390, 844]]) {
        const context = await b.newContext({viewport: {width, height}, colorScheme: theme});
        const page = await context.newPage();
        page.on('console', m => ['error', 'warning'].includes(m.type()) && console.log(m.type(), m.text()));
        page.on('pageerror', e => console.log('pageerror', e.message));
        await page.goto(url);
        for (const name of PAGES.filter(p => !only.length || only.includes(p))) {
            await page.goto(new URL(url).origin + '/#/' + name);
            await page.waitForTimeout(name === 'market' ? 4000 : 900);
            const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
            if (wide > 0) console.log(`${name} ${theme} ${width}: ${wide} px too wide`);
            await page.screenshot({path: `${folder}/${name.replaceAll('/', '-')}-${theme}-${width}.png`});
        }
        await context.close();
    }
}
await b.close();
