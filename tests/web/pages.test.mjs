// Every page in both themes, at desk and phone width: a picture to look at, axe without a serious finding, nothing wider than
// the window, nothing in the console.
import assert from 'node:assert/strict';
import {after, before, test} from 'node:test';
import {accessible, alive, done, fieldsShow, goto} from './page.mjs';
import {serve} from './serve.mjs';
import {log, open, shot, WEIR} from './setting.mjs';

const PAGES = ['market', 'plugins', 'plugins/woox-datasource', 'connections', 'connections/1', 'connections/new', 'streams', 'streams/1', 'streams/new', 'history', 'sinks', 'audit', 'log', 'settings'];
let server;
before(async () => { server = await serve(WEIR, ['--demo', '--listen-port', '0'], log); });
after(async () => { await server?.stop(); });

for (const theme of ['dark', 'light'])
    for (const [width, height] of [[1440, 900], [390, 844]])
        test(`every page, ${theme}, ${width} wide: accessible, nothing beside the page`, async () => {
            const p = await open({viewport: {width, height}, colorScheme: theme});
            p.allowed.push(/401.*\/v1\/session/);
            await p.goto(server.url);
            await p.locator('main').waitFor();
            for (const name of PAGES) {
                await goto(p, name);
                if (name === 'market') await alive(p);
                await p.waitForTimeout(name === 'market' ? 1200 : 400);
                await shot(p, `page-${name.replaceAll('/', '-')}-${theme}-${width}`);
                assert.ok(await p.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} is wider than the window`);
                await accessible(p, `${name}, ${theme}, ${width}`);
                await fieldsShow(p, `${name}, ${theme}, ${width}`);
            }
            if (width < 500) {
                await goto(p, 'market');
                for (const part of ['Watch', 'Book', 'Trades', 'Streams', 'Chart']) {
                    await p.getByRole('tab', {name: part}).click();
                    await p.waitForTimeout(700);
                    await shot(p, `page-market-${part.toLowerCase()}-${theme}-${width}`);
                    await accessible(p, `market, ${part}, ${theme}`);
                }
                await p.setViewportSize({width: 360, height: 640});
                await p.waitForTimeout(300);
                assert.ok(await p.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'the chart is wider than 360 px');
            }
            await done(p);
        });
